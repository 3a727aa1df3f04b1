"""`floor(x)`, `ceil(x)` and `round(x)`: the whole number below, above, or next to a number.

It is an integer where it fits 64 bits. A double is a half away from a whole number exactly where
its shortest decimal text is, so that `round` needs no text; `decimals.py` has the one with digits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from mql.columnar.arrays import from_numpy
from mql.columnar.build import variant
from mql.columnar.kinds import kinds_of
from mql.columnar.layout import Doubles
from mql.columnar.read import doubles_of, ints_of, whole_doubles
from mql.exec.expressions.scalars.arguments import nulls_of, numbers_in
from mql.exec.expressions.scalars.decimals import round_to_digits
from mql.values.json_coercion import INT64_MIN
from mql.values.kind import Kind

_HALF = 0.5


def floor(column: pa.Array) -> pa.Array:
    """The greatest whole number that is not above each number."""
    return _whole(numbers_in(column), np.floor)


def ceil(column: pa.Array) -> pa.Array:
    """The least whole number that is not below each number."""
    return _whole(numbers_in(column), np.ceil)


def round_half_away(column: pa.Array, digits: pa.Array | None = None) -> pa.Array:
    """The nearest whole number, or the nearest with so many digits; from two, that away from 0."""
    if digits is None:
        return _whole(numbers_in(column), _nearest)
    return round_to_digits(numbers_in(column), digits[0].as_py())


def _nearest(doubles: Doubles) -> Doubles:
    whole = np.trunc(doubles)
    return whole + np.where(np.abs(doubles - whole) >= _HALF, np.sign(doubles), 0.0)


def _whole(numbers: pa.Array, of_doubles: Callable[[Doubles], Doubles]) -> pa.Array:
    if numbers.type in (pa.int64(), pa.null()):
        return numbers
    doubles = of_doubles(doubles_of(numbers))
    if numbers.type == pa.float64() and (np.abs(doubles) < -INT64_MIN).all():
        return from_numpy(doubles.astype(np.int64), nulls_of(numbers))
    kinds = kinds_of(numbers)
    are_doubles = kinds == Kind.DOUBLE
    fits = are_doubles & whole_doubles(doubles)
    ints = np.where(fits, np.where(fits, doubles, 0.0).astype(np.int64), ints_of(numbers))
    return variant(np.where(fits, np.uint8(Kind.INT), kinds), ints, doubles)
