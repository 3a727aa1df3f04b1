"""`number(x)`: a number is itself, a text that is a JSON number becomes it, anything else is null.

Texts of a few digits, with a sign or a fraction perhaps, go by kernels; the others by Python, equal
ones once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.build import variant
from mql.columnar.kinds import is_null, kinds_of, mask_of
from mql.columnar.layout import VARIANT, Ints, Mask
from mql.columnar.read import doubles_of, ints_of
from mql.columnar.text_bytes import bytes_of
from mql.exec.expressions.scalars.arguments import numbers_in, over_distinct, texts_in
from mql.exec.expressions.scalars.choice import choose
from mql.values.json_number import read_number
from mql.values.kind import Kind

_DIGITS_MAX = 18
"""So many digits are below 2^63."""
_WHOLE = rf"(?:0|[1-9][0-9]{{0,{_DIGITS_MAX - 1}}})"
_ZERO = ord("0")

Part = tuple[Ints, pa.Array]
"""Numbers, and the rows they are of."""


def number(column: pa.Array) -> pa.Array:
    """The number that each value is, or is the text of."""
    if column.type == pa.string():
        return _of_texts(column)
    numbers = numbers_in(column)
    if column.type != VARIANT:
        return numbers
    are_texts = kinds_of(column) == Kind.STRING
    if not are_texts.any():
        return numbers
    return choose(are_texts, _of_texts(texts_in(column)), numbers)


def _of_texts(texts: pa.Array) -> pa.Array:
    """The numbers of texts, null for those that are none."""
    there = ~is_null(texts)
    rows, left, parts = np.flatnonzero(there), texts, list[Part]()
    if len(rows) < len(texts):
        left = kernels.filter(texts, there)
    for are_such, kind in _KERNELS:
        found = are_such(left)
        if not found.any():
            continue
        if found.all() and not parts:
            return kernels.cast(texts, kind)
        parts.append((rows[found], kernels.cast(kernels.filter(left, found), kind)))
        rows, left = rows[~found], kernels.filter(left, ~found)
    if len(rows):
        parts.append((rows, over_distinct(left, lambda text: read_number(cast("str", text)))))
    return _together(parts, len(texts))


def _are_digits(texts: pa.Array) -> Mask:
    """Which texts are few digits alone, of which the first is no zero before others."""
    found = mask_of(kernels.are_digits(texts))
    if not found.any():
        return found
    data, offsets = bytes_of(texts)
    lengths = np.diff(offsets)
    first = data[np.minimum(offsets[:-1], len(data) - 1)]
    return found & (lengths <= _DIGITS_MAX) & ((first != _ZERO) | (lengths == 1))


def _match(pattern: str, texts: pa.Array) -> Mask:
    return mask_of(kernels.match_substring_regex(texts, pattern))


_KERNELS: tuple[tuple[Callable[[pa.Array], Mask], pa.DataType], ...] = (
    (_are_digits, pa.int64()),
    (partial(_match, rf"\A-{_WHOLE}\z"), pa.int64()),
    (partial(_match, rf"\A-?{_WHOLE}\.[0-9]{{1,{_DIGITS_MAX}}}\z"), pa.float64()),
)
"""Texts that Arrow reads as JSON means them: which they are, and what of."""


def _together(parts: Sequence[Part], size: int) -> pa.Array:
    kinds, ints, doubles = np.zeros(size, np.uint8), np.zeros(size, np.int64), np.zeros(size)
    for rows, numbers in parts:
        kinds[rows], ints[rows] = kinds_of(numbers), ints_of(numbers)
        doubles[rows] = doubles_of(numbers)
    return variant(kinds, ints, doubles)
