"""Walks over the syntax tree, each written once."""

from __future__ import annotations

from collections.abc import Callable

from mql.language.syntax import (
    Aggregate,
    And,
    Arithmetic,
    Between,
    Comparison,
    Condition,
    Constant,
    Contains,
    In,
    Like,
    Matches,
    Not,
    Or,
    Property,
    Value,
)


def aggregates_in(value: Value) -> list[Aggregate]:
    """The aggregates in a value, left to right."""
    match value:
        case Aggregate():
            return [value]
        case Arithmetic(_, left, right, _):
            return aggregates_in(left) + aggregates_in(right)
        case _:
            return []


def properties_in(value: Value) -> list[Property]:
    """The properties that a value reads, those inside aggregates left out."""
    match value:
        case Property():
            return [value]
        case Arithmetic(_, left, right, _):
            return properties_in(left) + properties_in(right)
        case _:
            return []


def values_in(condition: Condition) -> list[Value]:
    """The values that a condition compares, left to right."""
    match condition:
        case Constant():
            return []
        case Comparison(_, left, right) | Contains(left, right):
            return [left, right]
        case Matches(left, _, _) | Like(left, _):
            return [left]
        case In(left, choices):
            return [left, *choices]
        case Between(left, low, high):
            return [left, low, high]
        case Not(inner):
            return values_in(inner)
        case And(conditions) | Or(conditions):
            return [value for inner in conditions for value in values_in(inner)]


def map_condition(condition: Condition, change: Callable[[Value], Value]) -> Condition:
    """The condition with each of its values changed."""
    match condition:
        case Constant():
            return condition
        case Comparison(operator, left, right):
            return Comparison(operator, change(left), change(right))
        case Contains(left, right):
            return Contains(change(left), change(right))
        case Matches(left, pattern, span):
            return Matches(change(left), pattern, span)
        case Like(left, pattern):
            return Like(change(left), pattern)
        case In(left, choices):
            return In(change(left), tuple(map(change, choices)))
        case Between(left, low, high):
            return Between(change(left), change(low), change(high))
        case Not(inner):
            return Not(map_condition(inner, change))
        case And(conditions):
            return And(tuple(map_condition(inner, change) for inner in conditions))
        case Or(conditions):
            return Or(tuple(map_condition(inner, change) for inner in conditions))


def patterns_in(condition: Condition) -> list[Matches | Like]:
    """The regexes and `like` patterns of a condition."""
    match condition:
        case Matches() | Like():
            return [condition]
        case Not(inner):
            return patterns_in(inner)
        case And(conditions) | Or(conditions):
            return [pattern for inner in conditions for pattern in patterns_in(inner)]
        case _:
            return []
