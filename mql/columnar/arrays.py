"""Arrow arrays and scalars from Python's values and NumPy's.

`pyarrow.array` and `pyarrow.scalar` import pandas where it is installed, on the thread that first
calls them, and ask of each value they are given whether pandas made it. The functions here lay the
values over Arrow's buffers. These packages make arrays and scalars in no other way: the linter
refuses pyarrow's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, repeat
from operator import is_
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Mask = npt.NDArray[np.bool_]
Offsets = npt.NDArray[np.int32]

_FEW, _PIECE = 64, 1024
"""Up to `_FEW` texts are appended one by one; more are encoded, `_PIECE` of them at once."""
_OFFSET_MAX = 2**31 - 1
_EXACT_INT_MAX = 2**53
_DTYPES: dict[pa.DataType, type[np.generic]] = {
    pa.from_numpy_dtype(dtype): dtype
    for dtype in (
        *(np.bool_, np.int8, np.int16, np.int32, np.int64, np.float32, np.float64),
        *(np.uint8, np.uint16, np.uint32, np.uint64),
    )
}


def from_numpy(values: npt.NDArray[Any], null: Mask | None = None) -> pa.Array:
    """A column over NumPy's numbers or booleans.

    >>> from_numpy(np.arange(4)[::2]).to_pylist()
    [0, 2]
    >>> from_numpy(np.array([True, False]), np.array([False, True])).to_pylist()
    [True, None]
    """
    kind = pa.from_numpy_dtype(values.dtype)
    data = _bits(values) if kind == pa.bool_() else pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(kind, len(values), [_present(null), data])


def to_numpy(column: pa.Array) -> npt.NDArray[Any]:
    """The values of a column of numbers or booleans; not to be written to. A null double is NaN.

    Raises ArrowInvalid for other nulls and types. `Array.to_numpy` would import pandas.

    >>> to_numpy(ints([1, 2, 3])[1:])
    array([2, 3])
    >>> to_numpy(booleans([True, False])), to_numpy(doubles([1.5, None]))
    (array([ True, False]), array([1.5, nan]))
    """
    there, data = column.buffers()
    size, offset = len(column), column.offset
    dtype = _DTYPES.get(column.type)
    if dtype is None or (column.null_count and dtype is not np.float64):
        raise pa.ArrowInvalid(f"{column.type} with {column.null_count} nulls is no NumPy array")
    if not size:
        return np.zeros(0, dtype)
    if dtype is np.bool_:
        values = _read_bits(data, offset, size)
    else:
        place = offset * np.dtype(dtype).itemsize
        values = np.frombuffer(data, dtype, size, place)
        values.flags.writeable = False
    if not column.null_count:
        return values
    return np.where(_read_bits(there, offset, size), values, np.nan)


def distinct(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The different values, ascending; for this, `np.unique` would import `numpy.ma`.

    >>> distinct(np.array([3, 1, 3]))
    array([1, 3])
    """
    ordered = np.sort(values)
    first = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


def are_among(values: npt.NDArray[np.int64], ascending: npt.NDArray[np.int64]) -> Mask:
    """Which values are among some that ascend; as `np.isin`, and without `numpy.ma`.

    >>> are_among(np.array([4, 1, 9]), np.array([1, 4]))
    array([ True,  True, False])
    """
    if not len(ascending):
        return np.zeros(len(values), np.bool_)
    places = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return np.equal(ascending[places], values)


def booleans(values: Sequence[bool | None]) -> pa.Array:
    """A column of booleans.

    >>> booleans([True, None]).to_pylist()
    [True, None]
    """
    return from_numpy(np.fromiter(values, np.bool_, len(values)), _nulls(values))


def ints(values: Sequence[int | None]) -> pa.Array:
    """A column of 64-bit integers. Raises OverflowError where one does not fit.

    >>> ints([1, None]).to_pylist()
    [1, None]
    """
    try:
        return from_numpy(np.fromiter(values, np.int64, len(values)))
    except TypeError:
        filled = np.fromiter((value or 0 for value in values), np.int64, len(values))
        return from_numpy(filled, _nulls(values))


def doubles(values: Sequence[float | None]) -> pa.Array:
    """A column of doubles; NaN is a value.

    >>> doubles([1.5, None, float("nan"), 2]).to_pylist()
    [1.5, None, nan, 2.0]
    """
    made = np.fromiter(values, np.float64, len(values))  # None becomes NaN
    return from_numpy(made, _nulls(values) if np.isnan(made).any() else None)


def texts(values: Sequence[str | None]) -> pa.Array:
    """A column of texts. Raises UnicodeEncodeError for a lone surrogate.

    >>> texts(["é", None, "a"]).to_pylist()
    ['é', None, 'a']
    """
    if len(values) <= _FEW:
        builder = pa.lib.StringBuilder()
        builder.append_values(values)
        return builder.finish()
    null = _nulls(values) if None in values else None
    there = _filled(values, null)
    data = _encoded(there)
    lengths = np.fromiter(map(len, there), np.int64, len(there))
    if lengths.sum() != data.size:  # a character of more than one byte is among them
        lengths = np.fromiter(map(len, map(str.encode, there)), np.int64, len(there))
    return _over_bytes(pa.string(), lengths, data, null)


def binaries(values: Sequence[bytes]) -> pa.Array:
    """A column of bytes.

    >>> binaries([b"a", b""]).to_pylist()
    [b'a', b'']
    """
    lengths = np.fromiter(map(len, values), np.int64, len(values))
    return _over_bytes(pa.binary(), lengths, pa.py_buffer(b"".join(values)), None)


def lists(offsets: Offsets, elements: pa.Array, null: Mask | None = None) -> pa.Array:
    """A column of lists: row i has the elements from `offsets[i]` to `offsets[i + 1]`.

    >>> lists(np.array([0, 2, 2], np.int32), ints([1, 2])).to_pylist()
    [[1, 2], []]
    """
    buffers = [_present(null), pa.py_buffer(np.ascontiguousarray(offsets, np.int32))]
    kind = pa.list_(elements.type)
    return pa.Array.from_buffers(kind, len(offsets) - 1, buffers, children=[elements])


def structs(columns: dict[str, pa.Array], size: int, null: Mask | None = None) -> pa.Array:
    """A column of `size` structs of some columns, of which there may be none.

    >>> structs({"a": ints([1])}, 1).to_pylist(), structs({}, 2).to_pylist()
    ([{'a': 1}], [{}, {}])
    """
    kind = pa.struct([(name, column.type) for name, column in columns.items()])
    children = list(columns.values())
    return pa.Array.from_buffers(kind, size, [_present(null)], children=children)


def inferred(values: Sequence[Any]) -> pa.Array:
    """A column of what JSON has, nested as the values are, of the one type that holds them all.

    Integers become doubles beside doubles; an object has the keys of all. Raises ArrowInvalid where
    the values have no such type, or a double would round one; OverflowError for larger integers.

    >>> inferred([{"a": [1, 2.5]}, None, {"b": True}]).to_pylist()
    [{'a': [1.0, 2.5], 'b': None}, None, {'a': None, 'b': True}]
    """
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.nulls(len(values))
    if kinds == {int, float}:
        if any(type(value) is int and abs(value) > _EXACT_INT_MAX for value in values):
            raise pa.ArrowInvalid("an integer beside doubles that no double equals")
        return doubles(values)
    make = _MAKERS.get(kinds.pop()) if len(kinds) == 1 else None
    if make is None:
        raise pa.ArrowInvalid("values that have no one type")
    return make(values)


def empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    """The batch of a schema without rows."""
    return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


@lru_cache(maxsize=256)
def scalar(value: object, kind: pa.DataType) -> pa.Scalar:
    """A value of a plain type, or null of any.

    >>> scalar(1, pa.float64()).as_py(), scalar(None, pa.string()).as_py()
    (1.0, None)
    """
    if value is None:
        return pa.nulls(1, kind)[0]
    column = texts([str(value)]) if kind == pa.string() else from_numpy(_one(value, kind))
    return column[0]


def _one(value: object, kind: pa.DataType) -> npt.NDArray[Any]:
    return np.array([value], _DTYPES[kind])


def _inferred_lists(values: Sequence[list[Any] | None]) -> pa.Array:
    there = [value or () for value in values]
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, there), np.int32, len(there)), out=offsets[1:])
    return lists(offsets, inferred(list(chain.from_iterable(there))), _nulls(values))


def _inferred_structs(values: Sequence[dict[str, Any] | None]) -> pa.Array:
    there = [value or {} for value in values]
    names = dict.fromkeys(name for value in there for name in value)
    if not set(map(type, names)) <= {str}:
        raise pa.ArrowInvalid("a key that is no text")
    columns = {name: inferred([value.get(name) for value in there]) for name in names}
    return structs(columns, len(values), _nulls(values))


_MAKERS: dict[type, Any] = {
    bool: booleans,
    int: ints,
    float: doubles,
    str: texts,
    list: _inferred_lists,
    dict: _inferred_structs,
}


def _over_bytes(
    kind: pa.DataType, lengths: npt.NDArray[np.int64], data: pa.Buffer, null: Mask | None
) -> pa.Array:
    if data.size > _OFFSET_MAX:
        raise OverflowError(f"{data.size:,} bytes of text in one column")
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    buffers = [_present(null), pa.py_buffer(offsets), data]
    return pa.Array.from_buffers(kind, len(lengths), buffers)


def _filled(values: Sequence[str | None], null: Mask | None) -> Sequence[str]:
    return cast("Sequence[str]", values) if null is None else [value or "" for value in values]


def _encoded(values: Sequence[str]) -> pa.Buffer:
    """The texts one after the other, in UTF-8."""
    if len(values) <= _PIECE:
        return pa.py_buffer("".join(values).encode())
    sink = pa.BufferOutputStream()
    for start in range(0, len(values), _PIECE):
        sink.write("".join(values[start : start + _PIECE]).encode())
    return sink.getvalue()


def _nulls(values: Sequence[object]) -> Mask | None:
    """Where there is None, or None if that is nowhere."""
    null = np.fromiter(map(is_, values, repeat(None)), np.bool_, len(values))
    return null if null.any() else None


def _present(null: Mask | None) -> pa.Buffer | None:
    return None if null is None else _bits(~null)


def _read_bits(data: pa.Buffer, offset: int, size: int) -> Mask:
    """`size` bits from the one at `offset`."""
    first, skipped = divmod(offset, 8)
    packed = np.frombuffer(data, np.uint8, -(-(skipped + size) // 8), first)
    return np.unpackbits(packed, count=skipped + size, bitorder="little")[skipped:].view(np.bool_)


def _bits(mask: Mask) -> pa.Buffer:
    return pa.py_buffer(np.packbits(mask, bitorder="little"))
