"""The values of a column, as NumPy, as text, or as Python has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from mql.columnar import arrays, kernels
from mql.columnar.arrays import from_numpy, to_numpy
from mql.columnar.kinds import kinds_of, mask_of
from mql.columnar.layout import VARIANT, Doubles, Ints, Mask
from mql.values.json_coercion import INT64_MAX, INT64_MIN
from mql.values.json_values import read_json, write_json
from mql.values.kind import Kind


def plain(column: pa.Array) -> pa.Array:
    """The column itself, of a dictionary its values."""
    if not pa.types.is_dictionary(column.type):
        return column
    return kernels.take(column.dictionary, column.indices)


def ints_of(column: pa.Array) -> Ints:
    """The integers of a column, 0 where it has none. Booleans count as none."""
    if column.type == pa.int64():
        return _values(column, 0)
    if column.type == VARIANT:
        return np.where(kinds_of(column) == Kind.INT, to_numpy(column.field("int")), 0)
    return np.zeros(len(column), np.int64)


def doubles_of(column: pa.Array) -> Doubles:
    """The numbers of a column as doubles, 0 where it has none."""
    if column.type == pa.float64():
        return _values(column, 0.0)
    if column.type == VARIANT:
        kinds = kinds_of(column)
        doubles = np.where(kinds == Kind.DOUBLE, to_numpy(column.field("double")), 0.0)
        return np.where(
            kinds == Kind.INT, to_numpy(column.field("int")).astype(np.float64), doubles
        )
    return ints_of(column).astype(np.float64)


def rests_of(column: pa.Array) -> Ints:
    """By how much each integer is more than the double of `doubles_of`, which is the nearest.

    Numbers compare as those pairs do, integers beside doubles too.
    """
    return rounding_rests(ints_of(column))


def rounding_rests(ints: Ints) -> Ints:
    """By how much each integer is more than the nearest double."""
    nearest = ints.astype(np.float64)
    is_beyond = nearest >= 2.0**63  # 2^63, which is -2^63 in 64 bits, where differences wrap
    return ints - np.where(is_beyond, INT64_MIN, np.where(is_beyond, 0, nearest).astype(np.int64))


def booleans_of(column: pa.Array) -> Mask:
    """Where the column is true."""
    if column.type == pa.bool_():
        return mask_of(column)
    if column.type == VARIANT:
        return np.equal(kinds_of(column), Kind.BOOL) & (to_numpy(column.field("int")) == 1)
    return np.zeros(len(column), np.bool_)


def strings_of(column: pa.Array) -> pa.Array:
    """The text child: strings, and the JSON of lists and objects; null for other kinds."""
    if column.type == pa.string():
        return column
    if column.type == VARIANT:
        return column.field("text")
    return pa.nulls(len(column), pa.string())


def texts_of(column: pa.Array) -> pa.Array:
    """Each value as text, as `==~`, `==+` and `like` see it; null stays null."""
    kind = column.type
    if kind == pa.string():
        return column
    if kind == pa.null():
        return pa.nulls(len(column), pa.string())
    if kind in (pa.int64(), pa.bool_()):
        return kernels.cast(column, pa.string())
    if kind == pa.float64():
        return map_texts(column, write_json)
    kinds = kinds_of(column)
    texts = column.field("text")
    for each in (Kind.BOOL, Kind.INT, Kind.DOUBLE):
        where = kinds == each
        if where.any():
            texts = kernels.if_else(from_numpy(where), _texts_of_kind(column, each), texts)
    return texts


def map_texts(
    column: pa.Array, function: Callable[[object], str] | Callable[[str], str]
) -> pa.Array:
    """A string column made value by value; for the rare paths only."""
    made = [None if v is None else function(v) for v in column.to_pylist()]
    return arrays.texts(made)


def to_python(column: pa.Array) -> list[object]:
    """The values, for the edges of the program: rows that leave it."""
    if column.type != VARIANT:
        values: list[object] = column.to_pylist()
        return values
    out: list[object] = [None] * len(column)
    kinds, ints = kinds_of(column).tolist(), column.field("int").to_pylist()
    doubles, texts = column.field("double").to_pylist(), column.field("text").to_pylist()
    for i, kind in enumerate(kinds):
        if kind == Kind.BOOL:
            out[i] = bool(ints[i])
        elif kind == Kind.INT:
            out[i] = ints[i]
        elif kind == Kind.DOUBLE:
            out[i] = doubles[i]
        elif kind == Kind.STRING:
            out[i] = texts[i]
        elif kind >= Kind.LIST:
            out[i] = read_json(texts[i])
    return out


def whole_doubles(doubles: Doubles) -> Mask:
    """Which doubles are whole numbers that an int64 can hold."""
    return (doubles == np.floor(doubles)) & (doubles >= INT64_MIN) & (doubles < float(INT64_MAX))


def _texts_of_kind(column: pa.Array, kind: Kind) -> pa.Array:
    """The texts of one kind of a variant's values; those of others mean nothing."""
    if kind is Kind.DOUBLE:
        return map_texts(from_numpy(doubles_of(column)), write_json)
    values = booleans_of(column) if kind is Kind.BOOL else ints_of(column)
    return kernels.cast(from_numpy(values), pa.string())


def _values(column: pa.Array, fill: float) -> Any:
    """The values of a plain column as numpy has them, nulls filled."""
    if column.null_count:
        column = kernels.fill_null(column, fill)
    return to_numpy(column)
