"""The logical plan: the steps that every event of a query passes, first to last.

A plan is a tuple of steps, each of which refuses to exist if it makes no sense by itself. It
prints as one line a step (`format_plan`), which is what `mql explain` shows and what the golden
tests hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from mql.language.format import (
    format_aggregate,
    format_condition,
    format_join_key,
    format_property,
    format_sample,
    format_seconds,
    format_value,
)
from mql.language.quoting import quote
from mql.language.syntax import (
    Aggregate,
    Condition,
    CountWindow,
    JoinClause,
    Property,
    SampleClause,
    TimeWindow,
    Value,
)


@dataclass(frozen=True, slots=True)
class Scan:
    """Reads events of the sources, merged by time."""

    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Join:
    """Pairs events of the scan with the first near event of other sources.

    The two become one event or, if the sources have names, one with a key for each.
    """

    clause: JoinClause
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """Keeps some of the events."""

    clause: SampleClause


@dataclass(frozen=True, slots=True)
class Filter:
    """Keeps the events that satisfy all conditions, tested in this order."""

    conditions: tuple[Condition, ...]

    def __post_init__(self) -> None:
        if not self.conditions:
            raise ValueError("a filter has a condition")


@dataclass(frozen=True, slots=True)
class WholeInput:
    """The one window of a query without `window` that needs to see everything."""


Windowing = TimeWindow | CountWindow | WholeInput


@dataclass(frozen=True, slots=True)
class Output:
    """A column of the answer: where its value goes in the row, and what it is.

    The first of `values` that is not null counts. A hidden one serves later steps only.
    """

    path: tuple[str, ...]
    values: tuple[Value, ...]
    hidden: bool = False

    @property
    def name(self) -> str:
        """The column's name in a batch."""
        return format_property(Property(self.path))


@dataclass(frozen=True, slots=True)
class Select:
    """Computes the row of each event. `everything` and `prefixes` pass keys as they are."""

    outputs: tuple[Output, ...]
    everything: bool = False
    prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TopN:
    """`Sort` and a `Limit` of each window in one, which holds only the rows that can win."""

    keys: tuple[tuple[Value, bool], ...]
    count: int


@dataclass(frozen=True, slots=True)
class WindowRows:
    """Holds the rows of a window until it closes, then emits them clustered by group.

    The keys are columns of the rows. With `top` it may forget rows that cannot be among the first
    any more.
    """

    window: Windowing
    group_by: tuple[Property, ...] = ()
    top: TopN | None = None


@dataclass(frozen=True, slots=True)
class WindowAggregate:
    """One row for each window, or each window's group, holding the aggregates' results.

    Keys are values of an event, and so are `firsts`, those beside the aggregates: each group's
    first that is not null. A value's column is named by its text.
    """

    window: Windowing
    group_by: tuple[Value, ...]
    aggregates: tuple[Aggregate, ...]
    firsts: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class RollUp:
    """Computes the answer's columns from a window's aggregates."""

    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Adds `anomalous` to each row, with a state for each group."""

    method: str
    subject: Value
    parameters: tuple[float, ...]
    group: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True)
class Having:
    """Keeps the rows that satisfy a condition on the row."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Sort:
    """Orders the rows inside each window (and group, in a row query)."""

    keys: tuple[tuple[Value, bool], ...]
    within_groups: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` rows: of each window, or of the whole answer, which then ends."""

    count: int
    per_window: bool


@dataclass(frozen=True, slots=True)
class Extrapolate:
    """Scales columns of COUNT and SUM by `factor` / `threshold`.

    `outputs` are computed anew from them.
    """

    columns: tuple[str, ...]
    outputs: tuple[Output, ...]
    threshold: int
    factor: int


@dataclass(frozen=True, slots=True)
class Nothing:
    """No event passes: the query's condition is never true."""


Step = (
    Scan
    | Join
    | Sample
    | Filter
    | Nothing
    | Select
    | WindowRows
    | WindowAggregate
    | RollUp
    | Anomaly
    | Having
    | Sort
    | TopN
    | Limit
    | Extrapolate
)

LogicalPlan = tuple[Step, ...]


def format_plan(plan: LogicalPlan) -> str:
    """The plan as text, one step a line."""
    return "\n".join(map(format_step, plan))


def format_step(step: Step) -> str:
    """One step as text."""
    match step:
        case Scan(sources):
            return f"scan {', '.join(sources)}"
        case Join(clause, names):
            keys = ", ".join(map(format_join_key, clause.keys))
            near = format_seconds(clause.within_ms)
            called = f", as {' and '.join(names)}" if names else ""
            return f"join {', '.join(clause.sources)} within {near} s on {keys}{called}"
        case Sample(clause):
            return format_sample(clause)
        case Filter(conditions):
            return "filter " + " | ".join(map(format_condition, conditions))
        case Nothing():
            return "nothing"
        case Select(outputs, everything, prefixes):
            parts = ["*"] * everything + [f"{quote(p)}…" for p in prefixes]
            return "select " + ", ".join(parts + [format_output(o) for o in outputs])
        case WindowRows(window, group_by, top):
            only = f", only the {format_step(top)}" if top else ""
            return f"rows of {_windowing(window)}{_grouped(group_by)}{only}"
        case WindowAggregate(window, group_by, aggregates, firsts):
            columns = [*map(format_aggregate, aggregates)]
            columns += [f"first {format_value(value)}" for value in firsts]
            return f"aggregate {_windowing(window)}{_grouped(group_by)}: {', '.join(columns)}"
        case RollUp(outputs):
            return "roll up " + ", ".join(map(format_output, outputs))
        case Anomaly(method, subject, parameters, group):
            numbers = " ".join(map(repr, parameters))
            return f"anomaly {method} {format_value(subject)} {numbers}{_grouped(group)}"
        case Having(condition):
            return f"having {format_condition(condition)}"
        case Sort(keys, within_groups):
            return f"sort {_sort_keys(keys)}{' within groups' * within_groups}"
        case TopN(keys, count):
            return f"top {count} by {_sort_keys(keys)}"
        case Limit(count, per_window):
            return f"limit {count} {'a window' if per_window else 'in all'}"
        case Extrapolate(columns, outputs, threshold, factor):
            again = f", then {', '.join(map(format_output, outputs))}" if outputs else ""
            return f"extrapolate {', '.join(columns)} by {factor}/{threshold}{again}"
        case _:
            assert_never(step)


def format_output(output: Output) -> str:
    """`name = value`, or just the value where it names itself."""
    value = " or ".join(map(format_value, output.values))
    name = output.name
    return value if name == value else f"{name} = {value}"


def _windowing(window: Windowing) -> str:
    match window:
        case WholeInput():
            return "the whole input"
        case CountWindow(count):
            return f"every {count} events"
        case TimeWindow(span_ms, shift_ms):
            shift = f" every {format_seconds(shift_ms)} s" if shift_ms != span_ms else ""
            return f"windows of {format_seconds(span_ms)} s{shift}"
        case _:
            assert_never(window)


def _grouped(group_by: tuple[Value, ...]) -> str:
    return f" by {', '.join(map(format_value, group_by))}" if group_by else ""


def _sort_keys(keys: tuple[tuple[Value, bool], ...]) -> str:
    return ", ".join(format_value(value) + " desc" * descending for value, descending in keys)
