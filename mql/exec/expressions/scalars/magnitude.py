"""`abs(x)`: a number without its sign."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mql.columnar.arrays import from_numpy
from mql.columnar.build import variant
from mql.columnar.kinds import kinds_of
from mql.columnar.read import doubles_of, ints_of
from mql.exec.expressions.scalars.arguments import nulls_of, numbers_in
from mql.values.json_coercion import INT64_MIN
from mql.values.kind import Kind


def absolute(column: pa.Array) -> pa.Array:
    """The numbers without their signs; 2^63 is a double."""
    numbers = numbers_in(column)
    if numbers.type == pa.float64():
        return from_numpy(np.abs(doubles_of(numbers)), nulls_of(numbers))
    ints = ints_of(numbers)
    is_least = ints == INT64_MIN
    if numbers.type == pa.int64() and not is_least.any():
        return from_numpy(np.abs(ints), nulls_of(numbers))
    kinds = kinds_of(numbers)
    kinds = np.where(is_least, np.uint8(Kind.DOUBLE), kinds)
    return variant(kinds, np.abs(np.where(is_least, 0, ints)), np.abs(doubles_of(numbers)))
