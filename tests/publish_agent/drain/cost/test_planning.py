"""Planning has a share of its own: others go on, and subscriptions beyond it wait in turn."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mql.wire.messages import Accept, Beat, Heartbeat, Refuse, Subscribe, Unsubscribe, Welcome
from publish_agent.drain import old_generations, query_factory
from publish_agent.drain import stream_subscriptions as subscriptions
from publish_agent.drain.cost.planning_budget import (
    AT_ONCE,
    BUILT_NS_MAX,
    PLANNED_NS_MAX,
    SHARE,
    Planning,
)
from publish_agent.drain.generation import Generation
from publish_agent.drain.subscription import Running
from publish_agent.protocol import registry as queries
from publish_agent.protocol.subscription_queue import TEXTS_MAX
from publish_agent.screen.taker import Taker
from publish_agent.settings import Settings
from tests.publish_agent.support import ALL, LINK, START_US, Bench

PLAN_NS = 1_000_000
CPU_SHARE = 0.05
PAID_US = int(PLAN_NS / (CPU_SHARE * SHARE) / 1_000)
"""So long time takes to pay for one subscription."""


class Host:
    """An agent of which each subscription costs the same, and nothing else anything."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, streams: str = "s") -> None:
        self.cpu_ns = 0
        self.planned = 0
        settings = Settings(service="checkout", host="h1", cpu_share=CPU_SHARE)
        self.bench = Bench(settings, cpu_ns=lambda: self.cpu_ns, streams=streams)

        def plan(*args: object) -> Running:
            self.cpu_ns += PLAN_NS
            self.planned += 1
            return Running(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(query_factory, "Running", plan)

    def ask(self, *numbers: int, client: int = 0, text: str = ALL) -> None:
        for number in numbers:
            self.bench.give(Subscribe(number, 0, "s", text, 1_000, client=client))

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.bench.tick(1_000_000)

    def accepted(self) -> list[int]:
        return [m.query for m in self.bench.job.messages if isinstance(m, Accept)]

    def waiting(self) -> tuple[int, ...]:
        """What the next heartbeat says."""
        self.bench.tick(1_000_000)
        beats = [m for m in self.bench.job.messages if isinstance(m, Heartbeat)]
        return beats[-1].waiting


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(monkeypatch)


def test_two_hundred_are_planned_at_once_and_the_others_as_time_pays(host: Host) -> None:
    host.ask(*range(1, AT_ONCE + 101))
    host.bench.tick(0)
    assert host.accepted() == list(range(1, AT_ONCE + 1))
    before = host.planned
    seconds = 2
    for _ in range(seconds * 100):
        host.bench.tick(10_000)
    share = (host.planned - before) * PLAN_NS / (seconds * 1e9)
    assert share == pytest.approx(CPU_SHARE * SHARE, rel=0.05)
    assert host.accepted() == list(range(1, host.planned + 1))


def test_the_agent_wakes_when_the_next_may_be_planned(host: Host) -> None:
    host.ask(*range(1, AT_ONCE + 2))
    host.bench.tick(0)
    assert host.planned == AT_ONCE
    host.bench.state.links[LINK].heartbeat_us = host.bench.now_us + 10**9
    wakes = 0
    while host.planned == AT_ONCE:
        host.bench.tick(max(host.bench.state.next_wake_us() - host.bench.now_us, 1))
        wakes += 1
        assert wakes < 100
    assert PAID_US <= host.bench.now_us - START_US <= 100_000
    assert wakes <= 3


def test_clients_that_wait_have_turns(host: Host) -> None:
    host.ask(*range(1, AT_ONCE + 1), client=1)
    host.ask(*range(1_000, 1_300), client=1)
    host.ask(2_000, 2_001, client=2)
    host.ask(3_000, client=3)
    while host.planned < AT_ONCE + 6:
        host.bench.tick(PAID_US)
    assert host.accepted()[AT_ONCE:] == [1_000, 2_000, 3_000, 1_001, 2_001, 1_002]


def test_a_heartbeat_names_those_that_wait(host: Host) -> None:
    host.ask(*range(1, AT_ONCE + 31))
    host.bench.tick(0)
    waiting = host.waiting()
    assert waiting == tuple(range(AT_ONCE + 1, AT_ONCE + 31))
    later = host.waiting()
    assert later
    assert waiting[-len(later) :] == later
    host.wait(3)
    assert host.waiting() == ()
    assert host.accepted() == list(range(1, AT_ONCE + 31))


def test_one_that_waits_and_is_asked_again_or_no_longer_costs_nothing(host: Host) -> None:
    host.ask(*range(1, AT_ONCE + 1))
    for number in range(1_000, 1_600):
        host.ask(number, number)
        host.bench.give(Unsubscribe(number))
    host.wait(10)
    assert host.planned == AT_ONCE
    assert host.waiting() == ()
    assert not host.bench.refusals()


def test_what_is_asked_otherwise_meanwhile_waits_in_place_of_it(host: Host) -> None:
    host.ask(*range(1, AT_ONCE + 1))
    host.ask(1_000)
    host.ask(1_000, text="select a from s where a == 1")
    host.wait(10)
    host.bench.publish({"a": 1}, {"a": 2})
    host.bench.settle()
    assert [row["a"] for row in host.bench.got(1_000).rows] == [1]


def test_one_that_waits_and_cannot_run_is_refused_in_its_turn(host: Host) -> None:
    host.ask(*range(1, AT_ONCE + 1))
    host.ask(1_000, text="select no such")
    assert not host.bench.refusals()
    host.wait(10)
    (refused,) = [m for m in host.bench.job.messages if isinstance(m, Refuse)]
    assert refused.query == 1_000


def test_what_waits_has_limits(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MAX_QUERIES", AT_ONCE + 10)
    host.ask(*range(1, AT_ONCE + 12))
    assert host.bench.refusals() == [f"this agent runs {AT_ONCE + 10} queries already"]
    monkeypatch.setattr(queries, "MAX_QUERIES", 20_000)
    text = ALL + " " * (queries.MAX_TEXT - len(ALL))
    host.ask(*range(1_000, 1_000 + TEXTS_MAX // queries.MAX_TEXT), text=text)
    assert host.bench.refusals()[1:] == ["more text waits in this agent than may"]


def test_what_another_source_job_had_asked_does_not_wait_any_longer(host: Host) -> None:
    host.ask(*range(1, AT_ONCE + 11))
    now_us = host.bench.now_us
    host.bench.give(Welcome(1, "another", 1 << 20, now_us, now_us, now_us))
    host.wait(10)
    assert host.planned == AT_ONCE
    assert host.waiting() == ()


def test_planning_never_has_the_agent_sample(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events take four fifths of what they may; with planning that is more than all."""
    bench, drain = host.bench, subscriptions.Subscriptions.drain
    drained_us = [0]

    def costly(*args: object, **how: object) -> object:
        host.cpu_ns += int((bench.now_us - drained_us[0]) * 1_000 * CPU_SHARE * 0.8)
        drained_us[0] = bench.now_us
        return drain(*args, **how)  # type: ignore[arg-type]

    host.ask(0, text="select a from s")
    bench.tick()
    drained_us[0] = bench.now_us
    monkeypatch.setattr(subscriptions.Subscriptions, "drain", costly)
    number = 1
    for _ in range(300):
        for _ in range(6):
            host.ask(number)
            bench.give(Unsubscribe(number))
            number += 1
        bench.publish({"a": 1})
        bench.tick(10_000)
    assert host.planned > AT_ONCE
    assert bench.state.budget.cpu_share > CPU_SHARE
    assert (bench.state.budget.weight, bench.state.budget.pause_us) == (1, 20_000)
    assert host.planned * PLAN_NS <= PLANNED_NS_MAX + 3e9 * CPU_SHARE * SHARE + PLAN_NS


def wait_for_a_new_stream(host: Host) -> int:
    """A query of `t` waits while beats come and go; returns what is published meanwhile."""
    host.ask(*range(1, AT_ONCE + 1))
    host.bench.give(Subscribe(AT_ONCE + 1, 0, "t", ALL, 1_000))
    host.bench.tick(0)
    host.bench.publish({"a": 1}, {"a": 2}, stream="t")
    assert host.bench.state.owes()
    for _ in range(3):
        host.bench.give(Beat(host.bench.now_us, host.bench.now_us, host.bench.now_us))
    assert AT_ONCE + 1 not in host.accepted()
    return 2


def test_who_waits_for_a_new_stream_is_told_what_it_missed_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = Host(monkeypatch, "s t")
    missed = wait_for_a_new_stream(host)
    host.wait(PAID_US // 1_000_000 + 1)
    (accept,) = (
        m for m in host.bench.job.of(Accept) if isinstance(m, Accept) and m.query > AT_ONCE
    )
    assert accept.unseen == missed


def test_at_the_end_who_waits_is_told_without_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, "s t")
    missed = wait_for_a_new_stream(host)
    host.bench.state.end()
    planned = host.planned
    host.wait(PAID_US // 1_000_000 + 1)
    (accept,) = (
        m for m in host.bench.job.of(Accept) if isinstance(m, Accept) and m.query > AT_ONCE
    )
    assert (accept.unseen, host.planned) == (missed, planned)
    assert not host.bench.state.owes()


def test_screens_are_paid_for_too(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A screen may cost more than all plans; who leaves costs one as well."""
    built, made = [0], Generation

    def build(*args: object) -> object:
        built[0] += 1
        host.cpu_ns += 20 * PLAN_NS
        return made(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(query_factory, "Generation", build)
    host.ask(0)
    for number in range(1, 300):
        host.ask(number, text=f"select a from s where a > {number} and b < 3")
        host.bench.give(Unsubscribe(number))
        host.bench.tick(10_000)
    spent = built[0] * 20 * PLAN_NS + host.planned * PLAN_NS
    assert PLANNED_NS_MAX < spent < PLANNED_NS_MAX + 3e9 * CPU_SHARE * SHARE + 21 * PLAN_NS
    assert (host.bench.state.budget.weight, host.bench.state.budget.pause_us) == (1, 20_000)
    host.bench.publish({"a": 1})
    host.bench.settle()
    assert len(host.bench.got(0).rows) == 1


def test_the_last_one_to_leave_ends_the_costs_at_once(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Planning, "build_us", lambda _: 2**62)
    monkeypatch.setattr(subscriptions.Subscriptions, "_rebuild_us", rebuild_now)
    host.ask(1)
    host.bench.tick()
    assert host.bench.streams["s"].taker is not None
    monkeypatch.undo()
    monkeypatch.setattr(Planning, "build_us", lambda _: 2**62)
    host.bench.give(Unsubscribe(1))
    host.bench.tick()
    assert host.bench.streams["s"].taker is None


def rebuild_now(_: object) -> int:
    return 0


def old(bench: Bench) -> int:
    return len(bench.state.queries.streams[0]._old.generations)


def test_old_intakes_are_few_and_cost_a_drain_little(monkeypatch: pytest.MonkeyPatch) -> None:
    drains = [0]
    drain: Callable[..., object] = Generation.drain

    def count(*args: object) -> object:
        drains[0] += 1
        return drain(*args)

    monkeypatch.setattr(Generation, "drain", count)
    monkeypatch.setattr(old_generations, "OLD_MAX", 30)
    bench = Bench()
    bench.subscribe(1, ALL)
    for number in range(2, 200):
        bench.subscribe(number, f"select a from s where a > {number} and b < 3", tick=False)
        bench.unsubscribe(number)
        bench.tick(5_000)
        assert old(bench) <= old_generations.OLD_MAX
    assert old(bench) == old_generations.OLD_MAX
    for _ in range(2 * old_generations._YOUNG):
        bench.tick(5_000)
    drains[0] = 0
    bench.tick(5_000)
    assert drains[0] <= 1 + old_generations._YOUNG + old_generations._IN_TURN


def with_rows_in_old_intakes() -> tuple[Bench, int]:
    """A bench that runs one query, with an event in each of so many intakes that were replaced."""
    bench = Bench()
    bench.subscribe(1, ALL)
    held: list[Taker] = []
    for number in range(2, 62):
        taker = bench.streams["s"].taker
        assert taker is not None
        held.append(taker)
        bench.subscribe(number, f"select a from s where a > {number} and b < 3", tick=False)
        bench.unsubscribe(number)
        bench.tick(5_000)
    for _ in range(old_generations._YOUNG):
        bench.tick(5_000)
    bench.job.by_arrival = False
    for taker in held:
        bench.streams["s"].taker = taker
        bench.publish({"a": 1})
    return bench, len(held)


def test_what_comes_late_to_an_old_intake_is_counted_once() -> None:
    bench, intakes = with_rows_in_old_intakes()
    for _ in range(60):
        bench.tick(50_000)
    assert len(bench.got(1).rows) == intakes
    bench.goodbye()
    assert bench.got(1).total.seen == intakes


def test_what_old_intakes_hold_goes_out_with_goodbye() -> None:
    bench, intakes = with_rows_in_old_intakes()
    bench.goodbye()
    assert (len(bench.got(1).rows), bench.got(1).total.seen) == (intakes, intakes)


def test_the_account_of_planning() -> None:
    planning = Planning(0.1)
    planning.pay(START_US)
    planning.plan(0)
    assert planning.may_plan
    planning.plan(PLANNED_NS_MAX + 5_000_000)
    assert not planning.may_plan
    assert planning.may_build
    assert planning.plan_us() == START_US + 5_000 / (0.1 * SHARE) + 1
    planning.build(BUILT_NS_MAX)
    assert not planning.may_build
    planning.pay(planning.build_us())
    assert planning.may_build
    assert not planning.may_plan
    assert planning.take_spent_ns() == PLANNED_NS_MAX + BUILT_NS_MAX + 5_000_000
    assert planning.take_spent_ns() == 0
    planning.pay(START_US - 10**9)
    planning.pay(START_US + 10**12)
    assert planning.may_plan
    planning.validate()
