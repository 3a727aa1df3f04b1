"""MQL one row at a time: what the engine's answers are compared with.

It shares the parser with the engine and nothing else. Each rule of the language is said once, in
the plainest way there is, whatever it costs. It takes all events of a bounded input at once, does
not refuse queries, and cannot foretell a sample that is drawn by lot or by hash.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from heapq import merge
from typing import ClassVar, TypeAlias, TypeGuard, assert_never

import msgspec

from mql.language.format import format_value
from mql.language.functions import FUNCTIONS
from mql.language.parser import parse
from mql.language.spans import span_of
from mql.language.syntax import (
    Aggregate,
    And,
    AnomalyClause,
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
    CountWindow,
    Everything,
    GroupKey,
    If,
    In,
    Item,
    JoinClause,
    Like,
    Literal,
    Matches,
    Not,
    Or,
    Origin,
    Prefix,
    Property,
    Provenance,
    Query,
    RandomSample,
    RateSample,
    SampleClause,
    Step,
    StickySample,
    Tick,
    TimeWindow,
    Value,
    WindowClause,
)
from tests.oracle.cases import Event, Json, Row
from tests.oracle.scalars import call

Number: TypeAlias = int | float


def interpret(
    query_text: str,
    streams: dict[str, list[Event]],
    *,
    start_ms: int | None = 0,
    end_ms: int | None = None,
    now_ms: int = 0,
    draw: Callable[[Row], bool] | None = None,
) -> list[list[Row]]:
    """The windows of a query's answer, each a list of rows; without `window` there is one.

    `start_ms` None: the first window is that of the earliest event. `end_ms` None: the input ends
    right after the last event. `draw` says which events a sample keeps that leaves it to chance;
    without it NotImplementedError is raised for one. Raises QueryError.
    """
    return answer(
        parse(query_text), streams, start_ms=start_ms, end_ms=end_ms, now_ms=now_ms, draw=draw
    )


def answer(
    query: Query,
    streams: dict[str, list[Event]],
    *,
    start_ms: int | None = 0,
    end_ms: int | None = None,
    now_ms: int = 0,
    draw: Callable[[Row], bool] | None = None,
) -> list[list[Row]]:
    """The same, for a query that has been parsed."""
    inputs = {name: [(t, _normal_event(e)) for t, e in events] for name, events in streams.items()}
    others = query.join.sources if query.join else ()
    times = [t for name in query.sources + others for t, _ in inputs.get(name, [])]
    start = min(times, default=None) if start_ms is None else start_ms
    end = max(times, default=-1) + 1 if end_ms is None else end_ms

    events = merge_by_time(query.sources, inputs)
    names = query.source_names
    if query.join:
        events = join(events, merge_by_time(others, inputs), query.join, names)
    elif names:
        events = [(time, {names[0]: event}) for time, event in events]
    events = [(time, Known(event, time, names)) for time, event in events]
    events = [
        e for e in events if query.where is None or holds(query.where, event_scope(e[1], now_ms))
    ]
    if query.sample:
        events = sample(query.sample, events, draw)
    made = Answer(query, now_ms)
    windows = (made.rows_of(members) for members in split(query.window, events, start, end))
    return [[made.extrapolate(row) for row in window] for window in limit(query, windows)]


class Known(dict[str, Json]):
    """An event, when it was, and where it is from."""

    def __init__(self, event: Row, time: int, names: tuple[str, ...]) -> None:
        super().__init__(event)
        self.time = time
        self.origin = walk(event, [*names[:1], "_agent"])


# ---- Values: null, booleans, integers of 64 bits, finite floats, strings, lists, objects. ----


def normal(value: Json) -> Json:
    match value:
        case list():
            return [normal(v) for v in value]
        case dict():
            return _normal_event(value)
        case _:
            return fit(value) if is_number(value) else value


def _normal_event(event: Row) -> Row:
    return {key: normal(value) for key, value in event.items()}


def is_number(value: Json) -> TypeGuard[Number]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def fit(number: Number | Fraction) -> Number | None:
    """A number as a value: an integer beyond 64 bits is a float, a float beyond all is null."""
    if isinstance(number, int) and -(2**63) <= number < 2**63:
        return number
    try:
        return float(number) if math.isfinite(number) else None
    except OverflowError:
        return None


def identity(value: Json) -> object:
    """Two values are equal if their identities are: 1 and 1.0 are, 1 and true are not."""
    match value:
        case list():
            return ("list", tuple(map(identity, value)))
        case dict():
            return ("object", frozenset((key, identity(v)) for key, v in value.items()))
        case _:
            return ("number" if is_number(value) else type(value).__name__, value)


def rank(value: Json) -> tuple[int, Number | str]:
    """The place of a value among all others."""
    match value:
        case None:
            return 0, 0
        case bool():
            return 1, value
        case int() | float():
            return 2, value
        case str():
            return 3, value
        case list():
            return 4, text(value)
        case dict():
            return 5, text(value)


def text(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def walk(value: Json, steps: Iterable[Step]) -> Json:
    for step in steps:
        match value, step:
            case dict(), str():
                value = value.get(step)
            case list(), int() if -len(value) <= step < len(value):
                value = value[step]
            case _:
                return None
    return value


# ---- Expressions and conditions. ----


@dataclass(frozen=True)
class Scope:
    """What a name means at some place, the events that an aggregate there is of, and the clock."""

    look: Callable[[tuple[Step, ...]], Json]
    events: list[Row]
    now_ms: int
    element: Json = None
    """What the `[*]` path of a comparison reads at the moment."""
    scale: Fraction = Fraction(1)
    """What COUNT and SUM are multiplied by."""
    is_group: bool = False
    """What is of an event is the first of the group that is not null."""
    columns: Callable[[Value], list[Json]] = lambda _: []
    """The column that an expression of the list has made, if it has to be meant."""


def event_scope(event: Row, now_ms: int) -> Scope:
    return Scope(lambda steps: walk(event, steps), [event], now_ms)


def parts(value: Value) -> list[Value]:
    """What an expression is made of."""
    match value:
        case Arithmetic(_, left, right):
            return [left, right]
        case Call(_, arguments):
            return list(arguments)
        case If(condition, then, otherwise):
            return [*compared(condition), then, otherwise]
        case _:
            return []


def compared(condition: Condition) -> list[Value]:
    match condition:
        case Constant():
            return []
        case Not(inner):
            return compared(inner)
        case And(conditions) | Or(conditions):
            return [value for each in conditions for value in compared(each)]
        case _:
            return operands(condition)


def everything_in(value: Value) -> list[Value]:
    return [value, *(each for part in parts(value) for each in everything_in(part))]


def is_of_events(value: Value) -> bool:
    """Whether it reads an event, and no aggregate is in it."""
    inside = everything_in(value)
    reads = any(isinstance(each, Property | Provenance) for each in inside)
    return reads and not any(isinstance(each, Aggregate) for each in inside)


def steps_of(path: Property) -> tuple[Step, ...]:
    return (path.source, *path.steps) if path.source else path.steps


def first_of(value: Value, events: list[Row], now_ms: int) -> Json:
    found = (evaluate(value, event_scope(event, now_ms)) for event in events)
    return next((each for each in found if each is not None), None)


def evaluate(value: Value, scope: Scope) -> Json:
    if scope.is_group and is_of_events(value):
        return first_of(value, scope.events, scope.now_ms)
    for column in scope.columns(value):
        return column
    match value:
        case Property():
            return scope.element if value.has_any else scope.look(steps_of(value))
        case Provenance(Origin.TIME):
            return next((event.time for event in scope.events if isinstance(event, Known)), None)
        case Provenance(origin):
            origins = (event.origin for event in scope.events if isinstance(event, Known))
            found = (walk(each, [origin.value]) for each in origins)
            return next((each for each in found if each is not None), None)
        case Call(function, arguments, pattern):
            return call(function, [evaluate(each, scope) for each in arguments], pattern)
        case If(condition, then, otherwise):
            return evaluate(then if holds(condition, scope) else otherwise, scope)
        case Literal():
            return value.value
        case Tick():
            return scope.now_ms
        case Arithmetic(operator, left, right):
            return calculate(operator, evaluate(left, scope), evaluate(right, scope))
        case Aggregate():
            return aggregate(value, scope)
        case _:
            assert_never(value)


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
            many = scope.look(path.steps[:at])
            members = (
                many.values() if isinstance(many, dict) else many if isinstance(many, list) else []
            )
            found = [walk(member, path.steps[at + 1 :]) for member in members]
            return any(is_met(condition, replace(scope, element=element)) for element in found)


def many_paths(value: Value) -> list[Property]:
    """The properties in a value that hold `[*]`."""
    return [each for each in everything_in(value) if isinstance(each, Property) and each.has_any]


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
            return compare(Comparator.GE, left, others[0]) and compare(
                Comparator.LE, left, others[1]
            )
        case Contains():
            return left is not None and others[0] is not None and text(others[0]) in text(left)
        case Matches(_, pattern):
            return left is not None and bool(
                re.fullmatch(pattern, text(left), re.DOTALL | re.ASCII)
            )
        case Like(_, pattern):
            wild = {"%": ".*", "_": "."}
            regex = "".join(wild.get(c) or re.escape(c) for c in pattern)
            return left is not None and bool(re.fullmatch(regex, text(left), re.DOTALL))


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


# ---- Aggregates, exact until the last step. ----


def aggregate(made: Aggregate, scope: Scope) -> Json:
    events = scope.events
    if made.condition is not None:
        events = [e for e in events if holds(made.condition, event_scope(e, scope.now_ms))]
    if made.argument is None:
        return rescale(len(events), scope.scale)
    values = [evaluate(made.argument, event_scope(e, scope.now_ms)) for e in events]
    values = [v for v in values if v is not None]
    if made.distinct:
        first_seen: dict[object, Json] = {}
        for value in values:
            first_seen.setdefault(identity(value), value)
        values = list(first_seen.values())
    result = reduce(made.function, values, made.percent)
    return rescale(result, scope.scale) if FUNCTIONS[made.function].scales else result


def reduce(function: str, values: list[Json], percent: Literal | None = None) -> Json:
    """The result of an aggregate function for values that are not null."""
    numbers = [v for v in values if is_number(v)]
    strings = [v for v in values if isinstance(v, str)]
    n = len(numbers)
    total = sum(map(Fraction, numbers), Fraction(0))
    quantile = FUNCTIONS[function].quantile
    if percent is not None:
        assert is_number(percent.value)
        quantile = Fraction(repr(percent.value)) / 100  # type: ignore[assignment]
    if quantile is not None:
        return sorted(numbers)[min(math.ceil(quantile * n), n - 1)] if numbers else None
    match function:
        case "COUNT":
            return len(values)
        case "SUM":
            return fit(int(total) if all(isinstance(v, int) for v in numbers) else total)
        case "AVERAGE":
            return fit(total / n) if numbers else None
        case "STDDEV":
            squares = sum((v - total / n) ** 2 for v in map(Fraction, numbers)) if n > 1 else None
            variance = None if squares is None else fit(squares / (n - 1))
            return None if variance is None else math.sqrt(variance)
        case "MIN":
            return min(numbers) if numbers else min(strings, default=None)
        case "MAX":
            return max(numbers) if numbers else max(strings, default=None)
        case "FIRST":
            return values[0] if values else None
        case "LAST":
            return values[-1] if values else None
        case "LIST":
            return values or None
        case _:
            raise LookupError(f"`reduce` has no {function}")


def rescale(result: Json, scale: Fraction) -> Json:
    if not is_number(result):
        return result
    exact = result * scale if scale != 1 else result
    whole = isinstance(result, int) and exact == int(exact)
    return fit(int(exact)) if whole else fit(exact)


# ---- Sources, join, sample, window, limit: which events and rows there are. ----


def merge_by_time(sources: Iterable[str], inputs: dict[str, list[Event]]) -> list[Event]:
    """The events of several sources by time; one source alone keeps its order of arrival."""
    return list(merge(*(inputs.get(name, []) for name in sources), key=lambda event: event[0]))


def join(
    lefts: list[Event], rights: list[Event], clause: JoinClause, names: tuple[str, ...]
) -> list[Event]:
    joined = []
    rights = sorted(rights, key=lambda event: event[0])
    for time, left in lefts:
        keys = [walk(left, key.left.steps) for key in clause.keys]
        for other_time, right in rights:
            others = [walk(right, key.right.steps) for key in clause.keys]
            equal = identity(keys) == identity(others)
            if equal and None not in keys and abs(other_time - time) <= clause.within_ms:
                one = dict(zip(names, (left, right), strict=True)) if names else {**right, **left}
                joined.append((time, one))
                break
    return joined


def sample(
    clause: SampleClause, events: list[Event], draw: Callable[[Row], bool] | None
) -> list[Event]:
    match clause:
        case RateSample(threshold):
            seen: Counter[int] = Counter()
            kept = []
            for time, event in events:
                seen[time // 1000] += 1
                if seen[time // 1000] <= threshold:
                    kept.append((time, event))
            return kept
        case StickySample(keys):
            events = [e for e in events if any(e[1].get(key) is not None for key in keys)]
        case RandomSample():
            pass
    if clause.threshold == 0 or not events:
        return []
    if clause.threshold >= clause.factor:
        return events
    if draw is None:
        raise NotImplementedError("which events this sample keeps is left to chance")
    return [(time, event) for time, event in events if draw(event)]


def split(
    window: WindowClause | None, events: list[Event], start: int | None, end: int
) -> Iterator[list[Row]]:
    match window:
        case None:
            yield [event for _, event in events]
        case CountWindow(count):
            for at in range(0, len(events), count):
                yield [event for _, event in events[at : at + count]]
        case TimeWindow(span, shift) if start is not None:
            for first in range(start // shift * shift, end, shift):
                yield [event for time, event in events if first <= time < first + span]


def limit(query: Query, windows: Iterator[list[Output]]) -> Iterator[list[Output]]:
    """Bounds the rows of each window, or, where a window has one row, those of all windows."""
    left = query.limit
    for window in windows:
        if left == 0 and query.window and query.is_aggregate and not query.group_by:
            return
        yield window if left is None else window[:left]
        if left is not None and query.is_aggregate and not query.group_by:
            left -= len(window[:left])


QUOTED_OR_BLANKS = re.compile(r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|\s+""", re.DOTALL)

# ---- The rows of one window: group, select, anomaly, having, order. ----


@dataclass(frozen=True)
class Output:
    """A row, and the events that it is made of."""

    row: Row
    events: list[Row]


class Answer:
    """The part of a query behind its windows; it remembers only what `anomaly` needs."""

    def __init__(self, query: Query, now_ms: int) -> None:
        self.query = query
        self.now_ms = now_ms
        self.detectors: dict[object, Mad | Des] = {}
        self.keys = [self.key_of(key) for key in query.group_by]

    def key_of(self, key: GroupKey) -> Value:
        """What a group is made by: of items with the name the last that is not null, or the key."""
        named = [item.value for item in self.query.items if (item.alias,) == key.property.steps]
        values = [v for v in reversed(named) if not isinstance(v, Everything | Prefix)]
        return Call("coalesce", tuple(values)) if values and not key.is_path else key.property

    def rows_of(self, events: list[Row]) -> list[Output]:
        query = self.query
        groups: dict[object, list[Row]] = {} if query.group_by else {None: []}
        for event in events:
            scope = event_scope(event, self.now_ms)
            values = [evaluate(key, scope) for key in self.keys]
            key = identity(values) if query.group_by else None
            groups.setdefault(key, []).append(event)
        window = []
        for key, members in groups.items():
            if query.is_aggregate:
                outputs = [Output(self.summary(members), members)]
            else:
                outputs = [Output(self.projection(event), [event]) for event in members]
            if query.anomaly:
                detector = self.detectors.setdefault(key, new_detector(query.anomaly))
                outputs = [self.judge(output, detector, query.anomaly) for output in outputs]
            if query.having:
                outputs = [o for o in outputs if holds(query.having, self.output_scope(o))]
            window += outputs if query.is_aggregate else self.in_order(outputs)
        return self.in_order(window) if query.is_aggregate else window

    def in_order(self, outputs: list[Output]) -> list[Output]:
        for sort_key in reversed(self.query.order_by):
            ranks = [rank(evaluate(sort_key.value, self.output_scope(o))) for o in outputs]
            places = sorted(range(len(outputs)), key=ranks.__getitem__, reverse=sort_key.descending)
            outputs = [outputs[place] for place in places]
        return outputs

    def output_scope(self, output: Output) -> Scope:
        """A path means the column of its name, or the place that selecting it has made."""
        selected = {
            i.value.steps
            for i in self.query.items
            if isinstance(i.value, Property) and i.alias is None
        }

        def look(steps: tuple[Step, ...]) -> Json:
            keys = [str(step) for step in steps]
            if self.query.is_aggregate and ".".join(keys) in output.row:
                return output.row[".".join(keys)]
            if self.query.source_names and steps[0] in self.query.source_names:
                return first_of(Property(steps), output.events, self.now_ms)
            size = max((n for n in range(len(steps) + 1) if steps[:n] in selected), default=0)
            return walk(walk(output.row, keys[:size]), steps[size:])

        return Scope(look, output.events, self.now_ms, columns=partial(self.own_column, output))

    def own_column(self, output: Output, value: Value) -> list[Json]:
        """What the list has made of the same expression, where that reads what is no column."""
        if not isinstance(value, Arithmetic | Call | If):
            return []
        read = [each.steps[0] for each in everything_in(value) if isinstance(each, Property)]
        if all(name in output.row for name in read):
            return []
        names = [self.name_of(item) for item in self.query.items if item.value == value]
        return [output.row.get(name) for name in names]

    def judge(self, output: Output, detector: Mad | Des, clause: AnomalyClause) -> Output:
        value = evaluate(clause.subject, self.output_scope(output))
        added = detector.judge(float(value)) if is_number(value) else detector.unknown
        kept = {k: v for k, v in added.items() if v is not None or self.query.is_aggregate}
        return Output({**output.row, **kept}, output.events)

    def extrapolate(self, output: Output) -> Row:
        clause = self.query.sample
        if clause is None or isinstance(clause, RateSample) or not clause.extrapolate:
            return output.row
        if not self.query.is_aggregate or not 0 < clause.threshold < clause.factor:
            return output.row
        return {
            **output.row,
            **self.summary(output.events, Fraction(clause.factor, clause.threshold)),
        }

    def summary(self, events: list[Row], scale: Fraction = Fraction(1)) -> Row:
        """The row of an aggregate query: nulls stay; of two columns the later non-null wins."""

        def look(steps: tuple[Step, ...]) -> Json:
            return next((v for v in (walk(e, steps) for e in events) if v is not None), None)

        row: Row = {}
        for item in self.query.items:
            assert not isinstance(item.value, Everything | Prefix)
            name = self.name_of(item)
            scope = Scope(look, events, self.now_ms, scale=scale, is_group=True)
            value = evaluate(item.value, scope)
            row[name] = row.get(name) if value is None else value
        return row

    def projection(self, event: Row) -> Row:
        """The row of a row query: nulls are left out, but for those of `*`."""
        row: Row = {}
        scope = event_scope(event, self.now_ms)
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
                    place(row, [self.name_of(item)], evaluate(value, scope))
        return row

    def name_of(self, item: Item) -> str:
        match item.value:
            case _ if item.alias is not None:
                return item.alias
            case Property(steps):
                return ".".join(map(str, steps))
            case Literal(_, written):
                return written
            case Tick():
                return "tick"
            case Provenance(origin):
                return origin.value
            case Arithmetic() | Call() | If() as value:
                return self.written(value)
            case Aggregate(function, argument, percent=percent):
                of = "*" if argument is None else self.written(argument)
                return f"{function}({of}, {percent.text})" if percent else f"{function}({of})"
            case _:
                raise AssertionError(item)

    def written(self, value: Value) -> str:
        if isinstance(value, Property):
            return ".".join(map(str, value.steps))
        span = span_of(value)
        written = self.query.text[span.start : span.end]
        return QUOTED_OR_BLANKS.sub(lambda m: m[1] or " ", written) or format_value(value)


def is_covered(path: Property, items: tuple[Item, ...]) -> bool:
    """Whether a path without `as` lies within another thing that is selected without `as`."""
    first, *others = path.steps
    for other in (item.value for item in items if item.alias is None and others):
        match other:
            case Everything():
                return True
            case Prefix(start) if str(first).startswith(start):
                return True
            case Property(steps) if steps != path.steps and steps == path.steps[: len(steps)]:
                return True
    return False


def place(row: Row, keys: list[str], value: Json) -> None:
    if value is None:
        return
    for key in keys[:-1]:
        inner = row.get(key)
        copy = dict(inner) if isinstance(inner, dict) else {}
        row[key] = copy
        row = copy
    row[keys[-1]] = value


# ---- Anomaly detectors, one for each group. ----


def new_detector(clause: AnomalyClause) -> Mad | Des:
    return Mad(*clause.parameters) if clause.method == "mad" else Des(*clause.parameters)


class Mad:
    """A running median that moves by alpha."""

    unknown: ClassVar[Row] = {"anomalous": False}

    def __init__(self, alpha: float, beta: float) -> None:
        self.alpha, self.beta = alpha, beta
        self.median: float | None = None

    def judge(self, value: float) -> Row:
        if self.median is None:
            self.median = value
        else:
            self.median += self.alpha if self.median < value else -self.alpha
        return {"anomalous": self.beta * self.median < value}


class Des:
    """A forecast by level and trend, and the usual size of its error."""

    unknown: ClassVar[Row] = {"anomalous": False, "expected": None, "score": None}

    def __init__(self, alpha: float, beta: float, threshold: float = 3.0) -> None:
        self.alpha, self.beta, self.threshold = alpha, beta, threshold
        self.level: float | None = None
        self.trend: float | None = None
        self.usual: float | None = None

    def judge(self, value: float) -> Row:
        if self.level is None:
            self.level = value
            return self.unknown
        if self.trend is None:
            self.trend, self.level = value - self.level, value
            return self.unknown
        expected = self.level + self.trend
        error = abs(value - expected)
        level = self.alpha * value + (1 - self.alpha) * expected
        self.trend = self.beta * (level - self.level) + (1 - self.beta) * self.trend
        self.level = level
        usual, self.usual = self.usual, error
        if usual is None:
            return {"anomalous": False, "expected": fit(expected), "score": None}
        self.usual = self.alpha * error + (1 - self.alpha) * usual
        score = fit(error / usual) if usual else None
        return {
            "anomalous": error > self.threshold * usual,
            "expected": fit(expected),
            "score": score,
        }
