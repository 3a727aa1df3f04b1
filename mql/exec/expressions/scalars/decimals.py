"""`round(x, digits)`: half away from zero, by a number's shortest decimal text; 1.005 gives 1.01.

Integers stay integers, doubles doubles. Where a double, times a power of ten, is farther from a
half than all errors together, the nearest whole number divided by the power is the answer, since a
quotient of two exact numbers is the double next to it. The few others are rounded as decimals.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal
from functools import partial
from typing import cast

import numpy as np
import pyarrow as pa

from mql.columnar.arrays import from_numpy
from mql.columnar.build import variant
from mql.columnar.kinds import kinds_of
from mql.columnar.layout import Doubles, Ints, Mask
from mql.columnar.read import doubles_of, ints_of
from mql.exec.expressions.scalars.arguments import over_distinct
from mql.language.scalars import DIGITS_MAX
from mql.values.kind import Kind

_EXACT_POWER_MAX = 22
"""The largest power of ten that is a double."""
_INT64_POWER_MAX = 18
_TEXT_DIGITS_MAX = 18
"""A double's shortest decimal text has less digits than that."""
_ERROR = 2.0**-51
"""By so much, at most, of itself may a scaled double differ from its scaled decimal text.

The text, the product and the comparison each are off by 2^-53 at most.
"""
_HALF = 0.5
_EXACT = Context(prec=2 * (DIGITS_MAX + 400), rounding=ROUND_HALF_UP)


def round_to_digits(numbers: pa.Array, digits: int) -> pa.Array:
    """Numbers rounded to so many digits after the point, or before it; beyond all doubles null."""
    kinds = kinds_of(numbers)
    ints, doubles = ints_of(numbers), doubles_of(numbers)
    are_doubles = kinds == Kind.DOUBLE
    if digits < 0 and (kinds == Kind.INT).any():
        ints, beyond, fits = _rounded_ints(ints, -digits)
        kinds = np.where((kinds == Kind.INT) & ~fits, np.uint8(Kind.DOUBLE), kinds)
        doubles = np.where(are_doubles, doubles, beyond)
    if are_doubles.any():
        doubles = np.where(are_doubles, _rounded_doubles(doubles, digits), doubles)
        is_null = are_doubles & ~np.isfinite(doubles)
        kinds = np.where(is_null, np.uint8(Kind.NULL), kinds)
        doubles = np.where(is_null, 0.0, doubles)
    return variant(kinds, ints, doubles)


def _rounded_ints(ints: Ints, power: int) -> tuple[Ints, Doubles, Mask]:
    """Integers to a power of ten: as integers, as doubles, and where they fit 64 bits."""
    if power > _INT64_POWER_MAX:
        beyond = over_distinct(from_numpy(ints), lambda value: _by_decimal(value, -power))
        doubles = doubles_of(beyond)
        return np.zeros(len(ints), np.int64), doubles, doubles == 0
    unit = 10**power
    rest = np.fmod(ints, np.int64(unit))
    is_away = np.abs(rest) >= unit - np.abs(rest)
    with np.errstate(over="ignore"):
        rounded = ints - rest + np.where(is_away, np.sign(ints) * unit, 0)
    beyond = -(-(2**63) // unit) * unit  # the first multiple that does not fit
    fits = (rounded == 0) | ((rounded < 0) == (ints < 0))
    return rounded, np.copysign(float(beyond), ints), fits


def _rounded_doubles(doubles: Doubles, digits: int) -> Doubles:
    size = np.abs(doubles)
    is_done = size >= 10.0 ** (_TEXT_DIGITS_MAX - digits) if digits > 0 else size < 0
    rounded = doubles.copy()
    if 0 <= digits <= _EXACT_POWER_MAX:
        power = 10.0**digits
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = size * power
            below = np.floor(scaled)
            part = scaled - below
            is_sure = ~is_done & (np.abs(part - _HALF) > scaled * _ERROR)
            nearest = np.copysign((below + (part > _HALF)) / power, doubles)
        rounded = np.where(is_sure, nearest, rounded)
        is_done = is_done | is_sure
    left = ~is_done
    if left.any():
        values = from_numpy(doubles[left])
        made = over_distinct(values, partial(_by_decimal, digits=digits))
        rounded[left] = np.where(kinds_of(made) == Kind.NULL, np.inf, doubles_of(made))
    return rounded


def _by_decimal(value: object, digits: int) -> float:
    number = Decimal(repr(value))
    if cast("int", number.as_tuple().exponent) >= -digits:
        return cast("float", value)
    return float(number.quantize(Decimal((0, (1,), -digits)), context=_EXACT))
