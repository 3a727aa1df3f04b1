"""`number(x)`: a number is itself, a text that is a JSON number becomes it, anything else is null.

Texts of a few digits, with a sign or a fraction perhaps, go by kernels; others that may be numbers
by Python, equal ones once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import from_numpy
from mql.columnar.build import variant
from mql.columnar.kinds import is_null, is_number, kinds_of, mask_of
from mql.columnar.layout import VARIANT, Ints, Mask
from mql.columnar.read import doubles_of, ints_of
from mql.columnar.text_bytes import bytes_of
from mql.exec.expressions.scalars.arguments import numbers_in, over_distinct, take_or_null
from mql.values.json_number import BLANKS, read_number
from mql.values.kind import Kind

_DIGITS_MAX = 18
"""So many digits are below 2^63."""
_WHOLE = rf"(?:0|[1-9][0-9]{{0,{_DIGITS_MAX - 1}}})"
_PATTERNS = (
    (rf"\A-?{_WHOLE}\.[0-9]{{1,{_DIGITS_MAX}}}\z", pa.float64()),
    (rf"\A-{_WHOLE}\z", pa.int64()),
)
"""Texts that Arrow reads as JSON means them, beside digits alone."""

_ZERO, _MINUS = b"0-"
_IS_LAST = np.zeros(256, np.bool_)
"""The bytes that a number, with blanks around it, may end with; it may begin with a minus, too."""
_IS_LAST[[*b"0123456789", *BLANKS.encode()]] = True
_IS_FIRST = _IS_LAST.copy()
_IS_FIRST[_MINUS] = True


def number(column: pa.Array) -> pa.Array:
    """The number that each value is, or is the text of."""
    if column.type == pa.string():
        return _of_texts(column) if not column.null_count else _of_present(column)
    if column.type != VARIANT:
        return numbers_in(column)
    are_texts = kinds_of(column) == Kind.STRING
    read = _of_texts(kernels.filter(column.field("text"), are_texts))
    kinds = np.where(is_number(column), kinds_of(column), np.uint8(Kind.NULL))
    ints, doubles = ints_of(column), doubles_of(column)
    kinds[are_texts] = kinds_of(read)
    ints[are_texts], doubles[are_texts] = ints_of(read), doubles_of(read)
    return variant(kinds, ints, doubles)


def _of_present(texts: pa.Array) -> pa.Array:
    """The numbers of texts of which some are null."""
    there = ~is_null(texts)
    rows = from_numpy(np.cumsum(there) - 1, ~there)
    return take_or_null(_of_texts(kernels.filter(texts, there)), rows)


def _of_texts(texts: pa.Array) -> pa.Array:
    """The numbers of texts, none of which is null."""
    size = len(texts)
    kinds, ints, doubles = np.zeros(size, np.uint8), np.zeros(size, np.int64), np.zeros(size)
    for rows, read in _read(texts):
        if len(rows) == size:
            return read
        kinds[rows], ints[rows], doubles[rows] = kinds_of(read), ints_of(read), doubles_of(read)
    return variant(kinds, ints, doubles)


def _read(texts: pa.Array) -> Iterator[tuple[Ints, pa.Array]]:
    """Rows whose texts may be numbers, one kind of text after the other, and what they are."""
    data, offsets = bytes_of(texts)
    if not data.size:
        return
    lengths, first = np.diff(offsets), data.take(offsets[:-1], mode="clip")
    found = mask_of(kernels.are_digits(texts))
    found = found & (lengths <= _DIGITS_MAX) & ((first != _ZERO) | (lengths == 1))
    if found.any():
        yield np.flatnonzero(found), kernels.cast(_where(texts, found), pa.int64())
    may_be = _IS_FIRST[first] & _IS_LAST[data[offsets[1:] - 1]] & (lengths > 0) & ~found
    rows, left = np.flatnonzero(may_be), _where(texts, may_be)
    for pattern, kind in _PATTERNS:
        if not len(rows):
            return
        found = mask_of(kernels.match_substring_regex(left, pattern))
        if found.any():
            yield rows[found], kernels.cast(_where(left, found), kind)
            rows, left = rows[~found], _where(left, ~found)
    if len(rows):
        yield rows, over_distinct(left, lambda text: read_number(cast("str", text)))


def _where(texts: pa.Array, mask: Mask) -> pa.Array:
    return texts if mask.all() else kernels.filter(texts, mask)
