"""The kind of each value of a column, and where it has none."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import to_numpy
from mql.columnar.layout import PLAIN_KIND, VARIANT, Kinds, Mask
from mql.values.kind import Kind


def kinds_of(column: pa.Array) -> Kinds:
    """The kind of each value."""
    if column.type == VARIANT:
        kinds: Kinds = to_numpy(column.field("kind"))
        return kinds
    plain = PLAIN_KIND[column.type]
    if column.null_count == 0:
        return np.full(len(column), plain, np.uint8)
    return np.where(is_null(column), np.uint8(Kind.NULL), np.uint8(plain))


def is_null(column: pa.Array) -> Mask:
    """Where the column has no value."""
    if column.type == VARIANT:
        return np.equal(kinds_of(column), Kind.NULL)
    if column.null_count == 0:
        return np.zeros(len(column), np.bool_)
    return mask_of(kernels.is_null(column))


def mask_of(booleans: pa.Array) -> Mask:
    """A numpy mask from Arrow booleans; null is false."""
    if booleans.null_count:
        booleans = kernels.fill_null(booleans, False)
    mask: Mask = to_numpy(booleans)
    return mask


def is_number(column: pa.Array) -> Mask:
    """Which values are numbers."""
    kinds = kinds_of(column)
    return (kinds == Kind.INT) | (kinds == Kind.DOUBLE)
