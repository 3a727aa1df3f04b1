"""Aggregating in parts, in several places, and adding up the parts gives what one place gives."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mql
from mql.errors import RunError
from mql.events.decode import EventReader
from mql.exec.aggregates.partial_aggregate import PartialAggregate
from mql.exec.build import Context, Pipeline
from mql.exec.limits import Limits
from mql.exec.windows.event_time import EventClock
from mql.language.syntax import Property
from mql.layout import layout_of
from mql.planner.fields import Fields
from mql.result import Result, Statistics
from mql.wire.payload import write_batch
from source_jobs.query.untrusted_columns import read_columns

NOW = 0
G = Property(("g",))
AGGREGATES = (
    "count(a)", "sum(a)", "average(a)", "min(a)", "max(a)", "stddev(a)",
    "first(a)", "last(a)", "a", "sum(b) filter (where a == 1)", "max(b)",
)  # fmt: skip
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.integers(2**62, 2**63 - 1),
    st.sampled_from(["x", "y", "é"]), st.just([1, {"k": True}]),
)  # fmt: skip
EVENTS = st.lists(st.fixed_dictionaries({"a": VALUES, "b": VALUES, "g": VALUES}), max_size=30)


def answer(query, events):
    """What one place answers: each window's rows."""
    result = mql.run(query, {"s": events}, start_ms=0, end_ms=10_000)
    return [(w.start_ms, w.rows()) for w in result]


def answer_in_parts(query, events, places, cuts):
    """What a source job answers to states from several places, sent at several times."""
    plan = mql.plan(query, live=True)
    step = plan.agent.aggregate
    assert step is not None
    partials = [PartialAggregate(step, Limits(), lambda: NOW) for _ in range(3)]
    pipeline = Pipeline(plan.job, Context(lambda: NOW, start_ms=0))
    readers = [EventReader(plan.agent.ships) for _ in range(3)]
    for number, (time, event) in enumerate(events):
        place = places[number % len(places)]
        partials[place].update(readers[place].from_events([event], [time]).batch)
        cut = cuts[number % len(cuts)]
        if cut is not None:
            send(partials[place], pipeline, None if cut == "all" else time)
    for partial in partials:
        send(partial, pipeline)
    nothing = EventReader(plan.agent.ships).from_events([]).batch
    blocks = pipeline.push(EventClock().stamp(nothing, now_ms=0)) + pipeline.finish(10_000)
    layout = layout_of(plan.steps)
    result = Result(layout, (block for block in blocks), Statistics(), lambda: None)
    return [(window.start_ms, window.rows()) for window in result]


def send(partial, pipeline, before_ms=None):
    states = partial.take(before_ms)
    if states is not None:
        assert pipeline.absorb(read_columns(write_batch(states).to_pybytes())) == 0


def close(rows):
    """The rows with doubles as they are when nobody looks at their last digits."""
    return [
        {k: pytest.approx(v) if isinstance(v, float) else v for k, v in row.items()} for row in rows
    ]


@settings(deadline=None)
@given(
    EVENTS,
    st.lists(st.sampled_from(AGGREGATES), min_size=1, max_size=4, unique=True),
    st.sampled_from(["", " group by g", " group by g, a"]),
    st.sampled_from(["window 1", "window 2 1", "window 0.5 2"]),
    st.lists(st.integers(0, 2), min_size=1, max_size=5),
    st.lists(st.sampled_from([None, "all", "ended"]), min_size=1, max_size=5),
)
def test_parts_add_up_to_the_whole(events, aggregates, group, window, places, cuts):
    columns = ", ".join(f"{text} as c{i}" for i, text in enumerate(["count(*)", *aggregates]))
    query = f"select {columns} from s {window}{group}"
    timed = [(number * 97, event) for number, event in enumerate(events)]
    whole = answer(query, timed)
    parts = answer_in_parts(query, timed, places, cuts)
    assert [start for start, _ in parts] == [start for start, _ in whole]
    for (_, mine), (_, theirs) in zip(parts, whole, strict=True):
        assert mine == close(theirs)


def test_states_of_a_group_that_come_one_by_one_add_up_to_the_whole():
    columns = "count(*) as n, stddev(a) as d, max(a) as m, first(a) as f, g"
    query = f"select {columns} from s window 10 group by g"
    timed = [(n * 10, {"a": n * 37 % 101, "g": n % 2 or 1.0}) for n in range(700)]
    ((_, whole),) = answer(query, timed)
    ((_, parts),) = answer_in_parts(query, timed, [0, 1, 2], ["all"])
    assert parts == close(whole)
    assert [row["n"] for row in parts] == [700]


def test_events_of_one_millisecond_keep_their_order_whichever_batch_they_come_in():
    step = mql.plan("select count(*), g from s window 1 group by g", live=True).agent.aggregate
    partial, reader = PartialAggregate(step, Limits(), lambda: NOW), EventReader(Fields((G,)))
    orders = []
    for groups in ("zx", "yz", "w"):
        partial.update(reader.from_events([{"g": g} for g in groups], [5] * len(groups)).batch)
        if groups != "zx":  # the states are sent, too
            orders += partial.take()["*order"].to_pylist()
    assert [order - orders[0] for order in orders] == [0, 1, 2, 4], "z x y, and w after z"


def test_what_comes_after_later_events_has_its_place_before_them():
    """As where a `publish` takes so long that others are done before it."""
    query = "select count(*) as n, g, first(a) as f, last(a) as l, b from s window 1 group by g"
    timed = [(n * 10, {"a": n, "b": -n, "g": "xyyxzx"[n]}) for n in range(6)]
    step = mql.plan(query, live=True)
    partial = PartialAggregate(step.agent.aggregate, Limits(), lambda: NOW)
    pipeline = Pipeline(step.job, Context(lambda: NOW, start_ms=0))
    reader = EventReader(step.agent.ships)
    for number in (5, 2, 1, 4, 0, 3):
        time, event = timed[number]
        partial.update(reader.from_events([event], [time]).batch)
    send(partial, pipeline)
    (block,) = (block for block in pipeline.finish(1_000) if block.batch.num_rows)
    names = ["n", "g", "f", "l", "b"]
    rows = [
        dict(zip(names, list(row.values())[-5:], strict=True)) for row in block.batch.to_pylist()
    ]
    (_, whole), *_ = answer(query, timed)
    assert rows == whole


def test_of_one_millisecond_the_events_of_earlier_sources_are_first():
    plan = mql.plan("select count(*), g, last(g) as l from s, t window 1 group by n", live=True)
    fields = Fields((G, Property(("n",))))
    pipeline = Pipeline(plan.job, Context(lambda: NOW, start_ms=0))
    for source, events in enumerate([["a", "b", "c"], ["d", "e"]]):
        partial = PartialAggregate(plan.agent.aggregate, Limits(), lambda: NOW, source=source)
        rows = [{"g": g, "n": n % 2} for n, g in enumerate(events)]
        partial.update(EventReader(fields).from_events(rows, [5] * len(rows)).batch)
        send(partial, pipeline)
    ((rows,)) = [
        block.batch.to_pylist() for block in pipeline.finish(1_000) if block.batch.num_rows
    ]
    assert [list(row.values())[-2:] for row in rows] == [["a", "d"], ["b", "e"]]


def test_of_a_pane_that_has_begun_the_states_can_wait():
    step = mql.plan("select count(*), g from s window 1 group by g", live=True).agent.aggregate
    partial, reader = PartialAggregate(step, Limits(), lambda: NOW), EventReader(Fields((G,)))
    for time in (200, 900, 1_000, 1_300):
        partial.update(reader.from_events([{"g": "x"}], [time]).batch)
    taken = [partial.take(1_000), partial.take(1_000), partial.take()]
    assert [None if batch is None else batch["*events"].to_pylist() for batch in taken] == [
        [2], None, [2],
    ]  # fmt: skip
    assert partial.size == 0


def grouped(*, limits=None):
    plan = mql.plan("select count(*), g from s window 1 group by g", live=True)
    return Pipeline(plan.job, Context(lambda: NOW, start_ms=0, limits=limits or Limits()))


def states(values, times=None):
    plan = mql.plan("select count(*), g from s window 1 group by g", live=True)
    partial = PartialAggregate(plan.agent.aggregate, Limits(), lambda: NOW)
    events = [{"g": value} for value in values]
    partial.update(
        EventReader(plan.agent.ships).from_events(events, times or [0] * len(events)).batch
    )
    return partial.take()


def test_states_of_closed_windows_are_late():
    pipeline = grouped()
    nothing = EventReader(mql.plan("select a from s").agent.ships).from_events([]).batch
    pipeline.push(EventClock().stamp(nothing, now_ms=5_000))
    assert pipeline.absorb(states(["x", "y", "x"])) == 3


def test_more_groups_than_allowed_end_the_query():
    with pytest.raises(RunError, match="more than 2 groups"):
        grouped(limits=Limits(groups=2)).absorb(states(["x", "y", "z"]))


def without(batch, name):
    return batch.select([n for n in batch.schema.names if n != name])


def twice(batch):
    return pa.Table.from_batches([batch, batch]).combine_chunks().to_batches()[0]


def with_negative(batch):
    place = batch.schema.get_field_index("*events")
    return batch.set_column(place, "*events", pa.array([-1] * batch.num_rows))


def renamed(batch):
    return batch.rename_columns([name.replace("*order", "x") for name in batch.schema.names])


SPOILED = {
    "no pane": lambda batch: without(batch, "*pane"),
    "no key": lambda batch: without(batch, "key 0"),
    "no state": lambda batch: without(batch, "state 0"),
    "no order": renamed,
    "twice the same group": twice,
    "a negative number of events": with_negative,
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_what_is_no_batch_of_states_is_refused_and_changes_nothing(spoil):
    pipeline = grouped()
    with pytest.raises(ValueError, match=r"."):
        pipeline.absorb(spoil(states(["x", "y"])))
    assert pipeline.absorb(states(["x"])) == 0


def test_an_event_that_comes_after_later_ones_has_its_place_before_them():
    query = "select first(a), last(a) from s window 10"
    late = [(1_000, {"a": 1}), (1_600, {"a": 3}), (1_599, {"a": 2}), (1_900, {"a": 4})]
    for cuts in ([None], ["all"], [None, None, "all"]):
        ((_, (row,)),) = answer_in_parts(query, late, [0], cuts)
        assert (row["FIRST(a)"], row["LAST(a)"]) == (1, 4)
        ((_, (row,)),) = answer_in_parts(query, late[1:3], [0], cuts)
        assert (row["FIRST(a)"], row["LAST(a)"]) == (2, 3)
