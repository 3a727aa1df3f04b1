"""What a condition costs, roughly, so that cheap ones come first.

The figures are of plain columns; how they compare matters, not what they are.
"""

from __future__ import annotations

from typing import assert_never

from mql.language.scalars import SCALARS
from mql.language.syntax import (
    Aggregate,
    And,
    Arithmetic,
    Between,
    Call,
    Comparison,
    Condition,
    Constant,
    Contains,
    If,
    In,
    Like,
    Literal,
    Matches,
    Not,
    Or,
    Property,
    Provenance,
    Tick,
    Value,
    values_in,
)
from mql.language.traverse import properties_in

_ELEMENTS_NS = 20
_IF_NS = 10


def condition_cost_ns(condition: Condition) -> int:
    """What a condition costs, in ns an event."""
    match condition:
        case Constant():
            return 0
        case Comparison():
            return 2 + _values_cost_ns(condition)
        case Between():
            return 4 + _values_cost_ns(condition)
        case In():
            return 6 + _values_cost_ns(condition)
        case Contains():
            return 50 + _values_cost_ns(condition)
        case Matches() | Like():
            return 60 + _values_cost_ns(condition)
        case Not(inner):
            return 1 + condition_cost_ns(inner)
        case And(conditions) | Or(conditions):
            return sum(map(condition_cost_ns, conditions))
        case _:
            assert_never(condition)


def _values_cost_ns(condition: Condition) -> int:
    """What the values cost that a condition compares; `[*]` has it compare more of them."""
    values = values_in(condition)
    elements = _ELEMENTS_NS * any(p.has_any for value in values for p in properties_in(value))
    return elements + sum(map(_value_cost_ns, values))


def _value_cost_ns(value: Value) -> int:
    match value:
        case Call(function=function, arguments=arguments):
            return SCALARS[function].cost_ns + sum(map(_value_cost_ns, arguments))
        case If(condition, then, otherwise):
            return (
                _IF_NS
                + condition_cost_ns(condition)
                + _value_cost_ns(then)
                + _value_cost_ns(otherwise)
            )
        case Arithmetic(_, left, right):
            return _value_cost_ns(left) + _value_cost_ns(right)
        case Property() | Literal() | Tick() | Provenance() | Aggregate():
            return 0
        case _:
            assert_never(value)
