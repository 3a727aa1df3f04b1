"""Groups: from key columns to dense group numbers, in order of first appearance."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import prod

import numpy as np
import pyarrow as pa

from mql import kernels
from mql.arrays import to_numpy
from mql.batch import Ints, keys_of, to_python
from mql.values import canonical_json

_DENSE = 4
"""Up to this many possible codes a row, counting beats sorting."""

_MOST = 1 << 62
"""Codes are less than that, times the rows of a batch."""

_FEW = 512
"""Texts that Python compares as soon as Arrow would."""

_PLAIN = (pa.string(), pa.int64(), pa.float64())
"""Columns whose Python values are equal exactly if MQL calls them equal."""

Key = tuple[Hashable, ...]


def encode(column: pa.Array) -> tuple[Ints, pa.Array]:
    """Number the distinct values of a column, and give a column of them.

    Returns codes (int64, one a row, in order of first appearance) and, for each code, a value
    that has it. The texts of a dictionary are numbered in its order, also those that no row has.
    """
    if pa.types.is_dictionary(column.type):
        return _encode_dictionary(column)
    encoded = kernels.dictionary_encode(keys_of(column), nulls="encode")
    codes: Ints = to_numpy(encoded.indices).astype(np.int64)
    if column.type in _PLAIN:
        return codes, encoded.dictionary
    first = first_rows(codes, len(encoded.dictionary))
    return codes, kernels.take(column, first)


def _encode_dictionary(column: pa.DictionaryArray) -> tuple[Ints, pa.Array]:
    numbers, texts = column.indices, column.dictionary
    if numbers.null_count:
        numbers = kernels.fill_null(numbers, len(texts))
        texts = pa.concat_arrays([texts, pa.nulls(1, texts.type)])
    codes: Ints = to_numpy(numbers)
    if len(texts) <= _FEW and len(set(texts.to_pylist())) == len(texts):
        return codes, texts
    of_texts, distinct = encode(texts)
    return (codes if len(distinct) == len(of_texts) else of_texts[codes]), distinct


def first_rows(codes: Ints, size: int) -> Ints:
    """The first row of each of `size` dense codes."""
    first = np.zeros(size, np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return first


def combine(codes: Sequence[Ints], sizes: Sequence[int]) -> tuple[Ints, Ints]:
    """Number the distinct tuples of several codes.

    Returns dense codes in order of first appearance, and the first row of each.
    """
    rows = len(codes[0])
    composite, space = _composite(codes, sizes)
    if space <= _DENSE * rows + 1024:
        first = np.full(space, rows, np.int64)
        first[composite[::-1]] = np.arange(rows - 1, -1, -1)
        used = np.flatnonzero(first < rows)
        order = used[np.argsort(first[used], kind="stable")]
        number = np.empty(space, np.int64)
        number[order] = np.arange(len(order))
        return number[composite], first[order]
    _, first, inverse = np.unique(composite, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    return number[inverse], first[order]


def tuples(codes: Sequence[Ints], sizes: Sequence[int]) -> tuple[Ints, Ints, list[Ints]]:
    """Find the distinct tuples of several codes, in no order; sooner than `combine` does.

    Returns a number for each row, the numbers that are in use, and for each of those its codes.
    """
    composite, _ = _composite(codes, sizes)
    space = prod(sizes)
    if space <= _DENSE * len(composite) + 1024:
        used = np.flatnonzero(np.bincount(composite, minlength=space))
        return composite, used, list(np.unravel_index(used, sizes))
    _, first, inverse = np.unique(composite, return_index=True, return_inverse=True)
    return inverse, np.arange(len(first)), [code[first] for code in codes]


def _composite(codes: Sequence[Ints], sizes: Sequence[int]) -> tuple[Ints, int]:
    """One code for each tuple of codes, and below which number they are."""
    composite, space = np.zeros(0, np.int64), 1
    for each, size in zip(codes, sizes, strict=True):
        if space * size > _MOST:
            values, composite = np.unique(composite, return_inverse=True)
            space = len(values)
        if space > 1 < size:
            composite = composite * size + each
        elif size > 1:
            composite = each
        space *= size
    return (composite if space > 1 else np.zeros(len(codes[0]), np.int64)), space


def grown(array: np.ndarray, size: int, fill: object = 0) -> np.ndarray:
    """The array with room for `size` groups, doubling so that growing stays cheap."""
    if len(array) >= size:
        return array
    wider = np.full(max(size, 2 * len(array), 16), fill, array.dtype)
    wider[: len(array)] = array
    return wider


def hashable_keys(column: pa.Array) -> list[Hashable]:
    """Python values that are equal exactly if MQL calls the column's values equal."""
    if column.type in _PLAIN:
        values: list[Hashable] = column.to_pylist()
        return values
    return [_hashable(value) for value in to_python(column)]


def _hashable(value: object) -> Hashable:
    match value:
        case bool():
            return ("boolean", value)  # Python would have it equal 1
        case list() | dict():
            return ("json", canonical_json(value))
        case None | int() | float() | str():
            return value
    raise AssertionError(value)
