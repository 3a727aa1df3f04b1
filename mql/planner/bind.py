"""Query to logical plan: what each name means, and whether the query means anything at all.

This is the only place that knows the order in which an event passes the clauses. Whatever is
refused here carries the place in the query's text.
"""

from __future__ import annotations

from dataclasses import replace

from mql.language.format import format_property
from mql.language.functions import FUNCTIONS
from mql.language.syntax import (
    Aggregate,
    Call,
    Everything,
    Prefix,
    Property,
    Query,
    RandomSample,
    RateSample,
    StickySample,
    Value,
)
from mql.language.traverse import aggregates_in, event_values_in, map_condition, properties_in
from mql.planner.checks import check
from mql.planner.event_paths import EventPaths, join_of
from mql.planner.logical import (
    Anomaly,
    Extrapolate,
    Filter,
    Having,
    Join,
    Limit,
    LogicalPlan,
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
from mql.planner.output_row import Row

ANOMALY_COLUMNS = {"mad": ("anomalous",), "des": ("anomalous", "expected", "score")}


def bind(query: Query, *, live: bool = False) -> LogicalPlan:
    """The plan of a query, not yet optimized. Raises QueryError.

    `live` refuses what would never answer on a stream without an end.
    """
    check(query, live=live)
    head: list[Step] = [Scan(query.sources)]
    if query.join:
        head.append(Join(join_of(query.join), query.source_names))
    if query.sample and not isinstance(query.sample, RateSample):
        head.append(Sample(query.sample))
    if query.where:
        head.append(Filter((EventPaths(query).condition(query.where),)))
    if isinstance(query.sample, RateSample):
        head.append(Sample(query.sample))
    tail = _bind_aggregates(query) if query.is_aggregate else _bind_rows(query)
    return (*head, *tail)


def _bind_rows(query: Query) -> list[Step]:
    row = Row(query)
    keys = tuple(row.hide(value) for value in _group_values(query))
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
    row = Row(query)
    group_by = _group_values(query)
    keys: tuple[Property, ...] = ()
    if query.anomaly:
        keys = tuple(map(row.hide, group_by))
    late = _after_row(query, row, keys)
    extrapolation = _extrapolation(query, row)
    values = [value for output in row.outputs for value in output.values]
    aggregates = tuple(dict.fromkeys(a for value in values for a in aggregates_in(value)))
    firsts = tuple(dict.fromkeys(each for value in values for each in event_values_in(value)))
    window: Windowing = query.window or WholeInput()
    steps: list[Step] = [WindowAggregate(window, group_by, aggregates, firsts)]
    steps.append(RollUp(tuple(row.outputs)))
    steps += late
    if query.limit is not None:
        per_window = query.window is not None and bool(query.group_by)
        steps.append(Limit(query.limit, per_window))
    return steps + extrapolation


def _group_values(query: Query) -> tuple[Value, ...]:
    """What groups are made by; a name that `as` gives is what it was given to.

    Of several items of one name the last that is not null counts, as in the row.
    """
    named: dict[str, list[Value]] = {}
    for item in query.items:
        if item.alias is not None and not isinstance(item.value, Everything | Prefix):
            named.setdefault(item.alias, []).insert(0, item.value)
    values: list[Value] = []
    for key in query.group_by:
        path = key.property
        items = [] if key.is_path else named.get(str(path.steps[0]), [])
        value = Call("coalesce", tuple(items)) if len(items) > 1 else (items or [path])[0]
        values.append(EventPaths(query).value(value))
    return tuple(values)


def _after_row(query: Query, row: Row, keys: tuple[Property, ...]) -> list[Step]:
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


def _extrapolation(query: Query, row: Row) -> list[Step]:
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
