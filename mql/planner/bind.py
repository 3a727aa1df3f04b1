"""Query to logical plan: what each name means, and whether the query means anything at all.

This is the only place that knows the order in which an event passes the clauses. Whatever is
refused here carries the place in the query's text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from mql.format import format_property, format_value
from mql.functions import FUNCTIONS
from mql.planner.checks import check
from mql.planner.logical import (
    Anomaly,
    Extrapolate,
    Filter,
    Having,
    Join,
    Limit,
    LogicalPlan,
    Output,
    RollUp,
    Sample,
    Scan,
    Select,
    Sort,
    Step,
    WholeInput,
    WindowAggregate,
    Windowing,
    WindowRows,
)
from mql.syntax import (
    Aggregate,
    Arithmetic,
    Everything,
    Item,
    Literal,
    Prefix,
    Property,
    Query,
    RandomSample,
    RateSample,
    StickySample,
    Tick,
    Value,
)
from mql.traverse import aggregates_in, map_condition, properties_in

ANOMALY_COLUMNS = {"mad": ("anomalous",), "des": ("anomalous", "expected", "score")}
_NULL = Literal(None, "null")
_BLANKS = re.compile(r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|\s+""", re.DOTALL)
"""White space outside quotes; what is inside is group 1."""


def bind(query: Query, *, live: bool = False) -> LogicalPlan:
    """The plan of a query, not yet optimized. Raises QueryError.

    `live` refuses what would never answer on a stream without an end.
    """
    check(query, live=live)
    head: list[Step] = [Scan(query.sources)]
    if query.join:
        head.append(Join(query.join))
    if query.sample and not isinstance(query.sample, RateSample):
        head.append(Sample(query.sample))
    if query.where:
        head.append(Filter((query.where,)))
    if isinstance(query.sample, RateSample):
        head.append(Sample(query.sample))
    tail = _bind_aggregates(query) if query.is_aggregate else _bind_rows(query)
    return (*head, *tail)


def _bind_rows(query: Query) -> list[Step]:
    row = _Row(query)
    keys = tuple(row.hide(Property(p.steps)) for p in query.group_by)
    late = _after_row(query, row, keys)
    everything = any(isinstance(item.value, Everything) for item in query.items)
    prefixes = tuple(i.value.start for i in query.items if isinstance(i.value, Prefix))
    steps: list[Step] = [Select(tuple(row.outputs), everything, prefixes)]
    window: Windowing | None = query.window
    if window is None and (query.group_by or query.order_by):
        window = WholeInput()
    if window is not None:
        steps.append(WindowRows(window, keys))
    steps += late
    if query.limit is not None:
        steps.append(Limit(query.limit, per_window=query.window is not None))
    return steps


def _bind_aggregates(query: Query) -> list[Step]:
    row = _Row(query)
    keys: tuple[Property, ...] = ()
    if query.anomaly:
        keys = tuple(row.hide(Property(p.steps)) for p in query.group_by)
    late = _after_row(query, row, keys)
    extrapolation = _extrapolation(query, row)
    values = [value for output in row.outputs for value in output.values]
    aggregates = tuple(dict.fromkeys(a for value in values for a in aggregates_in(value)))
    firsts = tuple(dict.fromkeys(p for value in values for p in properties_in(value)))
    window: Windowing = query.window or WholeInput()
    steps: list[Step] = [WindowAggregate(window, query.group_by, aggregates, firsts)]
    steps.append(RollUp(tuple(row.outputs)))
    steps += late
    if query.limit is not None:
        per_window = query.window is not None and bool(query.group_by)
        steps.append(Limit(query.limit, per_window))
    return steps + extrapolation


def _after_row(query: Query, row: _Row, keys: tuple[Property, ...]) -> list[Step]:
    """The steps that see the output row, their names resolved; may add hidden columns to it."""
    steps: list[Step] = []
    if query.anomaly:
        subject = row.resolve(query.anomaly.subject)
        steps.append(Anomaly(query.anomaly.method, subject, query.anomaly.parameters, keys))
        row.added = ANOMALY_COLUMNS[query.anomaly.method]
    if query.having:
        steps.append(Having(map_condition(query.having, row.resolve)))
    if query.order_by:
        sort = tuple((row.resolve(key.value), key.descending) for key in query.order_by)
        steps.append(Sort(sort, within_groups=bool(query.group_by) and not query.is_aggregate))
    return steps


def _extrapolation(query: Query, row: _Row) -> list[Step]:
    """Scale counts and sums last, and compute the expressions over them anew."""
    sample = query.sample
    if not isinstance(sample, RandomSample | StickySample) or not sample.extrapolate:
        return []
    shown = [output for output in row.outputs if not output.hidden]
    scaled = [output for output in shown if any(map(_scales, output.values))]
    if not scaled or not 0 < sample.threshold < sample.factor:
        return []
    outputs = tuple(
        replace(output, values=tuple(row.rebase(value) for value in output.values))
        for output in scaled
    )
    columns = [p for o in outputs for value in o.values for p in properties_in(value)]
    counted = [format_property(p) for p in dict.fromkeys(columns) if row.holds(p, _is_scaled)]
    return [Extrapolate(tuple(counted), outputs, sample.threshold, sample.factor)]


def _scales(value: Value) -> bool:
    return any(map(_is_scaled, aggregates_in(value)))


def _is_scaled(value: Value) -> bool:
    return isinstance(value, Aggregate) and FUNCTIONS[value.function].scales


class _Row:
    """The output row under construction: its columns, and what a name means after it."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._aggregate = query.is_aggregate
        self._everything = any(isinstance(item.value, Everything) for item in query.items)
        self._prefixes = [i.value.start for i in query.items if isinstance(i.value, Prefix)]
        self.added: tuple[str, ...] = ()
        self.outputs: list[Output] = []
        for item in query.items if self._aggregate else _without_subsumed(query.items):
            match item.value:
                case Everything():
                    self._give_way("")
                case Prefix(start):
                    self._give_way(start)
                case value:
                    self._add(self._path(item), value)

    def _add(self, path: tuple[str, ...], value: Value) -> None:
        for i, output in enumerate(self.outputs):
            if output.path == path:
                self.outputs[i] = replace(output, values=(value, *output.values))
                return
        self.outputs.append(Output(path, (value,)))

    def _give_way(self, prefix: str) -> None:
        """Columns so far come before the event's own keys, which win where they have a value."""
        for i, output in enumerate(self.outputs):
            key = output.path[0]
            if len(output.path) == 1 and key.startswith(prefix):
                own = Property((key,))
                self.outputs[i] = replace(output, values=(own, *output.values))

    def hide(self, *values: Value) -> Property:
        """A hidden column for values that later steps need."""
        for output in self.outputs:
            if output.hidden and output.values == values:
                return Property(output.path)
        number = 1
        while any(output.path == (f"*{number}",) for output in self.outputs):
            number += 1
        self.outputs.append(Output((f"*{number}",), values, hidden=True))
        return Property((f"*{number}",))

    def rebase(self, value: Value) -> Value:
        """The same value, computed from hidden columns of its aggregates and properties."""
        match value:
            case Aggregate() | Property():
                return self.hide(value)
            case Arithmetic(operator, left, right, span):
                return Arithmetic(operator, self.rebase(left), self.rebase(right), span)
            case Literal() | Tick():
                return value

    def holds(self, column: Property, test: Callable[[Value], bool]) -> bool:
        """Whether a hidden column's value passes a test."""
        return any(o.path == column.steps and all(map(test, o.values)) for o in self.outputs)

    def resolve(self, value: Value) -> Value:
        """What a value of `having`, `order by` or `anomaly` means, on the output row."""
        match value:
            case Property():
                return self._resolve_property(value)
            case Aggregate():
                for output in self.outputs:
                    if output.values == (value,):
                        return Property(output.path)
                return self.hide(value)
            case Arithmetic(operator, left, right, span):
                return Arithmetic(operator, self.resolve(left), self.resolve(right), span)
            case Literal() | Tick():
                return value

    def _resolve_property(self, wanted: Property) -> Value:
        path = tuple(map(str, wanted.steps))
        if self._aggregate:
            path = (".".join(path),) if self._find((".".join(path),)) else path
        found = self._find(path)
        if found and self._everything:
            return self.hide(*found.values, wanted)
        if found or path[:1] in [(name,) for name in self.added]:
            return Property(path)
        key = path[0]
        if self._everything or any(key.startswith(prefix) for prefix in self._prefixes):
            return self.hide(wanted)
        for size in range(len(path) - 1, 0, -1):
            if self._find(path[:size]):
                return Property((*path[:size], *wanted.steps[size:]))
        return _NULL

    def _find(self, path: tuple[str, ...]) -> Output | None:
        return next((o for o in self.outputs if o.path == path and not o.hidden), None)

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
            case Aggregate(function, argument):
                inner = "*" if argument is None else ".".join(map(str, argument.steps))
                return (f"{function}({inner})",)
            case Arithmetic():
                return (self._text_of(item.value),)
            case _:
                raise AssertionError(item)

    def _text_of(self, value: Arithmetic) -> str:
        written = self._query.text[value.span.start : value.span.end]
        return _BLANKS.sub(lambda m: m[1] or " ", written) or format_value(value)


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
