"""Walks over the syntax tree, each written once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

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
    parts_of,
    values_in,
)


def walk(value: Value) -> Iterator[Value]:
    """A value and all that it is made of, left to right; what is inside aggregates is left out."""
    yield value
    for part in parts_of(value):
        yield from walk(part)


def aggregates_in(value: Value) -> list[Aggregate]:
    """The aggregates in a value, left to right."""
    return [part for part in walk(value) if isinstance(part, Aggregate)]


def properties_in(value: Value) -> list[Property]:
    """The properties that a value reads, those inside aggregates left out."""
    return [part for part in walk(value) if isinstance(part, Property)]


def event_values_in(value: Value) -> list[Value]:
    """The largest parts that are of an event: they read it, and hold no aggregate."""
    if isinstance(value, Aggregate):
        return []
    if any(isinstance(part, Aggregate) for part in walk(value)):
        return [each for part in parts_of(value) for each in event_values_in(part)]
    return [value] if any(isinstance(p, Property | Provenance) for p in walk(value)) else []


def map_value(value: Value, change: Callable[[Value], Value]) -> Value:
    """The value with each of its direct parts changed; itself where it has none."""
    match value:
        case Arithmetic(operator, left, right, span):
            return Arithmetic(operator, change(left), change(right), span)
        case Call(arguments=arguments):
            return replace(value, arguments=tuple(map(change, arguments)))
        case If(condition, then, otherwise, span):
            return If(map_condition(condition, change), change(then), change(otherwise), span)
        case Property() | Literal() | Tick() | Provenance() | Aggregate():
            return value


def map_everywhere(value: Value, change: Callable[[Value], Value]) -> Value:
    """The value with all that has no parts changed, what is inside aggregates too."""

    def within(part: Value) -> Value:
        return map_everywhere(part, change)

    if isinstance(value, Aggregate):
        argument = None if value.argument is None else within(value.argument)
        condition = None if value.condition is None else map_condition(value.condition, within)
        return replace(value, argument=argument, condition=condition)
    return map_value(value, within) if parts_of(value) else change(value)


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


def walk_all(value: Value) -> Iterator[Value]:
    """As `walk`, and what is inside aggregates too."""
    for part in walk(value):
        yield part
        if isinstance(part, Aggregate):
            inner = [] if part.argument is None else [part.argument]
            inner += [] if part.condition is None else values_in(part.condition)
            for each in inner:
                yield from walk_all(each)


def calls_in(value: Value) -> list[Call]:
    """All calls of scalar functions in a value, left to right."""
    return [part for part in walk_all(value) if isinstance(part, Call)]


def conditions_in(value: Value) -> list[Condition]:
    """All conditions inside a value, left to right: those of `if`, and the filters."""
    parts = [part for part in walk_all(value) if isinstance(part, If | Aggregate)]
    return [part.condition for part in parts if part.condition is not None]


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
