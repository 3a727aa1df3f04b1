"""The output row under construction: its columns, and what a name means after it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import count

from mql.language.format import format_property, format_value
from mql.language.spans import span_of
from mql.language.syntax import (
    Aggregate,
    Arithmetic,
    Call,
    Everything,
    If,
    Item,
    Literal,
    Prefix,
    Property,
    Provenance,
    Query,
    Tick,
    Value,
    parts_of,
)
from mql.language.traverse import event_values_in, map_value, properties_in
from mql.planner.event_paths import EventPaths
from mql.planner.logical import Output

_NULL = Literal(None, "null")
_BLANKS = re.compile(r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|\s+""", re.DOTALL)
"""White space outside quotes; what is inside is group 1."""


class Row:
    """The output row under construction: its columns, and what a name means after it.

    Each question about the columns is a look-up, so that a long query costs what it is long.
    """

    def __init__(self, query: Query) -> None:
        self._query = query
        self._paths = EventPaths(query)
        self._aggregate = query.is_aggregate
        self._everything = any(isinstance(item.value, Everything) for item in query.items)
        self._prefixes = tuple(i.value.start for i in query.items if isinstance(i.value, Prefix))
        self.added: tuple[str, ...] = ()
        self.outputs: list[Output] = []
        self._places: dict[tuple[object, ...], int] = {}
        self._hidden: dict[tuple[Value, ...], Output] = {}
        self._numbers = count(1)
        self._items: dict[tuple[str, ...], list[Item]] = {}
        self._lay_out(query.items if self._aggregate else _without_subsumed(query.items))
        self._by_values: dict[tuple[Value, ...], Output] = {}
        for output in self.outputs:
            self._by_values.setdefault(output.values, output)

    def _lay_out(self, items: Iterable[Item]) -> None:
        """The columns of the select list; of two values for one column the later one counts."""
        values: dict[tuple[str, ...], list[Value]] = {}
        for item in items:
            match item.value:
                case Everything():
                    _give_way(values, "")
                case Prefix(start):
                    _give_way(values, start)
                case value:
                    path = self._path(item)
                    self._items.setdefault(path, []).append(item)
                    values.setdefault(path, []).append(self._paths.value(value))
        for path, of_path in values.items():
            self._append(Output(path, tuple(dict.fromkeys(reversed(of_path)))))

    def _append(self, output: Output) -> None:
        self._places[output.path] = len(self.outputs)
        self.outputs.append(output)

    def hide(self, *values: Value) -> Property:
        """A hidden column for values that later steps need."""
        output = self._hidden.get(values)
        if output is None:
            path = next(p for n in self._numbers if (p := (f"*{n}",)) not in self._places)
            output = self._hidden[values] = Output(path, values, hidden=True)
            self._by_values.setdefault(values, output)
            self._append(output)
        return Property(output.path)

    def rebase(self, value: Value) -> Value:
        """The same value, computed from hidden columns of its aggregates and properties."""
        if isinstance(value, Aggregate) or event_values_in(value) == [value]:
            return self.hide(value)
        return map_value(value, self.rebase)

    def holds(self, column: Property, test: Callable[[Value], bool]) -> bool:
        """Whether a hidden column's value passes a test."""
        place = self._places.get(column.steps)
        return place is not None and all(map(test, self.outputs[place].values))

    def clashes(self) -> Iterator[tuple[str, list[Item]]]:
        """The names that items share which differ, each with one item of each value, in order."""
        for path, items in self._items.items():
            by_value: dict[object, Item] = {}
            for item in items:
                by_value.setdefault(item.value, item)
            if len(by_value) > 1:
                name = path[0] if len(path) == 1 else format_property(Property(path))
                yield name, list(by_value.values())

    def missing_in(self, value: Value) -> Iterator[Property]:
        """The names in a value of `having`, `order by` or `anomaly` that stand for nothing."""
        match value:
            case Property():
                if self._resolve_property(value) is _NULL:
                    yield value
            case Aggregate() | Provenance():
                return
            case _ if (self._paths.value(value),) in self._by_values:
                return  # the list's own expression
            case _:
                for part in parts_of(value):
                    yield from self.missing_in(part)

    def values_of(self, name: Property) -> tuple[Value, ...]:
        """What a name of `having`, `order by` or `anomaly` stands for; empty where that is unknown.

        It is the values of a column, or, where `*` is in the list, a property of the event.
        """
        found = self._resolve_property(name)
        place = self._places.get(found.steps) if isinstance(found, Property) else None
        return () if place is None else self.outputs[place].values

    def resolve(self, value: Value) -> Value:
        """What a value of `having`, `order by` or `anomaly` means, on the output row."""
        if isinstance(value, Property):
            return self._resolve_property(value)
        if isinstance(value, Provenance):
            return self.hide(self._paths.value(value))
        output = self._by_values.get((self._paths.value(value),))
        if isinstance(value, Aggregate):
            hidden = self._paths.value(value)
            return self.hide(hidden) if output is None else Property(output.path)
        names = properties_in(value)
        if output is not None and any(self._resolve_property(n) is _NULL for n in names):
            return Property(output.path)  # the list's own expression, over what is no column
        return map_value(value, self.resolve)

    def _resolve_property(self, wanted: Property) -> Value:
        if wanted.source:
            return self.hide(self._paths.value(wanted))
        path = tuple(map(str, wanted.steps))
        if self._aggregate:
            path = (".".join(path),) if self._find((".".join(path),)) else path
        found = self._find(path)
        if found and self._everything:
            return self.hide(*found.values, wanted)
        if found or path[:1] in [(name,) for name in self.added]:
            return Property(path)
        key = path[0]
        if self._everything or key.startswith(self._prefixes):
            return self.hide(wanted)
        for size in range(len(path) - 1, 0, -1):
            if self._find(path[:size]):
                return Property((*path[:size], *wanted.steps[size:]))
        return _NULL

    def _find(self, path: tuple[str, ...]) -> Output | None:
        place = self._places.get(path)
        return None if place is None or self.outputs[place].hidden else self.outputs[place]

    def _path(self, item: Item) -> tuple[str, ...]:
        if item.alias is not None:
            return (item.alias,)
        match item.value:
            case Property(steps):
                path = tuple(map(str, steps))
                return (".".join(path),) if self._aggregate else path
            case Literal(_, text):
                return (text,)
            case Tick():
                return ("tick",)
            case Provenance(origin):
                return (origin.value,)
            case Aggregate(function, argument):
                inner = "*" if argument is None else self._inside(argument)
                percent = "" if item.value.percent is None else f", {item.value.percent.text}"
                return (f"{function}({inner}{percent})",)
            case Arithmetic() | Call() | If():
                return (self._text_of(item.value),)
            case _:
                raise AssertionError(item)

    def _inside(self, argument: Value) -> str:
        if isinstance(argument, Property):
            return ".".join(map(str, argument.steps))
        return self._text_of(argument)

    def _text_of(self, value: Value) -> str:
        span = span_of(value)
        written = self._query.text[span.start : span.end]
        return _BLANKS.sub(lambda m: m[1] or " ", written) or format_value(value)


def _give_way(columns: dict[tuple[str, ...], list[Value]], prefix: str) -> None:
    """Columns so far come before the event's own keys, which win where they have a value."""
    for path, values in columns.items():
        if len(path) == 1 and path[0].startswith(prefix):
            values.append(Property(path))


def _without_subsumed(items: tuple[Item, ...]) -> list[Item]:
    """Drop each path that lies inside something else that is selected under its own name."""
    wholes = [i.value for i in items if i.alias is None]
    paths = {whole.steps for whole in wholes if isinstance(whole, Property)}
    lengths = {len(steps) for steps in paths}
    starts = tuple(whole.start for whole in wholes if isinstance(whole, Prefix))
    if any(isinstance(whole, Everything) for whole in wholes):
        starts = ("",)

    def is_inside(item: Item) -> bool:
        if not isinstance(item.value, Property) or item.alias is not None:
            return False
        steps = item.value.steps
        if len(steps) == 1:
            return False
        if str(steps[0]).startswith(starts):
            return True
        return any(length < len(steps) and steps[:length] in paths for length in lengths)

    return [item for item in items if not is_inside(item)]
