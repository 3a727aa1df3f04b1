"""Columns as arguments: what a function takes of them; the rest counts for null."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.build import column_of, null_where, repeat, variant
from mql.columnar.kinds import is_null, is_number, kinds_of
from mql.columnar.layout import VARIANT, Doubles, Ints, Mask
from mql.columnar.read import doubles_of, ints_of
from mql.values.json_coercion import INT64_MAX, INT64_MIN
from mql.values.kind import Kind


def texts_in(column: pa.Array) -> pa.Array:
    """The texts of a column, null for all else."""
    if column.type == pa.string():
        return column
    if column.type != VARIANT:
        return pa.nulls(len(column), pa.string())
    return null_where(column.field("text"), kinds_of(column) != Kind.STRING)


def numbers_in(column: pa.Array) -> pa.Array:
    """The numbers of a column, null for all else."""
    if column.type in (pa.int64(), pa.float64()):
        return column
    if column.type != VARIANT:
        return pa.nulls(len(column))
    kinds = np.where(is_number(column), kinds_of(column), np.uint8(Kind.NULL))
    return variant(kinds, ints_of(column), doubles_of(column))


def nulls_of(column: pa.Array) -> Mask | None:
    """Where a column has no value, or None if that is nowhere."""
    return is_null(column) if column.null_count else None


def whole_numbers_in(column: pa.Array) -> tuple[Ints, Mask]:
    """The whole numbers of a column, and where there are any; beyond 64 bits the nearest there."""
    kinds = kinds_of(column)
    if column.type == pa.int64():
        return ints_of(column), ~is_null(column)
    doubles = doubles_of(column)
    is_whole = (kinds == Kind.DOUBLE) & (doubles == np.floor(doubles))
    ints = np.where(is_whole, nearest_ints(doubles), ints_of(column))
    return ints, is_whole | (kinds == Kind.INT)


def nearest_ints(doubles: Doubles) -> Ints:
    """Whole doubles as integers; those beyond 64 bits become the nearest that there is."""
    is_above, is_below = doubles >= -float(INT64_MIN), doubles < INT64_MIN
    ints = np.where(is_above | is_below, 0.0, doubles).astype(np.int64)
    return np.where(is_above, INT64_MAX, np.where(is_below, INT64_MIN, ints))


def size_of(columns: Sequence[pa.Array]) -> int:
    """The length of some columns, of which those of one row stand for any number of rows."""
    return next((len(column) for column in columns if len(column) != 1), 1)


def spread(column: pa.Array, size: int) -> pa.Array:
    """The column as long as the others; one row is repeated."""
    return column if len(column) == size else repeat(column, size)


def over_distinct(column: pa.Array, function: Callable[[object], object]) -> pa.Array:
    """A function of each value of a plain column, called once for equal ones; null stays null.

    >>> from mql.columnar.arrays import texts
    >>> over_distinct(texts(["a", None, "ß", "a"]), lambda text: len(str(text))).to_pylist()
    [1, None, 1, 1]
    """
    encoded = kernels.dictionary_encode(column)
    made = column_of([function(value) for value in encoded.dictionary.to_pylist()])
    return take_or_null(made, encoded.indices)


def take_or_null(column: pa.Array, rows: pa.Array) -> pa.Array:
    """The rows of these numbers; null where there is no number."""
    if not rows.null_count:
        return kernels.take(column, rows)
    if not len(column):
        return pa.nulls(len(rows))
    return null_where(kernels.take(column, kernels.fill_null(rows, 0)), is_null(rows))
