"""Functions of numbers, exact to 64 bits: what is no number gives null."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal, localcontext
from math import isfinite

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.build import column_of, variant
from mql.columnar.choose import either
from mql.columnar.kinds import is_number, kinds_of, mask_of
from mql.columnar.layout import Doubles, Ints, Kinds, Mask
from mql.columnar.read import doubles_of, ints_of, whole_doubles
from mql.exec.expressions.scalars.by_value import map_distinct, only_texts
from mql.values.json_coercion import INT64_MAX, INT64_MIN
from mql.values.kind import Kind

_JSON_NUMBER = re.compile(
    r"[ \t\n\r]*(-?(?:0|[1-9][0-9]*))((?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)[ \t\n\r]*"
)
_SHORT_INT = r"\A-?(?:0|[1-9][0-9]{0,17})\z"
_DIGITS_MAX = 20
"""A longer integer is beyond 64 bits."""
_EXACT_DIGITS_MAX = 22
"""So many powers of ten are doubles, exactly."""
_SCALED_MAX = 2.0**31
_FRACTION_MAX = 2.0**52
"""From here on doubles are whole numbers."""
_HALF = 0.5
_NEAR_HALF = 1e-6
"""A scaled number that is nearer to a half is rounded by its decimal text. The error of scaling one
below `_SCALED_MAX` is smaller."""


def number(column: pa.Array) -> pa.Array:
    """Numbers as they are, and of texts those that are a number of JSON, with white space around.

    An integer beyond 64 bits becomes a double, and what no double holds null.
    """
    if column.type in (pa.int64(), pa.float64()):
        return column
    texts = only_texts(column)
    read = _numbers_of(texts)
    numeric = is_number(column)
    return either(numeric, _only_numbers(column, numeric), read) if numeric.any() else read


def absolute(column: pa.Array) -> pa.Array:
    """The distance from 0; of -2^63, which no integer of 64 bits has, as a double."""
    kinds, ints, doubles = _numbers(column)
    least = (kinds == Kind.INT) & (ints == INT64_MIN)
    kinds = np.where(least, np.uint8(Kind.DOUBLE), kinds)
    values = np.where(least, 2.0**63, np.abs(doubles))
    return variant(kinds, np.abs(np.where(least, 0, ints)), values)


def floor(column: pa.Array) -> pa.Array:
    """The largest whole number that is not above; an integer where 64 bits hold it."""
    return _whole(column, np.floor)


def ceil(column: pa.Array) -> pa.Array:
    """The smallest whole number that is not below; an integer where 64 bits hold it."""
    return _whole(column, np.ceil)


def round_half_away(column: pa.Array, digits: pa.Array | None = None) -> pa.Array:
    """The nearest number of so many decimal digits, a half away from zero.

    It is the number's shortest decimal text that is rounded: 1.005 to two digits is 1.01. Without
    digits the result is an integer where 64 bits hold it. `digits` holds one integer in all rows.
    """
    if digits is None or not len(column):
        return _whole(column, _nearest)
    places = int(ints_of(digits)[0])
    kinds, ints, doubles = _numbers(column)
    of_double, of_int = kinds == Kind.DOUBLE, kinds == Kind.INT
    rounded = _round_doubles(np.where(of_double, doubles, 0.0), places)
    if places >= 0 or not of_int.any():
        return variant(kinds, ints, np.where(of_double, rounded, 0.0))
    return column_of(
        [
            _round_int(int(i), -places) if k == Kind.INT else (d if k == Kind.DOUBLE else None)
            for k, i, d in zip(kinds.tolist(), ints.tolist(), rounded.tolist(), strict=True)
        ]
    )


def _numbers(column: pa.Array) -> tuple[Kinds, Ints, Doubles]:
    """Kinds that are those of numbers or null, the integers, and the doubles."""
    kinds = np.where(is_number(column), kinds_of(column), np.uint8(Kind.NULL))
    doubles = np.where(kinds == Kind.DOUBLE, doubles_of(column), 0.0)
    return kinds, ints_of(column), doubles


def _only_numbers(column: pa.Array, numeric: Mask) -> pa.Array:
    if numeric.all():
        return column
    kinds = np.where(numeric, kinds_of(column), np.uint8(Kind.NULL))
    return variant(kinds, ints_of(column), np.where(kinds == Kind.DOUBLE, doubles_of(column), 0.0))


def _numbers_of(texts: pa.Array) -> pa.Array:
    if texts.null_count == len(texts):
        return pa.nulls(len(texts))
    short = mask_of(kernels.match_substring_regex(texts, _SHORT_INT))
    if short.sum() == len(texts) - texts.null_count:
        return kernels.cast(texts, pa.int64())
    return map_distinct(texts, read_json_number)


def read_json_number(text: str) -> int | float | None:
    """The number that a text of JSON is, or None if it is none.

    >>> read_json_number(" 12 "), read_json_number("1e3"), read_json_number("0x10")
    (12, 1000.0, None)
    """
    found = _JSON_NUMBER.fullmatch(text)
    if found is None:
        return None
    whole, rest = found[1], found[2]
    if not rest and len(whole) <= _DIGITS_MAX:
        value = int(whole)
        return value if INT64_MIN <= value <= INT64_MAX else float(value)
    double = float(whole + rest)
    return double if isfinite(double) else None


def _whole(column: pa.Array, function: np.ufunc | object) -> pa.Array:
    kinds, ints, doubles = _numbers(column)
    of_double = kinds == Kind.DOUBLE
    if not of_double.any():
        return variant(kinds, ints, doubles)
    made: Doubles = function(doubles)  # type: ignore[operator]
    fits = of_double & whole_doubles(made)
    ints = np.where(fits, np.where(fits, made, 0.0).astype(np.int64), ints)
    return variant(np.where(fits, np.uint8(Kind.INT), kinds), ints, made)


def _nearest(values: Doubles) -> Doubles:
    """The nearest whole numbers, a half away from zero; what `x + 0.5` rounds is not looked at."""
    size = np.abs(values)
    below = np.trunc(size)
    return np.copysign(below + (size - below >= _HALF), values)


def _round_doubles(values: Doubles, places: int) -> Doubles:
    out = values.copy()
    by_text = np.ones(len(values), np.bool_)
    if 0 <= places <= _EXACT_DIGITS_MAX:
        with np.errstate(over="ignore"):
            scaled = np.abs(values) * 10.0**places
        fraction = scaled - np.floor(scaled)
        by_text = ~((scaled < _SCALED_MAX) & (np.abs(fraction - _HALF) > _NEAR_HALF))
        by_text &= np.abs(values) < _FRACTION_MAX
        scales = ~by_text & (scaled < _SCALED_MAX)
        near = np.rint(np.where(scales, scaled, 0.0)) / 10.0**places
        out = np.where(scales, np.copysign(near, values), values)
    for i in np.flatnonzero(by_text).tolist():
        out[i] = _round_text(float(values[i]), places)
    return out


def _round_text(value: float, places: int) -> float:
    """A double, rounded by its shortest decimal text."""
    with localcontext() as context:
        context.prec = 1_000
        return float(Decimal(repr(value)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))


def _round_int(value: int, zeros: int) -> int | float:
    unit = 10**zeros
    below, rest = divmod(abs(value), unit)
    rounded = (below + (2 * rest >= unit)) * unit
    rounded = -rounded if value < 0 else rounded
    return rounded if INT64_MIN <= rounded <= INT64_MAX else float(rounded)
