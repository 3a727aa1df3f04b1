"""Where a query compares a field of events with values of known kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from mql.errors import Span
from mql.language.format import format_value
from mql.language.functions import FUNCTIONS
from mql.language.spans import span_of
from mql.language.syntax import (
    Aggregate,
    And,
    Arithmetic,
    Between,
    Call,
    Comparator,
    Comparison,
    Condition,
    Everything,
    If,
    In,
    Literal,
    Not,
    Or,
    Origin,
    Prefix,
    Property,
    Provenance,
    Query,
    Tick,
    Value,
    values_in,
)
from mql.language.traverse import aggregates_in, calls_in, conditions_in
from mql.planner.output_row import Row
from mql.warnings.record import SHOWN_MAX, shortened
from mql.warnings.uses import names_of_row

NUMBER, TEXT, BOOLEAN = "number", "text", "boolean"

_TO_NUMBER = frozenset({"number", "length", "abs", "floor", "ceil", "round"})
_CONVERSIONS = frozenset({"number", "text"})
_NUMBER_AGGREGATES = frozenset(FUNCTIONS) - {"MIN", "MAX", "FIRST", "LAST", "LIST"}
_MIRRORED = {
    Comparator.LT: Comparator.GT,
    Comparator.GT: Comparator.LT,
    Comparator.LE: Comparator.GE,
    Comparator.GE: Comparator.LE,
}

KindsOf = Callable[[Property], frozenset[str] | None]
"""The kinds of value that a property has (None: not known)."""


class FieldComparison(msgspec.Struct, frozen=True):
    """A field, the others that it is compared with, and how, as a reader sees it.

    `result` is what the comparison is where the kinds of both differ.
    """

    field: Property
    others: tuple[Value, ...]
    test: str
    result: bool
    span: Span


def comparisons_of(query: Query, row: Row) -> list[FieldComparison]:
    """All comparisons of a query whose one side is a field of events, in the order of its text."""
    found = [*_of_events(query), *_of_rows(query, row)]
    return sorted(found, key=lambda comparison: comparison.span.start)


def converted_fields(query: Query) -> frozenset[Property]:
    """The fields that a condition of the query reads by `number` or `text`."""
    conditions = [c for c in (query.where, query.having) if c is not None]
    conditions += (c for value in _values(query) for c in conditions_in(value))
    compared = (value for condition in conditions for value in values_in(condition))
    calls = (c for v in compared if not isinstance(v, Literal) for c in calls_in(v))
    arguments = (call.arguments[0] for call in calls if call.function in _CONVERSIONS)
    return frozenset(each for each in arguments if isinstance(each, Property))


def kinds_of_value(value: Value, kinds_of: KindsOf) -> frozenset[str] | None:
    """The kinds that a value may have beside null (None: not known).

    >>> sorted(kinds_of_value(Literal(5, "5"), lambda _: None) or ())
    ['number']
    """
    match value:
        case Literal(None):
            return frozenset()
        case Literal(constant):
            return frozenset({_kind_of_constant(constant)})
        case Property():
            return kinds_of(value)
        case Tick() | Arithmetic() | Provenance(Origin.TIME):
            return frozenset({NUMBER})
        case Provenance():
            return frozenset({TEXT})
        case Call("coalesce", arguments):
            return _together(arguments, kinds_of)
        case Call(function):
            return frozenset({NUMBER if function in _TO_NUMBER else TEXT})
        case If(_, then, otherwise):
            return _together((then, otherwise), kinds_of)
        case Aggregate(function):
            return frozenset({NUMBER}) if function in _NUMBER_AGGREGATES else None


def _together(values: Iterable[Value], kinds_of: KindsOf) -> frozenset[str] | None:
    found = [kinds_of_value(value, kinds_of) for value in values]
    known = [kinds for kinds in found if kinds is not None]
    return frozenset().union(*known) if len(known) == len(found) else None


def _of_each_kind(values: Iterable[Value]) -> tuple[Value, ...]:
    """The values, of literals of one type only one: there may be thousands."""
    return tuple({type(v.value) if isinstance(v, Literal) else v: v for v in values}.values())


def _kind_of_constant(constant: object) -> str:
    if isinstance(constant, bool):
        return BOOLEAN
    return TEXT if isinstance(constant, str) else NUMBER


def _of_events(query: Query) -> Iterator[FieldComparison]:
    if query.where is not None:
        yield from _in_condition(query.where)
    for value in _values(query):
        for condition in conditions_in(value):
            yield from _in_condition(condition)


def _values(query: Query) -> Iterator[Value]:
    """The values in which conditions on events may be."""
    yield from (i.value for i in query.items if not isinstance(i.value, Everything | Prefix))
    where = () if query.where is None else values_in(query.where)
    yield from (value for value in where if not isinstance(value, Literal))
    yield from (each for value, _ in names_of_row(query) for each in aggregates_in(value))


def _of_rows(query: Query, row: Row) -> Iterator[FieldComparison]:
    """Comparisons of columns that are fields as they are."""
    if query.having is None:
        return
    for comparison in _in_condition(query.having):
        field = _column(comparison.field, row)
        others = tuple(_column(other, row) for other in comparison.others)
        known = tuple(other for other in others if other is not None)
        if isinstance(field, Property) and len(known) == len(others):
            yield msgspec.structs.replace(comparison, field=field, others=known)


def _column(value: Value, row: Row) -> Value | None:
    """What a name of a column stands for; None where that is more than one value, or unknown."""
    if not isinstance(value, Property) or value.source:
        return value
    values = row.values_of(value)
    return values[0] if len(values) == 1 else None


def _in_condition(condition: Condition) -> Iterator[FieldComparison]:
    match condition:
        case Not(inner):
            yield from _in_condition(inner)
        case And(conditions) | Or(conditions):
            for each in conditions:
                yield from _in_condition(each)
        case Comparison(operator, left, right):
            result = operator is Comparator.NE
            span = span_of(condition)
            if isinstance(left, Property):
                test = f"{operator.value} {format_value(right)}"
                yield FieldComparison(left, (right,), shortened(test), result, span)
            if isinstance(right, Property):
                test = f"{_MIRRORED.get(operator, operator).value} {format_value(left)}"
                yield FieldComparison(right, (left,), shortened(test), result, span)
        case In(Property() as left, choices):
            shown = ", ".join(map(format_value, choices[:SHOWN_MAX]))
            test = shortened(f"in ({shown})")
            others = _of_each_kind(choices)
            yield FieldComparison(left, others, test, result=False, span=span_of(condition))
        case Between(Property() as left, low, high):
            test = shortened(f"between {format_value(low)} and {format_value(high)}")
            yield FieldComparison(left, (low, high), test, result=False, span=span_of(condition))
        case _:
            return
