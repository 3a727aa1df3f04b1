"""An agent stays inside its budget by looking at less, and says so; costs are made up here."""

from __future__ import annotations

import pytest

from mql.ledger import Tally
from mql.wire.messages import MAX_WEIGHT, Batch, Heartbeat
from publish_agent.capture.event_buffer import Status
from publish_agent.capture.sampler import Sampler
from publish_agent.drain.cost.budget import LOOK_US, PAUSES_US, Budget
from publish_agent.drain.cost.drain_costs import DrainCosts, Work
from publish_agent.drain.cost.schedule import BUSY_US, IDLE_US, PATIENT_US, Due
from publish_agent.settings import Settings
from tests.publish_agent.support import ALL, START_US, Bench

TICK_US = 10_000


class Host:
    """A service whose events and drains cost what is said, and an agent's budget."""

    def __init__(self, **limits: float) -> None:
        self.budget = Budget(Settings(service="checkout", **limits))  # type: ignore[arg-type]
        self.now_us = START_US
        self.cpu_ns = self.inline_ns = 0
        self.budget.look(self.now_us, 0)
        self.weights: list[int] = []

    def run(
        self, seconds: float, *, events_s: float, each_ns: int = 4_000, fixed: float = 0.0,
        drain_ns: int = 0, size: int = 0,
    ) -> float:  # fmt: skip
        """Publish for some time; the cores that this took in the last second of it, at most.

        Half of what an event costs is on its caller's thread; `fixed` is what else is spent, in
        cores, and `drain_ns` what each drain costs.
        """
        spent: list[float] = []
        since_drain_us = waiting = 0
        for _ in range(round(seconds * 1e6 / TICK_US)):
            before = self.cpu_ns + self.inline_ns
            self.now_us += TICK_US
            since_drain_us += TICK_US
            kept = round(events_s * TICK_US / 1e6 / self.budget.weight)
            self.budget.spend(kept * each_ns // 2, 0)
            self.inline_ns += kept * each_ns // 2
            self.cpu_ns += int(fixed * TICK_US * 1000)
            waiting += kept
            if since_drain_us >= self.budget.pause_us:
                took_ns = waiting * each_ns // 2 + drain_ns
                self.cpu_ns += took_ns
                self.budget.drained(took_ns, waiting, Work(1))
                since_drain_us = waiting = 0
            if size and kept:
                self.budget.allows(kept * size)
            self.budget.look(self.now_us, self.cpu_ns)
            self.weights.append(self.budget.weight)
            spent.append((self.cpu_ns + self.inline_ns - before) / TICK_US / 1000)
        last = spent[-100:]
        return sum(last) / len(last)


def test_within_its_budget_an_agent_looks_at_everything() -> None:
    host = Host()
    assert host.run(10, events_s=10_000) < 0.05
    assert set(host.weights) == {1}
    assert host.budget.pause_us == BUSY_US


@pytest.mark.parametrize("events_s", [20_000, 50_000, 200_000, 1_000_000])
def test_over_its_budget_it_samples_and_stays_inside(events_s: float) -> None:
    host = Host()
    assert host.run(3, events_s=events_s) <= 0.05
    assert host.budget.weight > 1
    before_s = host.weights.index(next(w for w in host.weights if w > 1)) * TICK_US / 1e6
    overspent = before_s * (events_s * 4e-6 - 0.05)
    assert overspent <= 0.08 + events_s * 4e-6 * LOOK_US / 1e6, "about a second's worth, and a look"
    host.run(20, events_s=events_s)
    settled = host.weights[-1000:]
    assert len(set(settled)) <= 5, "the rate is steady while the load is"
    assert host.run(1, events_s=events_s) > 0.05 / 4, "it does not know less than it has to"


def test_it_looks_at_everything_again_when_less_comes() -> None:
    host = Host()
    host.run(3, events_s=200_000)
    host.run(10, events_s=100)
    assert host.budget.weight == 1
    assert host.budget.pause_us == BUSY_US


def test_a_burst_of_what_a_second_may_take_is_taken_whole() -> None:
    host = Host()
    host.run(5, events_s=0)
    host.run(0.1, events_s=100_000)  # 40 ms of a core
    host.run(2, events_s=0)
    assert set(host.weights) == {1}


def test_drains_are_made_less_frequent_before_events_are_left_out() -> None:
    costs = (400_000, 950_000, 1_500_000, 3_000_000, 6_000_000, 12_000_000)
    for drain_ns, pause_us in zip(costs, PAUSES_US, strict=True):
        host = Host()
        host.run(5, events_s=1_000, drain_ns=drain_ns)
        assert host.budget.pause_us == pause_us
        assert set(host.weights) == {1}


def costs_of(
    looks: int, pause: int, queries: int, events_s: float, costs: DrainCosts | None = None
) -> tuple[float, DrainCosts]:
    """What is taken for fixed, of what is: drains each `pause` looks, of 12 µs a query's turn."""
    costs = costs or DrainCosts()
    part = 0.0
    for look in range(looks):
        work = [Work(queries, queries)] if look % pause == 0 else []
        events = len(work) * int(events_s * pause / 10)
        turns = sum(each.turns for each in work)
        spent_ns = turns * 12_000 + events * 30_000
        fixed_ns = costs.fixed_ns(work, events, spent_ns, events * 5_000)
        part = fixed_ns / (turns * 12_000) if turns else part
    return part, costs


def test_after_a_longer_pause_it_is_known_what_drains_cost_without_events() -> None:
    before, costs = costs_of(20, 1, 200, 1_000)
    assert before > 1.03, "at first events are taken for as cheap as they are to keep"
    part, _ = costs_of(20, 4, 200, 1_000, costs)
    assert part == pytest.approx(1, rel=0.1)


def test_many_queries_whose_drains_cost_much_have_no_event_left_out() -> None:
    """200 queries of one client made an agent keep one event of a thousand for everybody."""
    host = Host()
    host.run(20, events_s=2_000, drain_ns=12_000_000)
    assert host.budget.pause_us == PAUSES_US[-1]
    assert set(host.weights) == {1}


def test_what_sampling_does_not_help_is_not_sampled_away() -> None:
    host = Host()
    host.run(10, events_s=1_000, fixed=0.2)
    assert set(host.weights) == {1}


def test_a_load_that_comes_and_goes_does_not_make_it_swing_for_ever() -> None:
    host = Host()
    for _ in range(30):
        host.run(1, events_s=200_000)
        host.run(1, events_s=5_000)
    changes = sum(a != b for a, b in zip(host.weights[-1000:], host.weights[-999:], strict=False))
    assert changes <= 20


def test_bytes_are_limited_and_the_rate_follows() -> None:
    host = Host(bytes_per_s=100_000, cpu_share=10.0)
    host.run(3, events_s=10_000, size=200)
    assert host.budget.weight >= 20
    sent = 0
    for _ in range(300):
        host.now_us += TICK_US
        host.budget.look(host.now_us, 0)
        sent += sum(10_000 for _ in range(5) if host.budget.allows(10_000))
    assert sent <= 3 * 100_000 + 100_000


def test_what_the_buffers_hold_counts_too() -> None:
    budget = Budget(Settings(service="x", memory=4 * 1024 * 1024))
    assert budget.buffer_bytes == 1024 * 1024
    now_us = START_US
    for _ in range(30):
        now_us += LOOK_US
        budget.hold(2 * budget.buffer_bytes)
        budget.look(now_us, 0)
    assert budget.weight > 1


def test_a_clock_that_is_set_or_a_sleep_changes_nothing() -> None:
    host = Host()
    host.run(3, events_s=200_000)
    weight = host.budget.weight
    for jump_us in (-3_600_000_000, 3_600_000_000):
        host.now_us += jump_us
        host.budget.look(host.now_us, host.cpu_ns)
    assert host.budget.weight == weight
    host.run(2, events_s=200_000)
    assert host.budget.weight <= MAX_WEIGHT


# In the agent


def sampling(weight: int, **settings: int) -> Bench:
    """An agent that keeps one event of so many, whatever it costs."""
    bench = Bench(Settings(service="checkout", **settings))  # type: ignore[arg-type]
    bench.state.budget.weight = weight
    return bench


def test_every_event_is_counted_once_while_the_rate_changes() -> None:
    bench = sampling(1)
    bench.subscribe(1, ALL)
    bench.subscribe(2, f"{ALL} where n == 3")
    bench.subscribe(3, "select count(*) from s window 1", states=True)
    published = 0
    for weight in (1, 4, 1, 30, 2, 1):
        bench.state.budget.weight = weight
        for _ in range(5):
            bench.publish(*({"n": i % 10} for i in range(200)))
            published += 200
            bench.tick(20_000)
    bench.settle()
    for query in (1, 2, 3):
        total = bench.got(query).total
        assert total.seen == published
        assert total.budget == bench.statuses[Status.DROPPED_BUDGET] > 0
        assert total.weight == 30
    assert bench.got(1).total.shipped == bench.statuses[Status.ACCEPTED]
    assert len(bench.got(1).rows) == bench.got(1).total.shipped


def test_rows_and_states_say_for_how_many_events_each_stands() -> None:
    bench = sampling(5)
    bench.subscribe(1, ALL)
    bench.subscribe(2, "select count(*) from s window 1", states=True)
    bench.publish(*({"n": i} for i in range(1_000)))
    bench.settle()
    parts = [p for m in bench.job.messages if isinstance(m, Batch) for p in m.parts if p.has_rows]
    assert {part.query for part in parts} == {1, 2}
    assert {part.weight for part in parts} == {5}
    shipped = bench.got(1).total.shipped
    assert bench.got(2).total.shipped == shipped
    assert 100 < shipped < 320
    assert set(bench.got(2).states[0]) >= {"*events", "state 0", "spread 0", "spread 1"}


def test_what_one_event_took_to_leave_out_is_not_taken_for_what_each_takes() -> None:
    bench = sampling(5)
    bench.subscribe(1, ALL)
    spent: list[int] = []
    bench.state.budget.spend = lambda _, drop_ns: spent.append(drop_ns)  # type: ignore[method-assign]
    taker = bench.streams["s"].taker
    assert taker is not None
    taker.lost.__self__.drop_times.append(1_000_000)  # type: ignore[attr-defined]
    for _ in range(2):
        bench.publish(*({"n": i} for i in range(1_000)))
        bench.tick(20_000)
    assert spent[0] > 100_000_000, "so long has it been seen to take"
    assert spent[1] < 1_000_000, "and then nothing more has"


def test_without_sampling_nothing_of_it_is_said() -> None:
    bench = Bench()
    bench.subscribe(1, "select count(*) from s window 1", states=True)
    bench.publish({"n": 1})
    bench.settle()
    assert not any(name.startswith("spread") for name in bench.got(1).states[0])
    assert bench.got(1).total == Tally(0, shipped=1)


def test_what_the_screen_leaves_out_is_never_sampled() -> None:
    bench = sampling(100)
    bench.subscribe(1, f"{ALL} where n == 3")
    bench.publish(*({"n": 4} for _ in range(1_000)))
    bench.settle()
    assert bench.got(1).total == Tally(0, filtered_out=1_000)


def test_payloads_beyond_the_bytes_of_a_second_are_dropped_and_counted() -> None:
    bench = sampling(1, bytes_per_s=10_000)
    bench.subscribe(1, ALL)
    for _ in range(10):
        bench.publish({"x": "x" * 4_000})
        bench.tick()
    bench.settle()
    total = bench.got(1).total
    assert total.shipped + total.budget == 10
    assert total.shipped == 2
    assert bench.job.payload_bytes <= 10_000


def test_states_that_hold_too_much_are_sent_before_their_time() -> None:
    bench = sampling(1, memory=1024 * 1024)
    bench.subscribe(1, "select first(x), g from s window 60 group by g", states=True)
    for i in range(40):
        bench.publish({"g": i, "x": "x" * 20_000})
        bench.tick()
    assert 0 < len(bench.got(1).states) < 40
    bench.settle()
    bench.goodbye()
    assert bench.got(1).total.shipped == 40


def test_heartbeats_tell_the_rate() -> None:
    bench = sampling(8)
    bench.settle()
    last = bench.job.of(Heartbeat)[-1]
    assert isinstance(last, Heartbeat)
    assert last.weight == 8


def test_the_costs_of_callers_are_measured() -> None:
    cpu_ns = 0

    def clock() -> int:
        nonlocal cpu_ns
        cpu_ns += 20_000
        return cpu_ns

    bench = Bench(Settings(service="checkout"), cpu_ns=clock)
    bench.subscribe(1, ALL)
    for _ in range(300):
        bench.publish(*({"n": i} for i in range(300)))
        bench.tick(10_000)
    bench.settle()
    assert bench.statuses[Status.DROPPED_BUDGET] > 0
    assert bench.got(1).total.seen == 300 * 300
    assert bench.got(1).total.weight > 1


def test_a_sampler_is_thrown_anew_while_it_is_used() -> None:
    bench = sampling(10)
    bench.subscribe(1, ALL)
    intake = bench.state.queries.streams[0]._present.intake  # type: ignore[union-attr]
    first = intake.sampler
    assert isinstance(first, Sampler)
    for _ in range(5):
        bench.publish(*({"n": i} for i in range(first.size)))
        bench.tick()
    assert intake.sampler is not first


def pauses(
    kept: int, *, filled: float = 0.0, patient: bool = False, least_us: int = BUSY_US
) -> list[int]:
    """How long an agent pauses after each of some drains 20 ms apart that find so many events."""
    due, found = Due(), []
    for number in range(1, 7):
        now_us, end_us = START_US + number * 20_000, START_US * 2
        due.drained(now_us, end_us, kept=kept, filled=filled, patient=patient, least_us=least_us)
        found.append(due.drain_us - now_us)
    return found


def test_an_agent_wakes_as_often_as_somebody_waits_and_buffers_fill() -> None:
    assert pauses(100) == [IDLE_US, *[BUSY_US] * 5]
    assert pauses(5) == [IDLE_US] * 6
    assert pauses(0) == [IDLE_US] * 6
    assert pauses(100, least_us=PAUSES_US[-1]) == [PAUSES_US[-1]] * 6
    assert pauses(100, patient=True) == [PATIENT_US] * 6
    for patient in (True, False):
        quicker = pauses(5_000, filled=0.5, patient=patient, least_us=PAUSES_US[-1])
        assert quicker[1:] == [10_000] * 5, "a quarter is filled in half of the time"
    assert pauses(5_000, filled=0.05, patient=True)[1:] == [PATIENT_US] * 5
    assert pauses(5_000, filled=1.0, patient=True)[1:] == [5_000] * 5, "and no sooner"
    due, now_us = Due(), START_US * 2 - 7_000
    due.drained(now_us, START_US * 2, kept=0, filled=0.0, patient=True, least_us=BUSY_US)
    assert due.drain_us == START_US * 2, "a slot ends"


def test_many_events_find_room_however_patient_the_queries_are() -> None:
    bench = Bench(Settings(service="checkout", buffer_events=1_000))
    bench.subscribe(1, "select count(*), k from s window 60 group by k", states=True)
    for ms in range(2_000):
        bench.publish(*({"k": "x"} for _ in range(4 if ms < 200 else 12)))  # 1,000 in 83 ms
        bench.now_us += 1_000
        if bench.now_us >= bench.state.next_wake_us():
            bench.tick(0)
    assert bench.statuses == {Status.ACCEPTED: 4 * 200 + 12 * 1_800}
