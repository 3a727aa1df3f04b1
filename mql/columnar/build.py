"""Columns made from Python values, or from the arrays of a variant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from mql.columnar import arrays, kernels
from mql.columnar.arrays import from_numpy, to_numpy
from mql.columnar.kinds import kinds_of
from mql.columnar.layout import VARIANT, Doubles, Ints, Kinds, Mask
from mql.values.json_coercion import normalize
from mql.values.json_values import nested_json
from mql.values.kind import Kind


def column_of(values: list[object]) -> pa.Array:
    """A column from Python values.

    >>> column_of([1, None, 2]).type
    DataType(int64)
    >>> column_of([1, "a"]).field("kind").to_pylist()
    [2, 4]
    """
    types = set(map(type, values))
    types.discard(type(None))
    if not types:
        return pa.nulls(len(values))
    if len(types) == 1:
        made = _plain_column(values, types.pop())
        if made is not None:
            return made
    return _variant_column(values)


def list_column_of(values: list[list[object]]) -> pa.Array:
    """A `list` column from the elements of each row."""
    lengths = np.fromiter(map(len, values), np.int32, len(values))
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return arrays.lists(offsets, column_of([e for row in values for e in row]))


def column_of_kind(values: list[Any], kind: type) -> pa.Array:
    """The column of values that are known to be of one Python type or None.

    To `float` an int may have come: both are numbers, and JSON does not tell them apart.

    >>> column_of_kind([1.5, None, 2.0], float).to_pylist()
    [1.5, None, 2.0]
    >>> column_of_kind([1.5, 2], float).field("kind").to_pylist()
    [3, 2]
    """
    made = _doubles_or_none(values) if kind is float else _plain_column(values, kind)
    if made is None:
        return column_of(values)
    return pa.nulls(len(values)) if made.null_count == len(values) else made


def _doubles_or_none(values: list[Any]) -> pa.Array | None:
    """The column of doubles, or None if there is an int among them: it would be a whole one."""
    try:
        doubles = np.fromiter(values, np.float64, len(values))  # None becomes NaN
    except OverflowError:
        return None
    whole = np.flatnonzero(doubles == np.floor(doubles))
    if int in set(map(type, map(values.__getitem__, whole.tolist()))):
        return None
    return finite(from_numpy(doubles))


def _plain_column(values: list[Any], kind: type) -> pa.Array | None:
    """The column of values of one Python type, or None if that needs a variant."""
    try:
        if kind is str:
            return arrays.texts(values)
        if kind is int:
            return arrays.ints(values)
        if kind is bool:
            return arrays.booleans(values)
        if kind is float:
            return finite(arrays.doubles(values))
    except (OverflowError, UnicodeEncodeError, pa.ArrowInvalid):
        return None
    return None


def _variant_column(values: list[object]) -> pa.Array:
    size = len(values)
    kinds, ints, doubles = np.zeros(size, np.uint8), np.zeros(size, np.int64), np.zeros(size)
    texts: list[str | None] = [None] * size
    for i, value in enumerate(map(normalize, values)):
        match value:
            case None:
                pass
            case bool():
                kinds[i], ints[i] = Kind.BOOL, value
            case int():
                kinds[i], ints[i] = Kind.INT, value
            case float():
                kinds[i], doubles[i] = Kind.DOUBLE, value
            case str():
                kinds[i], texts[i] = Kind.STRING, value
            case _:
                kinds[i] = Kind.LIST if isinstance(value, list) else Kind.OBJECT
                texts[i] = nested_json(value)
    return variant(kinds, ints, doubles, arrays.texts(texts))


def variant(kinds: Kinds, ints: Ints, doubles: Doubles, texts: pa.Array | None = None) -> pa.Array:
    """The column of these values, plain if they are of one kind. All arrays have one length."""
    present = np.flatnonzero(np.bincount(kinds, minlength=7)[1:]) + 1
    if len(present) == 0:
        return pa.nulls(len(kinds))
    kind = present[0]
    if len(present) == 1 and kind <= Kind.STRING:
        null = kinds == Kind.NULL
        if kind == Kind.STRING:
            assert texts is not None
            return texts if texts.null_count == null.sum() else null_where(texts, null)
        values = {Kind.BOOL: ints.astype(np.bool_), Kind.INT: ints, Kind.DOUBLE: doubles}[
            Kind(kind)
        ]
        return from_numpy(values, null if null.any() else None)
    if texts is None:
        texts = pa.nulls(len(kinds), pa.string())
    elif texts.null_count < (kinds < Kind.STRING).sum():
        no_text = arrays.scalar(None, pa.string())
        texts = kernels.if_else(from_numpy(kinds >= Kind.STRING), texts, no_text)
    return pa.StructArray.from_arrays(
        [from_numpy(kinds), from_numpy(ints), from_numpy(doubles), texts], fields=list(VARIANT)
    )


def constant(value: object, size: int) -> pa.Array:
    """A column that holds one value `size` times."""
    return repeat(column_of([value]), size)


def repeat(column: pa.Array, size: int) -> pa.Array:
    """A column of one row, `size` times."""
    return kernels.take(column, np.zeros(size, np.int64))


def finite(column: pa.Array) -> pa.Array:
    """A double column with NaN and infinities made null."""
    values = to_numpy(column)
    if np.isfinite(values).all():
        return column
    return from_numpy(values, ~np.isfinite(values))


def doubles_where(values: Doubles, present: Mask) -> pa.Array:
    """A double column of the values that are present and finite; the others are null."""
    present = present & np.isfinite(values)
    return from_numpy(np.where(present, values, 0.0), ~present)


def null_where(column: pa.Array, mask: Mask) -> pa.Array:
    """The column with nulls where the mask is true."""
    if not mask.any():
        return column
    if column.type == VARIANT:
        kinds = np.where(mask, np.uint8(Kind.NULL), kinds_of(column))
        return variant(kinds, *_children(column))
    return kernels.if_else(from_numpy(mask), arrays.scalar(None, column.type), column)


def _children(column: pa.Array) -> tuple[Ints, Doubles, pa.Array]:
    return to_numpy(column.field("int")), to_numpy(column.field("double")), column.field("text")
