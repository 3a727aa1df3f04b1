"""`coalesce(a, b, …)` and `if(CONDITION, a, b)`: in each row one of several values, null too."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import from_numpy, scalar, to_numpy
from mql.columnar.build import variant
from mql.columnar.concat import as_variant
from mql.columnar.kinds import is_null, kinds_of
from mql.columnar.layout import VARIANT, Mask
from mql.exec.expressions.scalars.arguments import size_of, spread


def coalesce(*columns: pa.Array) -> pa.Array:
    """In each row the first value that is not null."""
    size = size_of(columns)
    made, *others = columns
    for other in others:
        missing = is_null(made)
        if not missing.any():
            break
        made = choose(np.broadcast_to(missing, size), other, made)
    return spread(made, size)


def choose(mask: Mask, then: pa.Array, otherwise: pa.Array) -> pa.Array:
    """Where the mask holds one value, else the other; a column of one row stands for any number."""
    size = len(mask)
    if mask.all():
        return spread(then, size)
    if not mask.any():
        return spread(otherwise, size)
    kind = otherwise.type if then.type == pa.null() else then.type
    if kind != VARIANT and {then.type, otherwise.type} <= {kind, pa.null()}:
        some, others = _operand(then, kind), _operand(otherwise, kind)
        return kernels.if_else(from_numpy(mask), some, others)
    both = (as_variant(spread(column, size)) for column in (then, otherwise))
    return _choose_variants(mask, *both)


def _operand(column: pa.Array, kind: pa.DataType) -> pa.Array | pa.Scalar:
    """A column of a plain kind as the kernel takes it, one row as a scalar."""
    if column.type == pa.null():
        return scalar(None, kind)
    return column[0] if len(column) == 1 else column


def _choose_variants(mask: Mask, then: pa.Array, otherwise: pa.Array) -> pa.Array:
    kinds = np.where(mask, kinds_of(then), kinds_of(otherwise))
    ints, doubles = (
        np.where(mask, to_numpy(then.field(name)), to_numpy(otherwise.field(name)))
        for name in ("int", "double")
    )
    texts = kernels.if_else(from_numpy(mask), then.field("text"), otherwise.field("text"))
    return variant(kinds, ints, doubles, texts)
