"""The names of the event that a query reads, each with its place and whose it may be."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import msgspec

from mql.errors import Span
from mql.language.format import format_property
from mql.language.syntax import (
    NOWHERE,
    Aggregate,
    Call,
    Everything,
    Item,
    Literal,
    Prefix,
    Property,
    Query,
    StickySample,
    Value,
    parts_of,
    values_in,
)
from mql.language.traverse import properties_in, walk
from mql.planner.bind import ANOMALY_COLUMNS
from mql.planner.output_row import Row
from mql.warnings.record import shortened


class Clause(Enum):
    """Where in a query a name stands; FILTER is the `where` of an aggregate."""

    SELECT = "select"
    WHERE = "where"
    FILTER = "filter"
    JOIN = "join"
    GROUP_BY = "group by"
    SAMPLE = "sample"
    HAVING = "having"
    ORDER_BY = "order by"
    ANOMALY = "anomaly"


class NameUse(msgspec.Struct, frozen=True):
    """A name that is read of events of some sources, by any of which it may be had.

    A path's own source is left out of `name`; `written` is the path as the query has it. In
    `coalesce` it may be missing where one of the `others` is there.
    """

    name: Property | Prefix
    written: Property | Prefix
    span: Span
    clause: Clause
    sources: tuple[str, ...]
    others: tuple[Property, ...] = ()


def row_of(query: Query) -> Row:
    """The output row of a query, with what `anomaly` adds to it."""
    row = Row(query)
    if query.anomaly is not None:
        row.added = ANOMALY_COLUMNS[query.anomaly.method]
    return row


def names_of_row(query: Query) -> Iterator[tuple[Value, Clause]]:
    """The values of the clauses that see the output row."""
    if query.anomaly is not None:
        yield query.anomaly.subject, Clause.ANOMALY
    if query.having is not None:
        yield from ((value, Clause.HAVING) for value in values_in(query.having))
    yield from ((key.value, Clause.ORDER_BY) for key in query.order_by)


def name_uses(query: Query, row: Row) -> list[NameUse]:
    """All names of events that a query reads, in the order of its text."""
    return sorted(_Uses(query, row).all(), key=lambda use: use.span.start)


def is_bare(query: Query, name: Property) -> bool:
    """Whether a name is written as one, not as a path; of a query without text nobody knows."""
    if len(name.steps) > 1 or name.source or name.span == NOWHERE:
        return False
    return query.text[name.span.end - 1 : name.span.end] != "]"


def shown_name(query: Query, name: Property) -> str:
    """A name as a message shows it: as it is written, bare or as a path."""
    written = str(name.steps[0]) if is_bare(query, name) else format_property(name)
    return shortened(written)


def item_named(query: Query, name: Property) -> Item | None:
    """The item of the list that `as` gives a bare name."""
    if not is_bare(query, name):
        return None
    return next((item for item in query.items if item.alias == name.steps[0]), None)


class _Uses:
    def __init__(self, query: Query, row: Row) -> None:
        self._query = query
        self._row = row
        self._left = query.sources
        self._right = query.join.sources if query.join is not None else ()
        named = zip(query.source_names, (*self._left, *self._right), strict=False)
        self._named = {name: (stream,) for name, stream in named}

    def all(self) -> Iterator[NameUse]:
        query = self._query
        for item in query.items:
            match item.value:
                case Everything():
                    continue
                case Prefix() as prefix:
                    yield NameUse(prefix, prefix, prefix.span, Clause.SELECT, self._anywhere)
                case value:
                    yield from self._of_event(value, Clause.SELECT)
        if query.where is not None:
            for value in values_in(query.where):
                if not isinstance(value, Literal):  # of which there may be thousands
                    yield from self._of_event(value, Clause.WHERE)
        for key in query.group_by:
            if key.is_path or item_named(query, key.property) is None:
                yield self._use(key.property, Clause.GROUP_BY)
        if query.join is not None:
            for joined in query.join.keys:
                yield self._use(joined.left, Clause.JOIN, self._left)
                yield self._use(joined.right, Clause.JOIN, self._right)
        if isinstance(query.sample, StickySample):
            span = query.clause_spans.get("sample", NOWHERE)
            for name in query.sample.keys:
                yield self._use(Property((name,), span), Clause.SAMPLE)
        for value, clause in names_of_row(query):
            yield from self._of_row(value, clause)

    @property
    def _anywhere(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._left, *self._right)))

    def _use(
        self, path: Property, clause: Clause, sources: tuple[str, ...] | None = None
    ) -> NameUse:
        name = Property(path.steps, path.span)
        if path.source:
            sources = self._named[path.source]
        return NameUse(name, path, path.span, clause, sources or self._anywhere)

    def _of_event(self, value: Value, clause: Clause) -> Iterator[NameUse]:
        match value:
            case Property():
                yield self._use(value, clause)
            case Aggregate():
                yield from self._of_aggregate(value, clause)
            case Call("coalesce", arguments):
                for argument in arguments:
                    rest = (each for each in arguments if each is not argument)
                    others = tuple(
                        Property(name.steps) for each in rest for name in properties_in(each)
                    )
                    for use in self._of_event(argument, clause):
                        yield msgspec.structs.replace(use, others=use.others + others)
            case _:
                for part in parts_of(value):
                    yield from self._of_event(part, clause)

    def _of_aggregate(self, aggregate: Aggregate, clause: Clause) -> Iterator[NameUse]:
        if aggregate.argument is not None:
            yield from self._of_event(aggregate.argument, clause)
        if aggregate.condition is not None:
            for value in values_in(aggregate.condition):
                yield from self._of_event(value, Clause.FILTER)

    def _of_row(self, value: Value, clause: Clause) -> Iterator[NameUse]:
        for part in walk(value):
            if isinstance(part, Aggregate):
                yield from self._of_aggregate(part, clause)
            elif isinstance(part, Property) and self._is_of_event(part):
                yield self._use(part, clause)

    def _is_of_event(self, name: Property) -> bool:
        """Whether a name after the row is read of the event, as there is no such column."""
        values = self._row.values_of(name)
        return bool(name.source) or values == (Property(name.steps),)
