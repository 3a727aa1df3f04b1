"""Columns that take each row from one of others."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import from_numpy
from mql.columnar.concat import concat
from mql.columnar.kinds import is_null
from mql.columnar.layout import Mask


def first_present(columns: list[pa.Array]) -> pa.Array:
    """In each row the first of the columns that is not null there."""
    first, *rest = columns
    for column in rest:
        if first.type == column.type and not pa.types.is_struct(first.type):
            first = kernels.coalesce(first, column)
        else:
            first = either(is_null(first), column, first)
    return first


def either(mask: Mask, column: pa.Array, other: pa.Array) -> pa.Array:
    """The rows of one column where the mask holds, else those of another; all have one length."""
    if column.type == other.type and not pa.types.is_struct(column.type):
        return kernels.if_else(from_numpy(mask), column, other)
    rows = np.arange(len(mask))
    return kernels.take(concat([column, other]), np.where(mask, rows, rows + len(mask)))
