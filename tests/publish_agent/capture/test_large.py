"""Large values are kept whatever the dice say, for those who add them up, and for nobody else."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mql.language.syntax import Property
from mql.ledger import Tally
from mql.wire.messages import Batch
from publish_agent.capture.event_buffer import Status
from publish_agent.capture.large_values import Large, LargeValues, Learned, _is_over
from publish_agent.capture.native import binding
from tests.publish_agent.drain.cost.test_budget import sampling
from tests.publish_agent.support import ALL, Bench

X = Property(("x",))
SUM = "select count(*), sum(x) from s window 1"
HUGE = 1e6


def taught(weight: int, *others: str, events: int = 2_000, query: str = SUM) -> Bench:
    """An agent that samples, and has seen plain values of x."""
    bench = sampling(weight)
    bench.subscribe(1, query, states=True)
    for number, text in enumerate(others, 2):
        bench.subscribe(number, text, states="window" in text)
    bench.publish(*({"x": float(i % 100)} for i in range(events)))
    bench.tick()
    bench.settle()
    return bench


def total(bench: Bench, query: int) -> float:
    """The sum of doubles that all states of a query come to, each multiplied by its weight."""
    parts = [
        part
        for message in bench.job.messages
        if isinstance(message, Batch) and message.states
        for part in message.parts
        if part.query == query
    ]
    states = bench.got(query).states
    assert len(parts) == len(states), "one group each"
    return sum(part.weight * row["state 3"] for part, row in zip(parts, states, strict=True))  # type: ignore[operator,misc]


@pytest.mark.parametrize("query", [SUM, f"{SUM} where x >= 0"], ids=["all", "some"])
@pytest.mark.parametrize("made", ["compiled", "in Python"])
def test_every_large_value_is_kept_and_stands_for_itself(
    query: str, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if made == "in Python":
        monkeypatch.setattr(binding, "library", lambda: None)
    bench = taught(50, query=query)
    before = total(bench, 1)
    statuses = [bench.streams["s"].publish({"x": HUGE}) for _ in range(20)]
    bench.settle()
    assert statuses == [Status.ACCEPTED] * 20
    assert total(bench, 1) - before == pytest.approx(20 * HUGE)


def test_a_sample_says_which_magnitude_nothing_in_it_exceeds() -> None:
    bench = taught(20)
    told = len(bench.got(1).states)
    bench.publish(*({"x": float(i % 100)} for i in range(2_000)), {"x": -HUGE})
    bench.settle()
    tails = [row for row in bench.got(1).states[told:] if "tail 1" in row]
    assert tails
    for row in tails:
        assert 90 <= row["tail 1"] < 100  # type: ignore[operator]
        assert row["tail 0"] == row["*events"]


def test_who_does_not_add_them_up_gets_what_the_dice_keep() -> None:
    query = "select average(x), count(*) from s window 1"
    bench = taught(10, ALL, query, f"{ALL} where x < 0")
    bench.publish(*({"x": HUGE} for _ in range(200)))
    bench.settle()
    events = bench.got(2).events
    huge = sum(event["x"] == HUGE for event in events)  # type: ignore[index]
    assert 5 <= huge <= 45, "one in ten, not all"
    assert bench.got(3).total.shipped == len(events)
    for number in (1, 2, 3, 4):
        assert bench.got(number).total.seen == 2_200
    assert bench.got(4).total.filtered_out + bench.got(4).total.budget == 2_200
    assert bench.got(2).total.budget == 2_200 - len(events)
    assert bench.got(1).total.shipped > len(events) + 100


def test_large_values_that_no_sum_may_want_are_sampled_like_others() -> None:
    bench = taught(10, query=f"{SUM} where y == 1")
    bench.publish(*({"x": float(i % 100), "y": 1} for i in range(2_000)))
    bench.settle()
    bench.subscribe(2, ALL)
    bench.publish({"x": 1.0, "y": 1})
    bench.settle()
    bench.statuses.clear()
    bench.publish(*({"x": HUGE, "y": 2} for _ in range(500)))
    assert bench.statuses[Status.ACCEPTED] < 120


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        (SUM, True),
        ("select sum(x) from s window 1 where x > 3", True),
        ("select avg(x), max(x), sum(x) from s window 10 2 group by g", True),
        ("select sum(x), p50(x) from s window 1", False),
        ("select sum(distinct x) from s window 1", False),
        ("select sum(x / 2) from s window 1", False),
        ("select avg(x) from s window 1", False),
        ("select sum(x) from s sample 50% window 1", False),
    ],
)
def test_only_sums_of_a_property_that_travel_as_states_get_them(query: str, *, kept: bool) -> None:
    bench = taught(20, query=query)
    bench.statuses.clear()
    bench.publish(*({"x": HUGE} for _ in range(50)))
    assert (bench.statuses[Status.ACCEPTED] == 50) is kept


def test_a_flood_of_large_values_is_sampled_and_nothing_is_claimed_of_it() -> None:
    bench = taught(20)
    told = len(bench.got(1).states)
    bench.statuses.clear()
    bench.publish(*({"x": HUGE} for _ in range(20_000)))
    bench.settle()
    assert bench.statuses[Status.ACCEPTED] < 20_000 / 20 * 1.5 + 400
    tails = [row["tail 1"] for row in bench.got(1).states[told:] if "tail 1" in row]
    assert tails
    assert all(tail is None or tail == inf for tail in tails), tails
    bench.statuses.clear()
    bench.publish(*({"x": HUGE} for _ in range(20_000)))
    assert bench.statuses[Status.ACCEPTED] < 20_000 / 20 * 1.5, "by now they are not large"


def test_numbers_that_callers_do_not_know_for_such_leave_nothing_claimed() -> None:
    bench = taught(2)
    told = len(bench.got(1).states)
    bench.publish(*({"x": np.int64(HUGE)} for _ in range(50)))
    bench.settle()
    tails = [row["tail 1"] for row in bench.got(1).states[told:] if "tail 1" in row]
    assert tails
    assert all(tail is None or tail == inf for tail in tails), tails


def test_limits_outlive_the_subscriptions_they_were_learned_for() -> None:
    bench = taught(50)
    bench.subscribe(2, "select n from s where n == 1")
    bench.statuses.clear()
    bench.publish(*({"x": HUGE} for _ in range(20)))
    assert bench.statuses == {Status.ACCEPTED: 20}


def test_one_that_joins_an_index_gets_what_is_large_too() -> None:
    bench = sampling(20)
    query = "select sum(x) from s window 1 where u == '{}'"
    bench.subscribe(1, query.format("a"), states=True)
    bench.publish(*({"x": float(i % 100), "u": "a"} for i in range(2_000)))
    bench.tick()
    bench.subscribe(2, query.format("b"), states=True)
    bench.publish(*({"x": HUGE, "u": "b"} for _ in range(30)))
    bench.settle()
    assert bench.got(2).total == Tally(bench.got(2).total.slot_ms, shipped=30)


def test_without_sampling_nothing_is_learned() -> None:
    bench = taught(1)
    present = bench.state.queries.streams[0]._present
    assert present is not None
    assert present._large.present is None
    assert bench.got(1).total == Tally(bench.got(1).total.slot_ms, shipped=2_000)
    assert not any("tail 0" in row for row in bench.got(1).states)


@pytest.mark.parametrize("weight", [2, 20, 500])
def test_a_limit_leaves_a_small_share_of_the_values_above(weight: int) -> None:
    random = np.random.default_rng(weight)
    for values in (random.pareto(1.1, 50_000), random.integers(0, 3, 50_000).astype(float)):
        learned = Learned()
        for part in np.array_split(values, 100):
            learned.add(part, weight)
            limit = learned.limit(weight)
        assert (values > limit).mean() <= 0.5 / weight
        assert limit <= values.max()


def test_of_many_events_and_few_that_are_kept_a_few_large_ones_are_kept_all_the_same() -> None:
    values = LargeValues({X: ("x",)}, {}, 1)
    values.join(0, [X])
    random = np.random.default_rng(1)
    sizes = np.where(random.random(2_000) < 0.002, 1e6, random.uniform(50, 150, 2_000))
    values.learn(X, sizes, 1_000)
    values.renew(1_000, 1_700)
    assert values.claims(0)[X] < 1e6
    values = LargeValues({X: ("x",)}, {X: Learned()}, 1)
    values.learn(X, sizes, 1_000)
    values.renew(1_000, 100_000)
    assert values.present is not None
    assert values.present.bars[0][1] == 1e6, "among so many those are too many"


def test_equal_values_are_none_of_them_large() -> None:
    learned = Learned()
    learned.add(np.full(1_000, 5.0), 10)
    assert learned.limit(10) == 5.0
    assert Learned().limit(10) == inf


def test_claims_hold_for_what_was_thrown_before_a_limit_changed() -> None:
    learned: dict[Property, Learned] = {}
    values = LargeValues({X: ("x",)}, learned, 1)
    values.join(0, [X])
    values.learn(X, np.arange(1_000.0), 10)
    values.renew(10, 100)
    (first,) = values.claims(0).values()
    values.learn(X, np.full(20_000, 1.0), 10)
    values.renew(10, 100)
    assert values.claims(0) == {X: first}, "a thread may hold on to the limit of before"
    values.renew(10, 100)
    assert values.claims(0) == {X: 1.0}
    assert values.claims(1) == {}


class Odd(float):
    """A number of a class of its own."""


class Raising:
    def __hash__(self) -> int:
        return hash("x")

    def __eq__(self, other: object) -> bool:
        raise ValueError(other)


def bars(*limits: tuple[tuple[str | int, ...], float]) -> list[Callable[[object], object]]:
    compiled = binding.bars(limits)
    assert compiled is not None
    return [compiled, lambda event: _is_over(limits, event)]


numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([10**400, -(10**400), True, None, "9", [9], {"y": 9.0}, Odd(9), Odd(-9), nan]),
)


@given(st.dictionaries(st.sampled_from(["x", "y"]), numbers), st.floats(0, 1e12))
def test_compiled_code_and_python_agree_on_what_is_large(
    event: dict[str, object], limit: float
) -> None:
    compiled, plain = bars((("x",), limit), (("x", "y"), 5.0), (("x", 0), 5.0))
    assert compiled(event) is plain(event)


@pytest.mark.parametrize("event", [None, 3, [], {Raising(): 1}, {"x": {Raising(): 1}}])
def test_events_that_are_none_are_not_large(event: object) -> None:
    for test in bars((("x",), 0.0), (("x", "y"), 0.0)):
        assert test(event) is False


def test_no_more_are_kept_for_being_large_than_were_granted() -> None:
    large = Large((), {3}, repeat(True, 2), ((1, 0), (1, 9)), lambda _: True)
    assert [large.admits((1,)), *(large.admits((1, 3)) for _ in range(3))] == [
        False, True, True, False,
    ]  # fmt: skip
