"""Expressions over columns of given values, as the engine computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from mql.columnar.build import column_of
from mql.columnar.layout import PLAIN_KIND, VARIANT
from mql.columnar.read import to_python
from mql.exec.expressions.frame import FewRows, Frame
from mql.language.format import format_property
from mql.language.parser import parse
from mql.language.syntax import Everything, Prefix, Property, Value


def expression(text: str) -> Value:
    value = parse(f"select {text} as made from s").items[0].value
    assert not isinstance(value, Everything | Prefix)
    return value


def batch_of(values: Mapping[str, Sequence[object]]) -> pa.RecordBatch:
    names = [format_property(Property((name,))) for name in values]
    columns = [column_of(list(each)) for each in values.values()]
    return pa.RecordBatch.from_arrays(columns, names)


def evaluate(text: str, values: Mapping[str, Sequence[object]]) -> list[object]:
    """The values of an expression on rows; the same in every way that a batch may hold them."""
    value, batch = expression(text), batch_of(values)
    size = batch.num_rows
    whole = _python(Frame(batch).evaluate(value), size)
    padded = batch_of({name: ["é", *each, None] for name, each in values.items()})
    within = Frame(padded.slice(1, size)).evaluate(value)
    assert same(_python(within, size), whole), "a slice of a batch"
    rows = np.arange(0, size, 2)
    few = FewRows(batch, rows).evaluate(value)
    assert same(_python(few, len(rows)), whole[::2]), "some rows of a batch"
    assert _python(Frame(batch.slice(0, 0)).evaluate(value), 0) == []
    for row in range(min(size, 3)):
        alone = Frame(batch.slice(row, 1)).evaluate(value)
        assert same(_python(alone, 1), whole[row : row + 1]), "a batch of one row"
    return whole


def same(left: object, right: object) -> bool:
    """Whether two values are one, of one type, down to the sign of zero."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return repr(left) == repr(right)


def _python(column: pa.Array, size: int) -> list[object]:
    assert len(column) == size
    assert column.type in PLAIN_KIND or column.type == VARIANT
    column.validate(full=True)
    return to_python(column)
