"""Screen and verification together pass exactly what a query's `where` passes."""

from __future__ import annotations

import gc
import os
import weakref
from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from enum import Enum, IntEnum

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mql.language.format import format_condition
from mql.language.parser import parse
from mql.language.syntax import Condition, Constant
from mql.planner.logical import Filter
from mql.planner.plan import plan
from mql.values.json_values import read_json
from publish_agent.capture.encode import encode
from publish_agent.screen.screen import Screen, Screener
from tests.oracle.drawn.events import event_bodies
from tests.oracle.drawn.values import conditions, paths
from tests.oracle.interpreter import meets
from tests.oracle.values import normal_event
from tests.publish_agent.support import ALL, START_US, Bench

pytestmark = pytest.mark.usefixtures("both_ways")

thorough = settings(
    max_examples=int(os.environ.get("MQL_EXAMPLES", "50")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class Colour(Enum):
    A = "x"


class Number(IntEnum):
    ONE = 1


class Text(str):
    __slots__ = ()


class Grumpy:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparisons")

    def __hash__(self) -> int:
        raise RuntimeError("no hashes")

    def __str__(self) -> str:
        return "x"


ODD: list[Callable[[object], object]] = [
    lambda v: tuple(v) if isinstance(v, list) else v,
    lambda v: OrderedDict(v) if isinstance(v, dict) else v,
    lambda v: Text(v) if isinstance(v, str) else v,
    lambda v: np.int64(v) if type(v) is int and abs(v) < 2**62 else v,
    lambda v: np.float64(v) if type(v) is float else v,
    lambda v: np.array(v) if isinstance(v, list) and set(map(type, v)) <= {int} else v,
    lambda v: Decimal(v) if type(v) is int else v,
    lambda v: Number.ONE if v == 1 and type(v) is int else v,
    lambda v: Colour.A if v == "x" else v,
    lambda v: Grumpy() if v == "x" else v,
    lambda v: f"{v}\ud800" if isinstance(v, str) else v,
    lambda v: "\ud83d\ude00" if v == "y" else v,
    lambda v: {1: v} if v is None else v,
    lambda v: {True: 1, Colour.A: 2} if v is None else v,
]


def odd_events() -> SearchStrategy[object]:
    """Events as programs make them: values, and keys, of all kinds of types."""

    def change(drawn: tuple[dict[str, object], int, Callable[[object], object]]) -> object:
        event, rest, odd = drawn
        keys = {Colour.A: event["n"]} if rest == 0 else {}
        return {
            **{k: odd(v) if i % 3 == rest else v for i, (k, v) in enumerate(event.items())},
            **keys,
        }

    return st.tuples(event_bodies(), st.integers(0, 2), st.sampled_from(ODD)).map(change)


TIMES = st.sampled_from([1, 40])
"""How often the same events come: few are tested one by one, many by the column."""


def wheres() -> SearchStrategy[Condition]:
    return conditions(paths(), clock=True)


def subscribe(bench: Bench, wanted: list[Condition]) -> None:
    for number, where in enumerate(wanted):
        text = f"{ALL} where {format_condition(where)}"
        note(text)
        bench.subscribe(number, text, tick=False)
    bench.tick()
    bench.tick()
    assert not bench.refusals()


@thorough
@given(st.lists(wheres(), min_size=1, max_size=6), st.lists(event_bodies(), max_size=12))
def test_an_agent_passes_what_the_interpreter_passes(
    wanted: list[Condition], events: list[dict[str, object]]
) -> None:
    bench = Bench()
    subscribe(bench, wanted)
    bench.publish(*events)
    now_ms = bench.now_us // 1000
    bench.tick(0)
    bench.settle()
    for number, where in enumerate(wanted):
        kept = [e for e in events if meets(e, where, now_ms)]  # type: ignore[arg-type]
        assert len(bench.got(number).events) == len(kept), format_condition(where)
        assert bench.got(number).total.seen == len(events)


@thorough
@given(
    st.lists(wheres(), min_size=1, max_size=3),
    st.lists(event_bodies() | odd_events(), max_size=12),
    TIMES,
    st.booleans(),
)
def test_an_agent_counts_what_passes_as_it_would_pass_it_on(
    wanted: list[Condition],
    events: list[object],
    times: int,
    all_too: bool,  # noqa: FBT001 - drawn
) -> None:
    bench = Bench()
    for number, where in enumerate(wanted):
        text = f"select count(*), n from s where {format_condition(where)} window 1 group by n"
        note(text)
        bench.subscribe(number, text, tick=False, states=True)
    if all_too:
        bench.subscribe(99, "select count(*) from s window 1", tick=False, states=True)
    bench.tick()
    bench.tick()
    assert not bench.refusals()
    bench.publish(*(events * times))
    now_ms = bench.now_us // 1000
    bench.tick(0)
    bench.settle()
    texts = [read_json(encode(event)) for event in events]
    for number, where in enumerate(wanted):
        kept = [e for e in texts if meets(e, where, now_ms)]  # type: ignore[arg-type]
        assert bench.got(number).total.shipped == len(kept) * times, format_condition(where)
        assert bench.got(number).total.seen == len(events) * times


@thorough
@given(
    wheres() | st.just(Constant(value=True)),
    st.lists(event_bodies() | odd_events(), max_size=12),
    TIMES,
    st.sets(st.integers(0, 20)),
    st.booleans(),
)
def test_rows_of_few_values_come_as_they_are_and_in_order(
    where: Condition,
    events: list[object],
    times: int,
    drains: set[int],
    others: bool,  # noqa: FBT001 - drawn
) -> None:
    bench = Bench()
    text = f"select n, a, d from s where {format_condition(where)}"
    note(text)
    bench.subscribe(0, text, tick=False)
    if others:
        bench.subscribe(1, "select count(*), a from s window 1 group by a", tick=False, states=True)
    bench.tick()
    bench.tick()
    assert not bench.refusals()
    for number, event in enumerate(events * times):
        bench.publish(event)
        if number in drains:
            bench.tick(0)
    now_ms = bench.now_us // 1000
    bench.tick(0)
    bench.settle()
    normal = [normal_event(read_json(encode(event))) for event in events]  # type: ignore[arg-type]
    kept = [e for e in normal if meets(e, where, now_ms)] * times
    rows = [{name: row[name] for name in "nad"} for row in bench.got(0).rows]
    assert rows == [{name: event.get(name) for name in "nad"} for event in kept]
    assert bench.got(0).total.seen == len(events) * times
    if others:
        assert bench.got(1).total.shipped == len(events) * times


@thorough
@given(st.lists(wheres(), min_size=1, max_size=6), st.lists(odd_events(), max_size=12))
def test_whatever_types_a_program_uses_its_events_pass_as_their_json_does(
    wanted: list[Condition], events: list[object]
) -> None:
    bench = Bench()
    subscribe(bench, wanted)
    bench.publish(*events)
    now_ms = bench.now_us // 1000
    bench.tick(0)
    bench.settle()
    texts = [read_json(encode(event)) for event in events]
    for number, where in enumerate(wanted):
        kept = [e for e in texts if meets(e, where, now_ms)]  # type: ignore[arg-type]
        assert len(bench.got(number).events) == len(kept), format_condition(where)
        assert bench.got(number).total.seen == len(events)


@pytest.mark.parametrize("value", [10**400, -(10**400), 2**64 + 1, float("nan"), "\ud800", None])
@pytest.mark.parametrize(
    "where",
    [
        *(
            "a == null",
            "a != null",
            "not a > 5",
            "not a < 5",
            "a > 5",
            "a <= 18446744073709551616.0",
        ),
        *(
            "a == '\ufffd'",
            "not a == '\ufffd'",
            "a in (1, '\ufffd')",
            "a < '\uffff'",
            "not a >= 'a'",
        ),
    ],
)
def test_values_at_the_edges_are_not_screened_away(where: str, value: object) -> None:
    bench = Bench()
    bench.subscribe(1, f"{ALL} where {where}")
    bench.publish({"a": value})
    bench.settle()
    condition = plan(f"{ALL} where {where}").agent.steps[1]
    assert isinstance(condition, Filter)
    event = read_json(encode({"a": value}))
    expected = all(meets(event, c, START_US) for c in condition.conditions)  # type: ignore[arg-type]
    assert len(bench.got().events) == expected


def screen(*wheres: str) -> Screen:
    screener = Screener()
    steps = [plan(f"{ALL} where {where}").agent.steps for where in wheres]
    filters = [[s.conditions for s in each if isinstance(s, Filter)] for each in steps]
    return screener.screen([screener.prepare(each[0] if each else ()) for each in filters])


def test_two_thousand_equalities_are_one_look_up() -> None:
    many = screen(*(f"user == 'u{i}' and n > {i}" for i in range(2_000)))
    assert "index1" not in many.source()
    assert many.sort({"user": "u17", "n": 17}) == (17,), "a threshold counts as beyond it"
    assert many.sort({"user": "u17", "n": 16}) == ()
    assert many.sort({"user": "nobody"}) == ()


def test_the_screen_can_be_read() -> None:
    assert "status" in screen("status >= 500").source()
    assert ">= double0" in screen("status >= 500").source()


def test_query_texts_are_constants_in_the_screen_and_never_code() -> None:
    evil = "'); import os; os._exit(1); ('"
    made = screen(
        f"e[{msgspec.json.encode(evil).decode()}] == {msgspec.json.encode(evil).decode()}"
    )
    assert made.sort({evil: evil}) == (0,)
    assert made.sort({evil: "x"}) == ()


def test_what_raises_in_the_screen_lets_everything_through() -> None:
    class Hostile(dict[str, object]):
        def get(self, *_: object) -> object:
            raise RuntimeError

    both = screen("a == 1", "b > 2")
    assert both.sort(Hostile(a=3)) == (0, 1)
    assert both.sort(object()) == (0, 1)
    assert both.sort({hash: 1, "b": 1}) == (0, 1), "a key that is no text may become `a`"
    assert both.sort({"a": Grumpy(), "b": 1}) == (0,)


def test_a_condition_that_is_never_true_lets_nothing_through() -> None:
    screener = Screener()
    wanted = [screener.prepare([Constant(value=False)]), screener.prepare([])]
    assert screener.screen(wanted).sort({}) == (1,)


def test_a_screen_is_freed_when_nobody_has_it_any_more() -> None:
    """Else a service whose subscriptions change grows until the next full collection."""
    gc.disable()
    try:
        screen = Screener().screen([Screener().prepare([])])
        function = weakref.ref(screen.sort)
        del screen
        assert function() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("number", [10, 100])
def test_a_condition_without_a_property_is_tested_for_its_own_candidates(number: int) -> None:
    bench = Bench()
    texts = ["tick() > 0 or b == 1", "tick() > 0", "b >= 5", "tick() < 0", "b >= 5 and tick() > 0"]
    for query, text in enumerate(texts):
        bench.subscribe(query, f"select * from s where {text}")
    bench.publish(*({"b": b} for b in range(number)))
    bench.settle()
    shipped = [bench.got(query).total.shipped for query in range(len(texts))]
    assert shipped == [number, number, number - 5, 0, number - 5]


NUMBER_TEXTS = [
    *("500", " 499 ", "5e2", "-5", "499.5", "500.0", "0500", "1e400", "nan", "inf", "1_000", ""),
    *("5", "50000000000000001", "9007199254740993", "500\x00", "\ud800", "४५०", "\t500\r\n", "-"),
    *("4999999999999999.5", "499.99999999999", "+501", ".5", "501.", "0x1f5", "-0", "500" * 9),
]


@pytest.mark.parametrize("limit", ["500", "-5", "0.5", "9007199254740992"])
@pytest.mark.parametrize("operator", [">=", ">", "<=", "<", "==", "!="])
def test_numbers_in_texts_are_compared_as_numbers_are(operator: str, limit: str) -> None:
    values = [*NUMBER_TEXTS, 500, 499, 500.0, True, None, [500], 2**70, Text("500")]
    query = f"number(a) {operator} {limit} and n >= 0"
    wanted = [parse(f"select * from s where {each}").where for each in (query, query[:-11])]
    bench = Bench()
    for number, where in enumerate(wanted):
        assert where is not None
        bench.subscribe(number, f"{ALL} where {format_condition(where)}", tick=False)
    bench.tick()
    bench.tick()
    events = [{"a": value, "n": 1} for value in values]
    bench.publish(*events)
    bench.tick(0)
    bench.settle()
    texts = [read_json(encode(event)) for event in events]
    for number, where in enumerate(wanted):
        assert where is not None
        kept = [e for e in texts if meets(e, where)]  # type: ignore[arg-type]
        assert len(bench.got(number).events) == len(kept)
