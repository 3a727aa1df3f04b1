"""`length(x)`: the code points of a text, the elements of a list, the keys of an object."""

from __future__ import annotations

from typing import cast

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import from_numpy
from mql.columnar.build import null_where
from mql.columnar.kinds import kinds_of
from mql.columnar.layout import VARIANT
from mql.columnar.read import strings_of
from mql.columnar.text_bytes import bytes_of, is_ascii
from mql.exec.expressions.scalars.arguments import nulls_of, over_distinct, texts_in
from mql.exec.expressions.scalars.choice import choose
from mql.values.json_values import read_json
from mql.values.kind import Kind


def length(column: pa.Array) -> pa.Array:
    """How long each text, list or object is."""
    lengths = _of_texts(texts_in(column))
    if column.type != VARIANT:
        return lengths
    are_nested = kinds_of(column) > Kind.STRING
    if not are_nested.any():
        return lengths
    nested = over_distinct(null_where(strings_of(column), ~are_nested), _size)
    return choose(are_nested, nested, lengths)


def _of_texts(texts: pa.Array) -> pa.Array:
    if not is_ascii(texts):
        return kernels.cast(kernels.count_points(texts), pa.int64())
    _, offsets = bytes_of(texts)
    return from_numpy(np.diff(offsets), nulls_of(texts))


def _size(text: object) -> int:
    return len(cast("list[object] | dict[str, object]", read_json(cast("str", text))))
