"""Sources that have names: what each property is of, and which side of a join is which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NoReturn

from mql.errors import QueryError, Span
from mql.language.format import format_property
from mql.language.quoting import quote
from mql.language.syntax import (
    Condition,
    Everything,
    GroupKey,
    JoinKey,
    Prefix,
    Property,
    Query,
    Value,
    values_in,
)
from mql.language.traverse import walk_all

EVENT_NAME = "e"


def with_sources(query: Query) -> Query:
    """The query with each join key's left side first. Raises QueryError.

    Where sources are named, each property of the event says whose it is; where none is, none does.
    """
    _Names(query).check()
    if not query.source_names or query.join is None:
        return query
    left = query.source_names[: len(query.sources)]
    keys = tuple(k if k.left.source in left else JoinKey(k.right, k.left) for k in query.join.keys)
    return replace(query, join=replace(query.join, keys=keys))


class _Names:
    def __init__(self, query: Query) -> None:
        self._query = query
        self._names = query.source_names

    def check(self) -> None:
        joined = self._query.join.sources if self._query.join is not None else ()
        for name, times in ((n, self._names.count(n)) for n in self._names):
            if times > 1:
                self._refuse(f"two sources are named `{name}`", self._clause("sources"))
        if EVENT_NAME in self._names:
            reason = f"`{EVENT_NAME}` is the event of a source without a name"
            self._refuse(reason, self._clause("sources"), "give the source another name")
        if self._names and len(self._query.sources) + len(joined) > 1 + bool(joined):
            reason = "sources that `,` merges are one, and have no names of their own"
            self._refuse(reason, self._clause("sources"))
        for item in self._query.items:
            if self._names and isinstance(item.value, Everything | Prefix):
                hint = f"name the properties that you want, such as {self._names[0]}['a']"
                self._refuse("of sources with names the list names each", item.value.span, hint)
        for property_ in self._of_events():
            self._check(property_)
        for property_ in self._of_rows():
            if property_.source:
                self._check(property_)
        if self._query.join is not None:
            self._check_keys(self._query.join.keys)

    def _of_events(self) -> Iterator[Property]:
        """The properties that the clauses before the output row read."""
        query = self._query
        for item in query.items:
            if not isinstance(item.value, Everything | Prefix):
                yield from _properties(item.value)
        if query.where is not None:
            yield from _in_condition(query.where)
        if query.join is not None:
            for key in query.join.keys:
                yield key.left
                if key.right is not key.left:
                    yield key.right
        yield from (k.property for k in query.group_by if k.is_path or not self._is_alias(k))

    def _of_rows(self) -> Iterator[Property]:
        """The properties that stand for columns of the answer."""
        query = self._query
        values = [key.value for key in query.order_by]
        values += [query.anomaly.subject] if query.anomaly else []
        for value in values:
            yield from _properties(value)
        if query.having is not None:
            yield from _in_condition(query.having)

    def _is_alias(self, key: GroupKey) -> bool:
        return any((item.alias,) == key.property.steps for item in self._query.items)

    def _check(self, property_: Property) -> None:
        written = format_property(property_)
        if not self._names:
            if property_.source:
                hint = "a path starts at the event: e['a']['b']"
                self._refuse(f"there is no source named `{property_.source}`", property_.span, hint)
            return
        if property_.source in self._names:
            return
        known = ", ".join(self._names)
        if property_.source:
            reason = f"there is no source named `{property_.source}`; there are {known}"
            self._refuse(reason, property_.span)
        name, _, key = str(property_.steps[0]).partition(".")
        name, key = (name, key) if key and name in self._names else (self._names[0], "")
        wanted = f"{name}[{quote(key)}]" if key else name + _path(property_)
        reason = f"the sources have names ({known}), and `{written}` does not say whose it is"
        self._refuse(reason, property_.span, f"write {wanted}")

    def _check_keys(self, keys: tuple[JoinKey, ...]) -> None:
        left = self._names[: len(self._query.sources)]
        for key in keys:
            span = Span(key.left.span.start, max(key.left.span.end, key.right.span.end))
            if not self._names:
                if key.left != key.right:
                    hint = "from a as x join b as y 5s on x['k'] = y['l']"
                    self._refuse("sources joined on unlike keys need names", span, hint)
                continue
            if key.left is key.right:
                other = next(n for n in self._names if (n in left) != (key.left.source in left))
                hint = f"on {format_property(key.left)} = {other}{_path(key.left)}"
                self._refuse("a join of named sources compares two of their keys", span, hint)
            if (key.left.source in left) == (key.right.source in left):
                self._refuse("both keys are of one side of the join", span)

    def _clause(self, name: str) -> Span:
        return self._query.clause_spans.get(name, Span(0, 1))

    def _refuse(self, reason: str, span: Span, hint: str = "") -> NoReturn:
        raise QueryError(reason, self._query.text, span, hint)


def _properties(value: Value) -> Iterator[Property]:
    """All properties of a value, those inside aggregates too."""
    return (part for part in walk_all(value) if isinstance(part, Property))


def _in_condition(condition: Condition) -> Iterator[Property]:
    for value in values_in(condition):
        yield from _properties(value)


def _path(property_: Property) -> str:
    """The steps of a property, as they stand behind the event's name."""
    written = format_property(replace(property_, source=EVENT_NAME + "_"))
    return written[len(EVENT_NAME) + 1 :]
