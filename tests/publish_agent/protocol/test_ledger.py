"""Every event that a query's intake sees is in exactly one part of one tally of that query."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from mql.ledger import Tally
from mql.wire.messages import Batch, Credit, Goodbye
from publish_agent.capture.event_buffer import ROW_BYTES, Status
from publish_agent.drain.payloads import MAX_PAYLOAD
from publish_agent.settings import Settings
from tests.publish_agent.support import ALL, LINK, START_US, Bench

pytestmark = pytest.mark.usefixtures("both_ways")


def small(events: int = 5, size: int = 1 << 20) -> Settings:
    return Settings(service="checkout", buffer_events=events, buffer_bytes=size)


def test_a_full_buffer_drops_the_new_event_and_counts_it() -> None:
    bench = Bench(small(events=5))
    bench.subscribe(1, ALL)
    bench.subscribe(2, f"{ALL} where a == 1")
    bench.publish(*({"a": i} for i in range(8)))
    bench.settle()
    assert bench.statuses == {Status.ACCEPTED: 5, Status.DROPPED_BUFFER: 3}
    assert bench.got(1).total == Tally(0, shipped=5, buffer=3)
    assert bench.got(2).total == Tally(0, shipped=1, filtered_out=4, buffer=3)


def test_the_buffer_is_bounded_in_bytes_too() -> None:
    bench = Bench(small(events=1000, size=4 * (300 + ROW_BYTES)))
    bench.subscribe(1, ALL)
    bench.publish(*({"a": "x" * 300} for _ in range(10)))
    bench.settle()
    assert bench.got().total == Tally(0, shipped=4, buffer=6)
    bench.publish({"a": 1})
    bench.settle()
    assert bench.got().total.shipped == 5, "a drain makes room"


@pytest.mark.parametrize("is_flush", [False, True])
def test_nothing_is_told_of_a_query_before_it_is_accepted(*, is_flush: bool) -> None:
    """Losses, by events' own times, are told at once, but a query begins after that drain."""
    bench = Bench()
    bench.job.by_arrival = False
    bench.subscribe(1, ALL, time="at")
    bench.settle()
    bench.streams["s"].lost(4)
    bench.subscribe(2, ALL, time="at", tick=False)
    if is_flush:
        bench.flush()
    bench.settle()
    assert bench.got(1).total == Tally(0, upstream=4)
    assert bench.got(2).total == Tally(0)


def test_what_a_publisher_lost_before_is_told_to_every_query_of_the_stream() -> None:
    bench = Bench(streams="s t")
    stream = bench.streams["s"]
    stream.lost(4)
    bench.subscribe(1, ALL)
    bench.subscribe(2, f"{ALL} where a == 1")
    bench.subscribe(3, "select * from t", stream="t")
    bench.publish({"a": 2})
    for number in (3, 0, -1, *[1] * 500):
        stream.lost(number)
    stream.lost("many")  # type: ignore[arg-type]
    bench.settle()
    assert bench.got(1).total == Tally(0, shipped=1, upstream=503)
    assert bench.got(2).total == Tally(0, filtered_out=1, upstream=503)
    assert bench.got(3).total == Tally(0)


def test_what_is_told_up_to_a_time_is_told_with_all_counts_up_to_it() -> None:
    bench = Bench(small(events=3))
    bench.subscribe(1, f"{ALL} where a == 1")
    bench.settle()
    bench.tick(300_000)
    before = bench.got().total
    assert before == Tally(0)
    bench.publish(*({"a": i % 2} for i in range(10)))
    bench.tick()
    assert bench.got().total == Tally(0, shipped=3, filtered_out=5, buffer=2)
    bench.publish({"a": 0}, {"a": 1})
    bench.tick()
    assert bench.got().total == Tally(0, shipped=4, filtered_out=6, buffer=2)
    bench.settle()
    assert bench.got().total == Tally(0, shipped=4, filtered_out=6, buffer=2), "none twice"


def test_what_is_lost_counts_when_it_was_lost_not_when_that_is_seen() -> None:
    bench = Bench(small(events=2))
    bench.subscribe(1, ALL)
    bench.tick(950_000)  # 960 ms into a slot
    bench.publish({"n": 1}, {"n": 2}, {"n": 3})
    bench.streams["s"].lost(4)
    bench.now_us += 100_000
    bench.publish({"n": 4}, None)
    bench.settle()
    assert [(t.slot_ms, t.shipped, t.buffer, t.upstream) for t in bench.got().tallies] == [
        (START_US // 1000, 2, 1, 4), (START_US // 1000 + 1000, 0, 2, 0),
    ]  # fmt: skip


def test_one_more_equality_joins_the_intake_in_use_and_counts_from_then_on() -> None:
    bench = Bench()
    bench.subscribe(1, f"{ALL} where a == 'x'")
    taker = bench.streams["s"].taker
    bench.publish({"a": "x"}, {"a": "y"})
    bench.subscribe(2, f"{ALL} where a == 'y' and n != 1", tick=False)
    bench.publish({"a": "y", "n": 2})  # it has not begun
    bench.tick()
    bench.publish({"a": "y", "n": 2}, {"a": "y", "n": 1}, {"a": "x"}, {"a": "z"})
    bench.subscribe(3, f"{ALL} where a in ('x', 'y')")
    bench.publish({"a": "x"}, {"a": "y", "n": 3})
    assert bench.streams["s"].taker is taker
    bench.settle()
    assert bench.got(1).total == Tally(0, shipped=3, filtered_out=6)
    assert bench.got(2).total == Tally(0, shipped=2, filtered_out=4)
    assert bench.got(3).total == Tally(0, shipped=2)


def test_one_that_leaves_the_intake_in_use_costs_nothing_any_more() -> None:
    bench = Bench()
    for number, value in enumerate("xxyz"):
        bench.subscribe(number, f"{ALL} where a == '{value}'")
    taker = bench.streams["s"].taker
    bench.unsubscribe(0)
    bench.unsubscribe(2)
    bench.publish({"a": "x"}, {"a": "y"}, {"a": "z"})
    assert bench.streams["s"].taker is taker
    assert bench.statuses == {Status.ACCEPTED: 2, Status.SKIPPED: 1}
    bench.settle()
    assert bench.got(1).total == Tally(0, shipped=1, filtered_out=2)
    bench.subscribe(5, f"{ALL} where a == 7")  # no text: the gate has to be another one
    bench.publish({"a": 7})
    assert bench.streams["s"].taker is not taker
    bench.settle()
    assert bench.got(5).total == Tally(0, shipped=1)


def test_one_that_joins_just_before_a_new_intake_is_made_counts_in_that_alone() -> None:
    bench = Bench()
    bench.subscribe(1, f"{ALL} where a == 'x'")
    bench.publish({"a": "x"}, {"a": "y"})
    bench.subscribe(2, f"{ALL} where a == 'y'", tick=False)
    bench.subscribe(3, f"{ALL} where n > 3", tick=False)  # takes other code
    bench.publish({"a": "y"})
    bench.tick()
    bench.publish({"a": "y"}, {"n": 4})
    bench.settle()
    assert bench.got(1).total == Tally(0, shipped=1, filtered_out=4)
    assert bench.got(2).total == Tally(0, shipped=1, filtered_out=1)
    assert bench.got(3).total == Tally(0, shipped=1, filtered_out=1)


def test_an_intake_that_many_have_left_is_made_anew() -> None:
    bench = Bench()
    bench.subscribe(0, f"{ALL} where a == 'x'")
    (stream,) = bench.state.queries.streams
    intakes = [stream._present]
    for number in range(1, 250):
        bench.subscribe(number, f"{ALL} where a == 'y{number}'")
        bench.unsubscribe(number)
        if stream._present is not intakes[-1]:
            intakes.append(stream._present)
    bench.publish({"a": "x"})
    bench.settle()
    assert len(intakes) == 3
    assert bench.got(0).total == Tally(0, shipped=1)


def test_without_credit_rows_are_counted_and_not_sent() -> None:
    bench = Bench(credit=0)
    bench.subscribe(1, ALL)
    bench.publish({"a": 1}, {"a": 2})
    bench.settle()
    assert bench.got().total == Tally(0, credit=2)
    bench.give(Credit(10_000))
    bench.publish({"a": 3})
    bench.settle()
    assert bench.got().total == Tally(0, credit=2, shipped=1)
    assert bench.state.links[LINK].credit == 10_000 - bench.job.payload_bytes


def test_credit_for_what_could_not_be_sent_comes_back() -> None:
    bench = Bench(credit=10_000)
    bench.subscribe(1, ALL)
    bench.publish({"a": 1})
    bench.now_us += 5_000
    for send in bench.state.tick(bench.now_us):
        bench.state.unsent(send)
    assert bench.state.links[LINK].credit == 10_000


def test_what_is_no_event_is_counted_as_failed() -> None:
    class Broken:
        @property
        def __class__(self) -> type:
            raise RuntimeError

    loop: dict[str, object] = {}
    loop["loop"] = loop
    bench = Bench()
    bench.subscribe(1, ALL)
    bench.publish(None, 3, "text", [1], {"a": Broken()}, loop, {"a": 1})
    bench.settle()
    assert bench.got().total.seen == 7
    assert bench.got().total.failed == bench.statuses[Status.DROPPED_UNREADABLE]
    assert bench.got().total.shipped == bench.statuses[Status.ACCEPTED] >= 1


def test_random_samples_are_told_from_filters() -> None:
    bench = Bench()
    bench.subscribe(1, f"{ALL} where n >= 0 sample 25%")
    bench.publish(*({"n": i - 100} for i in range(1_100)))
    bench.settle()
    total = bench.got().total
    assert total.seen == 1_100
    assert total.filtered_out == 100
    assert 150 < total.shipped < 350
    assert total.sampled_out == 1_000 - total.shipped


def test_survivors_are_in_the_slot_of_their_own_time() -> None:
    bench = Bench()
    bench.job.by_arrival = False
    bench.subscribe(1, "select a from s where a >= 0", time="t", slot_ms=1_000)
    base = bench.now_us // 1000
    bench.publish({"a": 1, "t": base - 5_000}, {"a": 2, "t": base - 4_999}, {"a": 3, "t": "?"})
    bench.settle()
    slots = {tally.slot_ms: tally.shipped for tally in bench.got().tallies if tally.shipped}
    assert slots == {(base - 5_000) // 1000 * 1000: 2, bench.got().tallies[-1].slot_ms: 1}
    assert [row["*time"] for row in bench.got().rows] == [base - 5_000, base - 4_999, None]


def test_old_intakes_are_looked_at_when_subscriptions_have_changed() -> None:
    bench = Bench()
    bench.subscribe(1, ALL)
    held = bench.streams["s"].taker
    assert held is not None
    bench.subscribe(2, ALL)
    held.target({"from": "a thread that was slow"})
    bench.publish({"a": 1})
    bench.settle()
    assert bench.got(1).total.seen == 2
    assert bench.got(2).total.seen == 1


def test_an_event_that_many_queries_want_crosses_the_wire_once() -> None:
    bench = Bench()
    for query in range(50):
        bench.subscribe(query, f"{ALL} where a >= {query % 2}", tick=False)
    bench.tick()
    bench.tick()
    bench.publish({"a": 0}, {"a": 1})
    bench.tick()
    loads = [m for m in bench.job.messages if isinstance(m, Batch) and m.parts[0].has_rows]
    assert len(loads) == 1
    assert [bench.got(q).events for q in (0, 1)] == [[{"a": 0}, {"a": 1}], [{"a": 1}]]


def test_payloads_are_cut() -> None:
    bench = Bench()
    bench.subscribe(1, ALL)
    bench.subscribe(2, f"{ALL} where n in (1, 7)")
    bench.publish(*({"n": n, "x": "x" * 300_000} for n in range(8)))
    bench.settle()
    assert [row["n"] for row in bench.got(1).events] == list(range(8))  # type: ignore[index]
    assert [row["n"] for row in bench.got(2).events] == [1, 7]  # type: ignore[index]
    loads = [m for m in bench.job.messages if isinstance(m, Batch) and m.parts[0].has_rows]
    assert len(loads) >= 8 * 300_000 // MAX_PAYLOAD


def test_a_restarted_source_job_gets_nothing_of_the_queries_of_the_one_before() -> None:
    bench = Bench()
    bench.subscribe(1, ALL)
    another = bench.connect(name="another job")
    bench.publish({"a": 1})
    bench.settle()
    assert not another.queries
    assert not another.payload_bytes
    assert bench.streams["s"].publish({"a": 1}) is Status.SKIPPED


def test_a_source_job_that_comes_back_finds_its_queries() -> None:
    bench = Bench()
    bench.subscribe(1, ALL)
    before = bench.got()
    bench.state.disconnect(LINK, bench.now_us)
    bench.publish({"a": 1})
    bench.tick()
    bench.connect().queries[1, 0] = before
    bench.publish({"a": 2})
    bench.settle()
    assert before.total == Tally(0, credit=1, shipped=1)


def test_all_that_is_left_goes_out_with_the_goodbye() -> None:
    bench = Bench()
    bench.subscribe(1, f"{ALL} where a == 1")
    bench.publish({"a": 1}, {"a": 2}, {"a": 1})
    bench.goodbye()
    assert bench.got().total == Tally(0, shipped=2, filtered_out=1)
    assert bench.streams["s"].publish({}) is Status.CLOSED


def test_an_agent_that_cannot_tell_what_it_has_counted_does_not_say_that_nothing_is_missing() -> (
    None
):
    bench = Bench()
    bench.connect(8, name="another job")
    bench.subscribe(1, ALL)
    bench.state.disconnect(LINK, bench.now_us)
    bench.publish({"a": 1})
    bench.state.connect(LINK, bench.now_us)
    bench.goodbye()
    assert not bench.job.of(Goodbye)
    assert bench.jobs[8].of(Goodbye)


def test_windowed_aggregates_travel_as_states_when_their_slot_ends() -> None:
    bench = Bench()
    query = "select count(*), sum(n), country from s window 1 group by country"
    bench.subscribe(1, query, states=True)
    bench.tick(1_020_000 - bench.now_us % 1_000_000)
    for n in range(100):
        bench.publish({"n": n, "country": "NL" if n % 4 else "KR", "large": "x" * 1_000})
        bench.tick(5_000)
    assert not bench.got().states, "nothing travels before the slot ends"
    bench.settle()
    assert [row["*events"] for row in bench.got().states] == [25, 75]
    assert bench.got().total == Tally(0, shipped=100)
    assert bench.job.payload_bytes < 2_000


def test_states_without_credit_are_counted_and_not_sent() -> None:
    bench = Bench(credit=10)
    bench.subscribe(1, "select count(*) from s window 1", states=True)
    bench.publish({}, {}, {})
    bench.settle()
    assert bench.got().total == Tally(0, credit=3)
    assert not bench.got().states


def test_events_between_two_windows_are_of_no_window() -> None:
    bench = Bench()
    bench.subscribe(1, "select count(*) from s window 0.1 0.5", states=True, slot_ms=100)
    for _ in range(100):
        bench.publish({})
        bench.tick(10_000)
    bench.settle()
    total = bench.got().total
    assert (total.seen, total.shipped + total.filtered_out) == (100, 100)
    assert 15 <= total.shipped <= 25


def test_many_groups_do_not_wait_for_their_slot() -> None:
    bench = Bench()
    bench.subscribe(1, "select count(*), id from s window 60 group by id", states=True)
    for start in range(0, 30_000, 3_000):
        bench.publish(*({"id": i} for i in range(start, start + 3_000)))
        bench.tick()
    assert len(bench.got().states) >= 20_000
    bench.settle()
    assert len(bench.got().states) == bench.got().total.shipped == 30_000


WHERE = [
    "",
    "where a == 1",
    "where a in (1, 2)",
    "where b > 3",
    "where a == 1 sample 50%",
    "where false",
]
EVENTS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"a": st.integers(0, 3), "b": st.integers(0, 6)}),
        st.just({"x": "x" * 400}),
        st.just("no event"),
    ),
    max_size=12,
)


class Books(RuleBasedStateMachine):
    """Queries come and go, credit runs out, buffers fill, jobs vanish; the books add up."""

    @initialize(events=st.integers(1, 20), size=st.sampled_from([500, 5_000, 1 << 20]))
    def begin(self, events: int, size: int) -> None:
        self.bench = Bench(small(events, size), credit=2_000)
        self.bench.connect(8, credit=1 << 20, name="another job")
        self.next_query = 1
        self.running: dict[tuple[int, int], int] = {}
        """Events that each running query must have seen."""
        self.waiting: list[tuple[int, int]] = []

    @rule(
        where=st.sampled_from(WHERE),
        link=st.sampled_from([LINK, 8]),
        slot_ms=st.sampled_from([100, 1000]),
    )
    def subscribe(self, where: str, link: int, slot_ms: int) -> None:
        text = f"{ALL} {where}"
        self.bench.subscribe(self.next_query, text, link=link, slot_ms=slot_ms, tick=False)
        self.waiting.append((link, self.next_query))
        self.next_query += 1

    @rule(
        where=st.sampled_from(WHERE),
        link=st.sampled_from([LINK, 8]),
        window=st.sampled_from(["1", "0.1 0.5"]),
    )
    def aggregate(self, where: str, link: int, window: str) -> None:
        text = f"select count(*), a from s {where} window {window} group by a"
        self.bench.subscribe(self.next_query, text, link=link, slot_ms=100, tick=False, states=True)
        self.waiting.append((link, self.next_query))
        self.next_query += 1

    @rule(data=st.data())
    def unsubscribe(self, data: st.DataObject) -> None:
        asked = [*self.running, *self.waiting]
        if asked:
            link, query = data.draw(st.sampled_from(asked))
            self.bench.unsubscribe(query, link)
            self.running.pop((link, query), None)
            self.waiting = [each for each in self.waiting if each != (link, query)]

    @rule(events=EVENTS)
    def publish(self, events: list[object]) -> None:
        self.bench.publish(*events)
        for key in self.running:
            self.running[key] += len(events)

    @rule(after_us=st.sampled_from([1_000, 20_000, 300_000, 1_500_000]))
    def tick(self, after_us: int) -> None:
        self.bench.tick(after_us)
        accepted = [k for k in self.waiting if (k[1], 0) in self.bench.jobs[k[0]].queries]
        self.waiting = [each for each in self.waiting if each not in accepted]
        self.running |= dict.fromkeys(accepted, 0)

    @rule(size=st.sampled_from([0, 500, 3_000]))
    def credit(self, size: int) -> None:
        self.bench.give(Credit(size))

    @rule(weight=st.sampled_from([1, 2, 50]))
    def budget(self, weight: int) -> None:
        self.bench.state.budget.weight = weight

    @invariant()
    def nothing_is_counted_twice(self) -> None:
        for (link, query), published in getattr(self, "running", {}).items():
            assert self.bench.got(query, link=link).seen_total <= published

    def teardown(self) -> None:
        if not hasattr(self, "bench"):
            return
        self.bench.goodbye()
        for (link, query), published in self.running.items():
            got = self.bench.got(query, link=link)
            assert got.total.seen == got.seen_total == published
            of_states = sum(int(str(row["*events"])) for row in got.states)
            assert len(got.rows) + of_states == got.total.shipped


def test_the_books_are_right_whatever_comes() -> None:
    run_state_machine_as_test(
        Books,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
