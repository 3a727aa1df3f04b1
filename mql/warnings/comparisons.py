"""Where a query compares a field of events with values of known kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

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
from mql.language.traverse import aggregates_in, conditions_in
from mql.planner.output_row import Row
from mql.warnings.record import SHOWN_MAX, shortened
from mql.warnings.uses import names_of_row

NUMBER, TEXT, BOOLEAN = "number", "text", "boolean"

_TO_NUMBER = frozenset({"number", "length", "abs", "floor", "ceil", "round"})
_NUMBER_AGGREGATES = frozenset(FUNCTIONS) - {"MIN", "MAX", "FIRST", "LAST", "LIST"}
_MIRRORED = {
    Comparator.LT: Comparator.GT,
    Comparator.GT: Comparator.LT,
    Comparator.LE: Comparator.GE,
    Comparator.GE: Comparator.LE,
}

KindsOf = Callable[[Property], frozenset[str] | None]
"""The kinds of value that a property has (None: not known)."""


@dataclass(frozen=True, slots=True)
class FieldComparison:
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


def _kind_of_constant(constant: object) -> str:
    if isinstance(constant, bool):
        return BOOLEAN
    return TEXT if isinstance(constant, str) else NUMBER


def _of_events(query: Query) -> Iterator[FieldComparison]:
    values = [i.value for i in query.items if not isinstance(i.value, Everything | Prefix)]
    if query.where is not None:
        yield from _in_condition(query.where)
        values += values_in(query.where)
    values += (each for value, _ in names_of_row(query) for each in aggregates_in(value))
    for value in values:
        for condition in conditions_in(value):
            yield from _in_condition(condition)


def _of_rows(query: Query, row: Row) -> Iterator[FieldComparison]:
    """Comparisons of columns that are fields as they are."""
    if query.having is None:
        return
    for comparison in _in_condition(query.having):
        values = row.values_of(comparison.field)
        if comparison.field.source:
            yield comparison
        elif len(values) == 1 and isinstance(values[0], Property):
            yield replace(comparison, field=values[0])


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
            yield FieldComparison(left, choices, test, result=False, span=span_of(condition))
        case Between(Property() as left, low, high):
            test = shortened(f"between {format_value(low)} and {format_value(high)}")
            yield FieldComparison(left, (low, high), test, result=False, span=span_of(condition))
        case _:
            return
