"""What a query's text alone says: without events, and before the first one comes."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from mql.errors import Span
from mql.language.format import format_property, format_value
from mql.language.nearest import nearest_name
from mql.language.spans import span_of
from mql.language.syntax import (
    Everything,
    Item,
    Literal,
    Prefix,
    Property,
    Query,
    Value,
    has_aggregate,
    values_in,
)
from mql.language.traverse import walk_all
from mql.planner.output_row import Row
from mql.warnings.comparisons import FieldComparison, comparisons_of, converted_fields
from mql.warnings.record import QueryWarning, WarningCode, shortened, warning_at
from mql.warnings.unlikely import meant_by
from mql.warnings.uses import (
    Clause,
    NameUse,
    is_bare,
    item_named,
    name_uses,
    names_of_row,
    row_of,
    shown_name,
)


class Suspicion(msgspec.Struct, frozen=True):
    """A warning about a name that events may have after all: then it is none."""

    use: NameUse
    warning: QueryWarning


class TextFindings(msgspec.Struct, frozen=True):
    """What is certain, what events may refute, and what the query reads and compares of events."""

    certain: tuple[QueryWarning, ...]
    suspicions: tuple[Suspicion, ...]
    uses: tuple[NameUse, ...]
    comparisons: tuple[FieldComparison, ...]
    converted: frozenset[Property]


def read_text(query: Query) -> TextFindings:
    """What follows from the text of a query that can be planned."""
    row = row_of(query)
    uses = name_uses(query, row)
    certain = [*_clashes(query, row), *_no_columns(query, row), *_rounded(query)]
    return TextFindings(
        tuple(certain),
        tuple(_suspicions(query, uses)),
        tuple(uses),
        tuple(comparisons_of(query, row)),
        converted_fields(query),
    )


def _clashes(query: Query, row: Row) -> Iterator[QueryWarning]:
    for name, items in row.clashes():
        number = "two" if len(items) == 2 else f"{len(items)}"  # noqa: PLR2004
        reason = f"{number} columns are named `{shortened(name)}`"
        yield warning_at(
            query.text,
            _place(items[1]),
            WarningCode.SAME_NAME,
            f"{reason}: of their values the last that is not null is shown; `as` renames one",
        )


def _place(item: Item) -> Span:
    assert not isinstance(item.value, Everything | Prefix)
    return span_of(item.value)


def _no_columns(query: Query, row: Row) -> Iterator[QueryWarning]:
    """Names after the row that are no column of it, and so null."""
    for value, clause in names_of_row(query):
        for name in row.missing_in(value):
            meant = _meant(query, name, sorts=clause is Clause.ORDER_BY and value is name)
            code = WarningCode.UNLIKELY_NAME if meant else WarningCode.UNKNOWN_NAME
            yield warning_at(query.text, name.span, code, meant or _no_column(query, name, clause))


def _no_column(query: Query, name: Property, clause: Clause) -> str:
    path, written = Property(name.steps), shown_name(query, name)
    reason = f"`{written}` is no column of the answer, and null for `{clause.value}`"
    items = [item for item in query.items if not isinstance(item.value, Everything | Prefix)]
    same = next((item.alias for item in items if item.value == path and item.alias), None)
    if same is not None:
        return f"{reason}; the list calls it `{format_property(Property((same,)))}`"
    names = [item.alias or format_value(item.value) for item in items]  # type: ignore[arg-type]
    near = nearest_name(written, names)
    return f"{reason}; did you mean `{shortened(near)}`?" if near else f"{reason}; select it too"


def _rounded(query: Query) -> Iterator[QueryWarning]:
    for value in _values(query):
        for part in (value,) if isinstance(value, Literal) else walk_all(value):
            if isinstance(part, Literal) and isinstance(part.value, float) and _is_rounded(part):
                reason = f"`{shortened(part.text)}` has more than 64 bits"
                message = f"{reason}, and is rounded to {part.value!r}"
                yield warning_at(query.text, part.span, WarningCode.ROUNDED_INTEGER, message)


def _is_rounded(literal: Literal) -> bool:
    """Whether an integer is none of 64 bits and none that a double is equal to."""
    assert isinstance(literal.value, float)
    digits = literal.text.removeprefix("-").lstrip("0")  # now 309 at most
    return digits.isdecimal() and int(digits) != abs(int(literal.value))


def _values(query: Query) -> Iterator[Value]:
    for item in query.items:
        if not isinstance(item.value, Everything | Prefix):
            yield item.value
    if query.where is not None:
        yield from values_in(query.where)
    yield from (value for value, _ in names_of_row(query))


def _suspicions(query: Query, uses: list[NameUse]) -> Iterator[Suspicion]:
    """Names that are likely none of the events, each once."""
    elsewhere = {use.name for use in uses if use.clause not in {Clause.WHERE, Clause.FILTER}}
    seen = set[object]()
    for use in uses:
        name = use.written
        if isinstance(name, Prefix) or name in seen:
            continue
        if meant := _meant(query, name, sorts=use.clause is Clause.ORDER_BY):
            code, message = WarningCode.UNLIKELY_NAME, meant
        elif use.clause is Clause.WHERE and name not in elsewhere and _is_alias(query, name):
            code, message = WarningCode.UNKNOWN_NAME, _about_alias(query, name)
        else:
            continue
        seen.add(name)
        source = use.sources[0] if len(use.sources) == 1 else None
        yield Suspicion(use, warning_at(query.text, use.span, code, message, source=source))


def _meant(query: Query, name: Property, *, sorts: bool) -> str:
    return meant_by(str(name.steps[0]), sorts=sorts) if is_bare(query, name) else ""


def _is_alias(query: Query, name: Property) -> bool:
    return item_named(query, name) is not None


def _about_alias(query: Query, name: Property) -> str:
    """What to write in `where` for a name that `as` gives."""
    item = item_named(query, name)
    assert item is not None
    assert not isinstance(item.value, Everything | Prefix)
    written = shown_name(query, name)
    reason = f"`where` never sees what `as` names: `{written}` is a key of the event there"
    if has_aggregate(item.value):
        return f"{reason}; `having` sees the column"
    return f"{reason}; write `{shortened(format_value(item.value))}`"
