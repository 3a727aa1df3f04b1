"""What expressions and conditions mean: of an event, of a group of them, of a row of the answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeAlias, assert_never

from mql.language.functions import FUNCTIONS
from mql.language.syntax import (
    Aggregate,
    And,
    AnyElement,
    Arithmetic,
    ArithmeticOperator,
    Between,
    Call,
    Comparator,
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
    Origin,
    Property,
    Provenance,
    Tick,
    Value,
    has_aggregate,
    parts_of,
)
from tests.oracle.cases import Json, Row
from tests.oracle.patterns import is_like, matches
from tests.oracle.reductions import distinct, reduce, rescale
from tests.oracle.scalars import scalar
from tests.oracle.values import Number, first_non_null, fit, identity, is_number, rank, text, walk


@dataclass(frozen=True)
class Record:
    """An event, or one joined with its partner: when it was, and what is read of it.

    `bodies` has an event for each name of a source; the one without a name is `e`.
    """

    time_ms: int
    bodies: dict[str, Row]

    def read(self, path: Property) -> Json:
        return walk(self.bodies.get(path.source), path.steps)

    def origin(self, origin: Origin) -> Json:
        """Where it comes from; of two that are joined that is the left one, the first."""
        if origin is Origin.TIME:
            return self.time_ms
        left, *_ = self.bodies.values()
        return walk(left, ("_agent", origin.value))


@dataclass(frozen=True)
class Scope:
    """What a name means at some place, the events that an aggregate there is of, and the clock."""

    read: Callable[[Property], Json]
    records: list[Record]
    now_ms: int
    is_beside_aggregates: bool = False
    """What has no aggregate in it is computed for each event; the first that is not null counts."""
    element: Json = None
    """What the `[*]` path of a comparison reads at the moment."""
    scale: Fraction = Fraction(1)
    """What COUNT and SUM are multiplied by."""


def event_scope(record: Record, now_ms: int) -> Scope:
    return Scope(record.read, [record], now_ms)


def group_scope(records: list[Record], now_ms: int, scale: Fraction) -> Scope:
    """Of a group as a whole, where each name is inside what is computed for each event."""
    nothing = Record(0, {})
    return Scope(nothing.read, records, now_ms, is_beside_aggregates=True, scale=scale)


def evaluate(value: Value, scope: Scope) -> Json:
    if scope.is_beside_aggregates and is_of_events(value):
        return first_non_null(evaluate(value, event_scope(r, scope.now_ms)) for r in scope.records)
    match value:
        case Property():
            return scope.element if value.has_any else scope.read(value)
        case Literal():
            return value.value
        case Tick():
            return scope.now_ms
        case Provenance(origin):
            return first_non_null(record.origin(origin) for record in scope.records)
        case Arithmetic(operator, left, right):
            return calculate(operator, evaluate(left, scope), evaluate(right, scope))
        case Call("coalesce", arguments):
            return first_non_null(evaluate(argument, scope) for argument in arguments)
        case Call(function, arguments, pattern):
            return scalar(function, [evaluate(argument, scope) for argument in arguments], pattern)
        case If(condition, then, otherwise):
            return evaluate(then if holds(condition, scope) else otherwise, scope)
        case Aggregate():
            return aggregate(value, scope)
        case _:
            assert_never(value)


def is_of_events(value: Value) -> bool:
    """Whether a value reads an event, and no aggregate is in it."""
    return reads_events(value) and not has_aggregate(value)


def reads_events(value: Value) -> bool:
    return isinstance(value, Property | Provenance) or any(map(reads_events, parts_of(value)))


def calculate(operator: ArithmeticOperator, a: Json, b: Json) -> Number | None:
    if not (is_number(a) and is_number(b)):
        return None
    match operator:
        case ArithmeticOperator.ADD:
            return fit(a + b)
        case ArithmeticOperator.SUBTRACT:
            return fit(a - b)
        case ArithmeticOperator.MULTIPLY:
            return fit(a * b)
        case ArithmeticOperator.DIVIDE:
            return fit(a / b) if b else None
        case ArithmeticOperator.REMAINDER if isinstance(a, int) and isinstance(b, int) and b:
            return abs(a) % abs(b) * (1 if a > 0 else -1)
        case ArithmeticOperator.REMAINDER:
            return math.fmod(a, b) if b else None


def aggregate(call: Aggregate, scope: Scope) -> Json:
    scopes = [event_scope(record, scope.now_ms) for record in scope.records]
    if call.condition is not None:
        scopes = [each for each in scopes if holds(call.condition, each)]
    if call.argument is None:
        return rescale(len(scopes), scope.scale)
    values = [evaluate(call.argument, each) for each in scopes]
    values = [value for value in values if value is not None]
    result = reduce(call, distinct(values) if call.distinct else values)
    return rescale(result, scope.scale) if FUNCTIONS[call.function].scales else result


Simple: TypeAlias = Comparison | Matches | Contains | In | Between | Like


def holds(condition: Condition, scope: Scope) -> bool:
    match condition:
        case Constant(value):
            return value
        case Not(inner):
            return not holds(inner, scope)
        case And(conditions):
            return all(holds(c, scope) for c in conditions)
        case Or(conditions):
            return any(holds(c, scope) for c in conditions)
        case _:
            paths = [path for value in operands(condition) for path in many_paths(value)]
            if not paths:
                return is_met(condition, scope)
            (path,) = paths
            at = path.steps.index(AnyElement.ANY)
            many = scope.read(replace(path, steps=path.steps[:at]))
            members = (
                many.values() if isinstance(many, dict) else many if isinstance(many, list) else []
            )
            found = [walk(member, path.steps[at + 1 :]) for member in members]
            return any(is_met(condition, replace(scope, element=element)) for element in found)


def many_paths(value: Value) -> list[Property]:
    """The properties in a value that hold `[*]`; a function's arguments never do."""
    match value:
        case Property() if value.has_any:
            return [value]
        case Arithmetic(_, left, right):
            return many_paths(left) + many_paths(right)
        case _:
            return []


def operands(condition: Simple) -> list[Value]:
    match condition:
        case Comparison(_, left, right) | Contains(left, right):
            return [left, right]
        case Matches(left) | Like(left):
            return [left]
        case In(left, choices):
            return [left, *choices]
        case Between(left, low, high):
            return [left, low, high]


def is_met(condition: Simple, scope: Scope) -> bool:
    left, *others = (evaluate(value, scope) for value in operands(condition))
    match condition:
        case Comparison(operator):
            return compare(operator, left, others[0])
        case In():
            return any(compare(Comparator.EQ, left, choice) for choice in others)
        case Between():
            low, high = others
            return compare(Comparator.GE, left, low) and compare(Comparator.LE, left, high)
        case Contains():
            return left is not None and others[0] is not None and text(others[0]) in text(left)
        case Matches(_, pattern):
            return left is not None and matches(pattern, text(left))
        case Like(_, pattern):
            return left is not None and is_like(pattern, text(left))


def compare(operator: Comparator, a: Json, b: Json) -> bool:
    if operator is Comparator.EQ:
        return identity(a) == identity(b)
    if operator is Comparator.NE:
        return identity(a) != identity(b)
    if not (is_number(a) and is_number(b)) and not (isinstance(a, str) and isinstance(b, str)):
        return False
    match operator:
        case Comparator.LT:
            return rank(a) < rank(b)
        case Comparator.LE:
            return rank(a) <= rank(b)
        case Comparator.GT:
            return rank(a) > rank(b)
        case Comparator.GE:
            return rank(a) >= rank(b)
