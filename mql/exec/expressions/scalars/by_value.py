"""What the functions share: the texts of a column, and functions of Python on distinct values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import to_numpy
from mql.columnar.build import column_of, null_where
from mql.columnar.kinds import kinds_of
from mql.columnar.layout import VARIANT
from mql.columnar.read import to_python
from mql.values.kind import Kind

ASCII_MAX = 127


def only_texts(column: pa.Array) -> pa.Array:
    """A string column of the values that are text; all others are null."""
    if column.type == pa.string():
        return column
    if column.type != VARIANT:
        return pa.nulls(len(column), pa.string())
    return null_where(column.field("text"), kinds_of(column) != Kind.STRING)


def is_ascii(texts: pa.Array) -> bool:
    """Whether no text of a string column holds anything but ASCII; nulls do not matter."""
    if not len(texts):
        return True
    _, offsets, data = texts.buffers()
    if data is None:
        return True
    bounds = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    inside = np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]]
    return not len(inside) or int(inside.max()) <= ASCII_MAX


def map_distinct(texts: pa.Array, function: Callable[[str], object]) -> pa.Array:
    """A column of what a function makes of each text, called once for each that is different."""
    coded = kernels.dictionary_encode(texts)
    made = column_of([*map(function, coded.dictionary.to_pylist()), None])
    return kernels.take(made, to_numpy(kernels.fill_null(coded.indices, len(made) - 1)))


def map_values(columns: list[pa.Array], function: Callable[..., object]) -> pa.Array:
    """A column of what a function makes of each row's values; for the rare cases only."""
    return column_of([function(*row) for row in zip(*map(to_python, columns), strict=True)])
