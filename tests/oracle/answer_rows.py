"""The part of a query behind its windows: group, select, anomaly, having, order, extrapolation."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from mql.language.syntax import (
    AnomalyClause,
    Everything,
    GroupKey,
    Item,
    Prefix,
    Property,
    Query,
    RateSample,
    Step,
    Value,
    has_aggregate,
)
from tests.oracle.cases import Json, Row
from tests.oracle.column_names import name_of
from tests.oracle.detectors import Des, Mad, new_detector
from tests.oracle.evaluation import (
    Record,
    Scope,
    evaluate,
    event_scope,
    group_scope,
    holds,
)
from tests.oracle.values import first_non_null, identity, is_number, rank, walk


@dataclass(frozen=True)
class Output:
    """A row, and the events that it is made of."""

    row: Row
    records: list[Record]


class AnswerRows:
    """The rows of one window after the other; it remembers only what `anomaly` needs."""

    def __init__(self, query: Query, now_ms: int) -> None:
        self.query = query
        self.now_ms = now_ms
        self.detectors: dict[object, Mad | Des] = {}

    def rows_of(self, records: list[Record]) -> list[Output]:
        query = self.query
        groups: dict[object, list[Record]] = {} if query.group_by else {(): []}
        for record in records:
            groups.setdefault(self.group_of(record), []).append(record)
        window = []
        for group, members in groups.items():
            if query.is_aggregate:
                outputs = [Output(self.summary(members), members)]
            else:
                outputs = [Output(self.projection(record), [record]) for record in members]
            if query.anomaly:
                detector = self.detectors.setdefault(group, new_detector(query.anomaly))
                outputs = [self.judge(output, detector, query.anomaly) for output in outputs]
            if query.having:
                outputs = [o for o in outputs if holds(query.having, self.output_scope(o))]
            window += outputs if query.is_aggregate else self.in_order(outputs)
        return self.in_order(window) if query.is_aggregate else window

    def group_of(self, record: Record) -> object:
        keys = [self.key_of(record, key) for key in self.query.group_by]
        return tuple(identity(key) for key in keys)

    def key_of(self, record: Record, key: GroupKey) -> Json:
        """What `as` calls by the name, the later non-null one, as its column has; or a key."""
        values = [] if key.is_path else self.values_named(key.property.steps)
        scope = event_scope(record, self.now_ms)
        return first_non_null(evaluate(value, scope) for value in values or [key.property])

    def values_named(self, steps: tuple[Step, ...]) -> list[Value]:
        """The values without an aggregate that `as` gives a name to, the last one first."""
        named = [item.value for item in reversed(self.query.items) if (item.alias,) == steps]
        values = [value for value in named if not isinstance(value, Everything | Prefix)]
        return [value for value in values if not has_aggregate(value)]

    def in_order(self, outputs: list[Output]) -> list[Output]:
        for sort_key in reversed(self.query.order_by):
            ranks = [rank(evaluate(sort_key.value, self.output_scope(o))) for o in outputs]
            places = sorted(range(len(outputs)), key=ranks.__getitem__, reverse=sort_key.descending)
            outputs = [outputs[place] for place in places]
        return outputs

    def output_scope(self, output: Output) -> Scope:
        """A path means the column of its name, or the place that selecting it has made.

        One with a source's name is of the events; of several the first that is not null counts.
        """
        selected = {
            i.value.steps
            for i in self.query.items
            if isinstance(i.value, Property) and i.alias is None
        }

        def read(path: Property) -> Json:
            if path.source:
                return first_non_null(record.read(path) for record in output.records)
            steps = path.steps
            keys = [str(step) for step in steps]
            if self.query.is_aggregate and ".".join(keys) in output.row:
                return output.row[".".join(keys)]
            size = max((n for n in range(len(steps) + 1) if steps[:n] in selected), default=0)
            return walk(walk(output.row, keys[:size]), steps[size:])

        return Scope(read, output.records, self.now_ms)

    def judge(self, output: Output, detector: Mad | Des, clause: AnomalyClause) -> Output:
        value = evaluate(clause.subject, self.output_scope(output))
        added = detector.judge(float(value)) if is_number(value) else detector.unknown
        kept = {k: v for k, v in added.items() if v is not None or self.query.is_aggregate}
        return Output({**output.row, **kept}, output.records)

    def extrapolate(self, output: Output) -> Row:
        clause = self.query.sample
        if clause is None or isinstance(clause, RateSample) or not clause.extrapolate:
            return output.row
        if not self.query.is_aggregate or not 0 < clause.threshold < clause.factor:
            return output.row
        scale = Fraction(clause.factor, clause.threshold)
        return {**output.row, **self.summary(output.records, scale)}

    def summary(self, records: list[Record], scale: Fraction = Fraction(1)) -> Row:
        """The row of an aggregate query: nulls stay; of two columns the later non-null wins."""
        row: Row = {}
        scope = group_scope(records, self.now_ms, scale)
        for item in self.query.items:
            assert not isinstance(item.value, Everything | Prefix)
            name = name_of(item, self.query.text)
            value = evaluate(item.value, scope)
            row[name] = row.get(name) if value is None else value
        return row

    def projection(self, record: Record) -> Row:
        """The row of a row query: nulls are left out, but for those of `*`."""
        row: Row = {}
        scope = event_scope(record, self.now_ms)
        event = record.bodies.get("", {})
        for item in self.query.items:
            match item.value:
                case Everything():
                    row |= {k: v for k, v in event.items() if v is not None or k not in row}
                case Prefix(start):
                    row |= {k: v for k, v in event.items() if v is not None and k.startswith(start)}
                case Property(steps) as path if item.alias is None:
                    if not is_covered(path, self.query.items):
                        place(row, [str(step) for step in steps], evaluate(path, scope))
                case value:
                    place(row, [name_of(item, self.query.text)], evaluate(value, scope))
        return row


def is_covered(path: Property, items: tuple[Item, ...]) -> bool:
    """Whether a path without `as` lies within another thing that is selected without `as`."""
    first, *others = path.steps
    for other in (item.value for item in items if item.alias is None and others):
        match other:
            case Everything():
                return True
            case Prefix(start) if str(first).startswith(start):
                return True
            case Property(steps) if other.source == path.source and is_within(path.steps, steps):
                return True
    return False


def is_within(steps: tuple[Step, ...], prefix: tuple[Step, ...]) -> bool:
    return len(prefix) < len(steps) and steps[: len(prefix)] == prefix


def place(row: Row, keys: list[str], value: Json) -> None:
    if value is None:
        return
    for key in keys[:-1]:
        inner = row.get(key)
        copy = dict(inner) if isinstance(inner, dict) else {}
        row[key] = copy
        row = copy
    row[keys[-1]] = value
