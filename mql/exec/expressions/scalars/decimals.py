"""`round(x, digits)`: half away from zero, by a number's shortest decimal text; 1.005 gives 1.01.

Integers stay integers, doubles doubles. The decimal that is halfway between two answers has 15
digits at most, but for large numbers, and so has no other text that is as short: a double's text is
that decimal exactly if the double is the nearest to it, and else lies on the side of it where the
double lies. Of whole numbers up to 2^53 and powers of ten up to 10^22, both exact, the quotient is
the double nearest to the decimal, and so are answers made. The other doubles go by decimals.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal
from functools import partial
from typing import cast

import numpy as np
import pyarrow as pa

from mql.columnar.arrays import from_numpy
from mql.columnar.build import finite, variant
from mql.columnar.kinds import is_null, kinds_of
from mql.columnar.layout import Doubles, Ints, Mask
from mql.columnar.read import doubles_of, ints_of
from mql.exec.expressions.scalars.arguments import nulls_of, over_distinct
from mql.language.scalars import DIGITS_MAX
from mql.values.kind import Kind

_EXACT_POWER_MAX = 22
"""The largest power of ten that is a double."""
_INT64_POWER_MAX = 18
_TEXT_DIGITS_MAX = 18
"""A double's shortest decimal text has fewer digits."""
_HALVES_MAX = 10.0**14
"""Below it a number and a half has 15 digits at most: doubles tell all decimals of these apart."""
_HALF = 0.5
_EXACT = Context(prec=2 * (DIGITS_MAX + 400), rounding=ROUND_HALF_UP)


def round_to_digits(numbers: pa.Array, digits: int) -> pa.Array:
    """Numbers rounded to so many digits after the point, or before it; beyond all doubles null."""
    if numbers.type == pa.null() or (numbers.type == pa.int64() and digits >= 0):
        return numbers
    ints, doubles = ints_of(numbers), doubles_of(numbers)
    if numbers.type == pa.float64():
        return finite(from_numpy(_rounded_doubles(doubles, digits), nulls_of(numbers)))
    kinds = kinds_of(numbers)
    are_doubles = kinds == Kind.DOUBLE
    doubles = _rounded_doubles(np.where(are_doubles, doubles, 0.0), digits)
    if digits < 0:
        ints, beyond, fits = _rounded_ints(ints, -digits)
        kinds = np.where((kinds == Kind.INT) & ~fits, np.uint8(Kind.DOUBLE), kinds)
        doubles = np.where(are_doubles, doubles, beyond)
    kinds = np.where(np.isfinite(doubles), kinds, np.uint8(Kind.NULL))
    return variant(kinds, ints, np.where(np.isfinite(doubles), doubles, 0.0))


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
    rounded = doubles.copy()
    left = size < 10.0 ** (_TEXT_DIGITS_MAX - digits) if digits >= 0 else size > 0
    if 0 <= digits <= _EXACT_POWER_MAX:
        power = 10.0**digits
        with np.errstate(over="ignore"):
            below = np.floor(size * power)
        by_half = below < _HALVES_MAX
        nearest = (below + (size >= (below + _HALF) / power)) / power
        rounded = np.where(left & by_half, np.copysign(nearest, doubles), rounded)
        left &= ~by_half
    if left.any():
        made = over_distinct(from_numpy(doubles[left]), partial(_by_decimal, digits=digits))
        rounded[left] = np.where(is_null(made), np.inf, doubles_of(made))
    return rounded


def _by_decimal(value: object, digits: int) -> float:
    number = Decimal(repr(value))
    if cast("int", number.as_tuple().exponent) >= -digits:
        return cast("float", value)
    return float(number.quantize(Decimal((0, (1,), -digits)), context=_EXACT))
