"""`+ - * / %` on columns: integers stay exact to 64 bits, what is not a number is null."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mql.columnar.build import variant
from mql.columnar.kinds import kinds_of
from mql.columnar.layout import Doubles, Ints, Mask
from mql.columnar.read import doubles_of, ints_of
from mql.language.syntax import ArithmeticOperator as Op
from mql.values.json_coercion import INT64_MIN
from mql.values.kind import Kind

_SAFE = 2.0**62


def calculate(operator: Op, left: pa.Array, right: pa.Array) -> pa.Array:
    """Apply an operator value by value.

    Integers give an integer, but for division, which is exact, and where 64 bits overflow: both
    give a double. Division by zero, and a result that no double holds, give null.
    """
    left_kinds, right_kinds = kinds_of(left), kinds_of(right)
    numbers = _numeric(left_kinds) & _numeric(right_kinds)
    a, b = doubles_of(left), doubles_of(right)
    with np.errstate(all="ignore"):
        doubles = _on_doubles(operator, a, b)
    kinds = np.where(numbers & np.isfinite(doubles), np.uint8(Kind.DOUBLE), np.uint8(Kind.NULL))
    ints = np.zeros(len(left), np.int64)
    whole = numbers & (left_kinds == Kind.INT) & (right_kinds == Kind.INT)
    if operator is not Op.DIVIDE and whole.any():
        ints, fits = _on_ints(operator, ints_of(left), ints_of(right), doubles)
        kinds = np.where(whole & fits, np.uint8(Kind.INT), kinds)
    return variant(kinds, ints, np.where(kinds == Kind.DOUBLE, doubles, 0.0))


def _numeric(kinds: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> Mask:
    return (kinds == Kind.INT) | (kinds == Kind.DOUBLE)


def _on_doubles(operator: Op, a: Doubles, b: Doubles) -> Doubles:
    match operator:
        case Op.ADD:
            return a + b
        case Op.SUBTRACT:
            return a - b
        case Op.MULTIPLY:
            return a * b
        case Op.DIVIDE:
            return np.where(b == 0, np.nan, a / b)
        case Op.REMAINDER:
            return np.where(b == 0, np.nan, np.fmod(a, b))


def _on_ints(operator: Op, a: Ints, b: Ints, doubles: Doubles) -> tuple[Ints, Mask]:
    """The integer results, and where they fit into 64 bits."""
    with np.errstate(all="ignore"):
        match operator:
            case Op.ADD:
                out = a + b
                return out, ((a ^ out) & (b ^ out)) >= 0
            case Op.SUBTRACT:
                out = a - b
                return out, ((a ^ b) & (a ^ out)) >= 0
            case Op.MULTIPLY:
                out = a * b
                return out, (np.abs(doubles) < _SAFE) | _product_fits(a, b, out)
            case Op.REMAINDER:
                safe = np.where((b == 0) | (b == -1), 1, b)
                return np.where(b == -1, 0, np.fmod(a, safe)), b != 0
            case Op.DIVIDE:
                raise AssertionError(operator)


def _product_fits(a: Ints, b: Ints, out: Ints) -> Mask:
    safe = np.where((a == 0) | (a == -1), 1, a)
    divides = (out // safe == b) & (out % safe == 0)
    return (a == 0) | ((a != -1) & divides) | ((a == -1) & (b != INT64_MIN))
