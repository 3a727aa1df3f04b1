"""`abs(x)`: a number without its sign."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mql.columnar.build import variant
from mql.columnar.kinds import kinds_of
from mql.columnar.read import doubles_of, ints_of
from mql.exec.expressions.scalars.arguments import numbers_in
from mql.values.json_coercion import INT64_MIN
from mql.values.kind import Kind


def absolute(column: pa.Array) -> pa.Array:
    """The numbers without their signs; 2^63 is a double."""
    numbers = numbers_in(column)
    kinds, ints = kinds_of(numbers), ints_of(numbers)
    is_least = ints == INT64_MIN
    kinds = np.where(is_least, np.uint8(Kind.DOUBLE), kinds)
    return variant(kinds, np.abs(np.where(is_least, 0, ints)), np.abs(doubles_of(numbers)))
