"""Equality and order of two columns, value by value; two-valued, null is a value like others.

The first cases of `equal` and `less` are the fast paths, columns of one plain type against
another or a constant of the same; what follows answers for any mixture.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.build import repeat
from mql.columnar.equality_keys import nested_keys
from mql.columnar.kinds import is_null, kinds_of, mask_of
from mql.columnar.layout import Mask
from mql.columnar.read import booleans_of, doubles_of, ints_of, strings_of
from mql.language.syntax import Comparator
from mql.values.kind import Kind


def compare(operator: Comparator, left: pa.Array, right: pa.Array) -> Mask:
    """Where `left operator right` holds. Both columns have one length, or `right` has length 1."""
    match operator:
        case Comparator.EQ:
            return equal(left, right)
        case Comparator.NE:
            return ~equal(left, right)
        case Comparator.LT | Comparator.LE:
            return ordered(left, right, or_equal=operator is Comparator.LE)
        case Comparator.GT | Comparator.GE:
            return ordered(right, left, or_equal=operator is Comparator.GE)


def equal(left: pa.Array, right: pa.Array) -> Mask:
    """Where the values are equal; numbers across integer and double, null equals null."""
    if left.type == right.type and left.type in (pa.int64(), pa.float64(), pa.string(), pa.bool_()):
        if len(right) == 1 and right[0].is_valid:
            return mask_of(kernels.compare("equal", left, right[0]))
        if len(left) == len(right):
            same = mask_of(kernels.compare("equal", left, right))
            return same | (is_null(left) & is_null(right)) if left.null_count else same
    left_kinds, right_kinds = kinds_of(left), kinds_of(right)
    same = (left_kinds == Kind.NULL) & (right_kinds == Kind.NULL)
    both = (left_kinds == Kind.BOOL) & (right_kinds == Kind.BOOL)
    if both.any():
        same = same | (both & (booleans_of(left) == booleans_of(right)))
    same = same | _compare_numbers(Comparator.EQ, left, right)
    texts = (left_kinds >= Kind.STRING) & (left_kinds == right_kinds)
    if texts.any():
        same = same | _equal_texts(left, right, texts)
    return same


def ordered(left: pa.Array, right: pa.Array, *, or_equal: bool) -> Mask:
    """Where left < right (or <=): numbers with numbers, strings with strings, else false."""
    numbers = {pa.int64(), pa.float64()}
    if left.type in numbers and right.type in numbers:
        return _compare_numbers(Comparator.LE if or_equal else Comparator.LT, left, right)
    kernel = "less_equal" if or_equal else "less"
    if left.type == right.type == pa.string():
        return mask_of(kernels.compare(kernel, *_broadcast(left, right)))
    mask = _compare_numbers(Comparator.LE if or_equal else Comparator.LT, left, right)
    strings = (kinds_of(left) == Kind.STRING) & (kinds_of(right) == Kind.STRING)
    if strings.any():
        a, b = _picked(strings_of(left), strings), _picked(strings_of(right), strings)
        mask = mask.copy()
        mask[strings] = mask_of(kernels.compare(kernel, a, b))
    return mask


def _compare_numbers(operator: Comparator, left: pa.Array, right: pa.Array) -> Mask:
    """Numbers with numbers, exactly, though one be an integer and the other a double."""
    if left.type == right.type == pa.int64():
        return _where_present(_apply(operator, ints_of(left), ints_of(right)), left, right)
    if left.type == right.type == pa.float64():
        return _where_present(_apply(operator, doubles_of(left), doubles_of(right)), left, right)
    a, b = kinds_of(left), kinds_of(right)
    numeric = ((a == Kind.INT) | (a == Kind.DOUBLE)) & ((b == Kind.INT) | (b == Kind.DOUBLE))
    if not numeric.any():
        return numeric
    x, y = doubles_of(left), doubles_of(right)
    out = numeric & _apply(operator, x, y)
    near = numeric & (x == y) & (np.abs(x) >= 2.0**53)  # where a double may not tell them apart
    if near.any():
        exact = _apply(operator, _exact(left, near), _exact(right, near))
        out[near] = exact.astype(np.bool_)
    return out


def _exact(column: pa.Array, where: Mask) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    """Python numbers, whose comparisons are exact, for the few rows that need them."""
    size = len(where)
    kinds = np.broadcast_to(kinds_of(column), size)[where]
    ints = np.broadcast_to(ints_of(column), size)[where].tolist()
    doubles = np.broadcast_to(doubles_of(column), size)[where].tolist()
    values = [i if k == Kind.INT else d for k, i, d in zip(kinds, ints, doubles, strict=True)]
    out = np.empty(len(values), object)
    out[:] = values
    return out


def _equal_texts(left: pa.Array, right: pa.Array, where: Mask) -> Mask:
    """Strings with strings; lists and objects by what they hold."""
    out = np.zeros(len(where), np.bool_)
    kinds = np.broadcast_to(kinds_of(left), len(where))
    strings = where & (kinds == Kind.STRING)
    if strings.any():
        a, b = _picked(strings_of(left), strings), _picked(strings_of(right), strings)
        out[strings] = mask_of(kernels.compare("equal", a, b))
    nested = where & (kinds > Kind.STRING)
    if nested.any():
        a, b = _picked(left, nested), _picked(right, nested)
        out[nested] = mask_of(kernels.compare("equal", nested_keys(a), nested_keys(b)))
    return out


def _picked(column: pa.Array, where: Mask) -> pa.Array:
    """The rows where the mask is true; a column of length 1 stands for every row."""
    if len(column) == 1 and len(where) != 1:
        return repeat(column, int(where.sum()))
    return kernels.filter(column, where)


def _broadcast(left: pa.Array, right: pa.Array) -> tuple[pa.Array, pa.Array]:
    """A column of length 1 beside a longer one as a scalar, as Arrow's kernels want it."""
    if len(left) == len(right):
        return left, right
    return (left[0] if len(left) == 1 else left), (right[0] if len(right) == 1 else right)


def _where_present(mask: Mask, *columns: pa.Array) -> Mask:
    for column in columns:
        if column.null_count:
            mask = mask & ~is_null(column)
    return mask


def _apply(operator: Comparator, a: np.ndarray, b: np.ndarray) -> Mask:
    out: Mask
    match operator:
        case Comparator.EQ:
            out = a == b
        case Comparator.LT:
            out = a < b
        case _:
            out = a <= b
    return out
