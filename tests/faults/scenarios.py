"""What is done to whom: each scenario hurts the fleet, waits, and mends it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from time import monotonic, sleep

from benchmarks.processes import start, stop, until
from source_jobs.client import Client, HttpClient
from tests.faults.clock import SEEN_AFTER_S
from tests.faults.fleet import Fleet
from tests.faults.network import Namespace
from tests.faults.watch import Seen


class Skipped(Exception):  # noqa: N818 - no error
    """This cannot be done here, and why."""


class Takes(Enum):
    """What a fault may take along without a number: events that nobody alive can count."""

    NOTHING = "nothing"
    """The ledger is right to the event."""
    TOLD = "told"
    """What killed processes held, or came while no answer ran; the answer names the spans."""


@dataclass(slots=True)
class Stage:
    """Where a scenario happens; it says when it hurts and when that is over."""

    fleet: Fleet
    client: Client | HttpClient
    hurt_s: float = 0.0
    over_s: float = 0.0
    restarts: list[str] = field(default_factory=list)
    """Services that are to be started again when all is measured."""
    dead: list[str] = field(default_factory=list)
    """Services that were killed, and of which the source job does not know that they are dead."""

    def hurt(self) -> None:
        """From now on the fault is there."""
        self.hurt_s = self.over_s = monotonic()

    def over(self) -> None:
        """From now on nothing keeps it from recovering."""
        self.over_s = monotonic()

    def hurt_for(self, seconds: float, begin: Callable[[], None], end: Callable[[], None]) -> None:
        """Let a fault last."""
        self.hurt()
        begin()
        sleep(seconds)
        end()
        self.over()

    def is_whole(self, seen: Seen) -> bool:
        """Whether a window has all of the services that live, and names the dead."""
        return seen.is_whole(len(self.fleet.services), self.dead)

    @property
    def space(self) -> Namespace:
        """The network namespace. Raises Skipped."""
        if self.fleet.networks.namespace is None:
            raise Skipped("no network namespace can be made here (root, iproute2, iptables)")
        return self.fleet.networks.namespace


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault. `notices`: whether an answer has to say so; `short`: part of the short form."""

    what: str
    act: Callable[[Stage], None]
    takes: Takes = Takes.NOTHING
    notices: bool = True
    short: bool = False


def _kill_agents(stage: Stage) -> None:
    victims = stage.fleet.group("near")[:3]
    stage.hurt()
    for victim in victims:
        victim.kill()
        del stage.fleet.services[victim.name]
        stage.restarts.append(victim.name)
        stage.dead.append(victim.name)


def _restart_agents(stage: Stage) -> None:
    victims = stage.fleet.group("near")[:3]
    stage.hurt()
    for victim in victims:
        victim.kill()
        stage.fleet.start(victim.name)
        stage.dead.append(victim.name)
    stage.over()


def _stop_agents(seconds: float) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        victims = stage.fleet.group("near")[:3]
        stage.hurt()
        for victim in victims:
            victim.freeze()
        sleep(seconds)
        for victim in victims:
            victim.thaw()
        stage.over()

    return act


def _kill_job(seconds: float) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        stage.hurt_for(seconds, stage.fleet.job.kill, stage.fleet.restart_job)

    return act


def _stop_job(seconds: float) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        stage.hurt_for(seconds, stage.fleet.job.freeze, stage.fleet.job.thaw)

    return act


def _kill_both(stage: Stage) -> None:
    stage.hurt()
    stage.fleet.job.kill()
    for victim in stage.fleet.group("near")[:3]:
        victim.kill()
        stage.fleet.start(victim.name)
    stage.fleet.restart_job()
    stage.over()


def _partition(seconds: float) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        stage.hurt_for(seconds, stage.space.partition, stage.space.heal)

    return act


def _lose(stage: Stage) -> None:
    stage.hurt_for(6, lambda: stage.space.lose(0.05), stage.space.heal)


def _delay(stage: Stage) -> None:
    space, relay = stage.fleet.networks.namespace, stage.fleet.networks.relay
    if space is not None and space.delays:
        stage.hurt_for(6, lambda: space.delay(100, 30), space.heal)
    else:
        stage.hurt_for(6, lambda: relay.delay(0.1), relay.heal)


def _hold(seconds: float) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        relay = stage.fleet.networks.relay
        stage.hurt_for(seconds, relay.hold, relay.heal)

    return act


def _cut(stage: Stage) -> None:
    relay = stage.fleet.networks.relay
    stage.hurt_for(2, relay.cut, relay.heal)


def _starve(seconds: float) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        victims = stage.fleet.group("near")[:2]

        def starve(*, starves: bool) -> None:
            for victim in victims:
                victim.record.starve(starves=starves)

        stage.hurt_for(seconds, lambda: starve(starves=True), lambda: starve(starves=False))

    return act


def _kill_client(stage: Stage) -> None:
    before = len(stage.client.queries())
    other = start("cli", "query", "select * from requests", "--source-job", stage.client.address)
    try:
        until(lambda: len(stage.client.queries()) > before, "the other query runs")
        stage.hurt()
        other.kill()
        until(lambda: len(stage.client.queries()) == before, "its query has ended", 5)
    finally:
        stop(other)


def _stop_client(stage: Stage) -> None:
    before = len(stage.client.queries())
    other = start("cli", "query", "select * from requests", "--source-job", stage.client.address)
    try:
        until(lambda: len(stage.client.queries()) > before, "the other query runs")
        stage.hurt_for(
            5,
            lambda: other.send_signal(signal.SIGSTOP),
            lambda: other.send_signal(signal.SIGCONT),
        )
    finally:
        other.kill()
        stop(other)


def _set_clock(whose: str, seconds: float) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        if stage.fleet.clocks is None:
            raise Skipped("libfaketime is not installed (apt-get install libfaketime)")
        clock = getattr(stage.fleet.clocks, whose)
        stage.hurt()
        clock.set(seconds)
        sleep(SEEN_AFTER_S)
        stage.over()

    return act


# In the order in which they run: those that set clocks leave them so, and a publisher's record with
# such times cannot be compared with a span that an answer names.
SCENARIOS: dict[str, Scenario] = {
    "kill-agents": Scenario(
        "3 agents killed", _kill_agents, Takes.TOLD, short=True
    ),
    "restart-agents": Scenario(
        "3 agents killed and started again", _restart_agents, Takes.TOLD
    ),
    "stop-agents": Scenario("3 agents stopped for 2 s", _stop_agents(2), short=True),
    "stop-agents-long": Scenario("3 agents stopped for 6 s", _stop_agents(6)),
    "kill-job": Scenario(
        "source job killed and started again", _kill_job(0), Takes.TOLD, short=True
    ),
    "kill-job-long": Scenario(
        "source job killed, started after 10 s", _kill_job(10), Takes.TOLD
    ),
    "kill-both": Scenario(
        "source job and 3 agents killed and started again", _kill_both, Takes.TOLD
    ),
    "stop-job": Scenario("source job stopped for 2 s", _stop_job(2), notices=False),
    "stop-job-long": Scenario("source job stopped for 8 s", _stop_job(8), Takes.TOLD),
    "partition": Scenario("partition for 2 s", _partition(2)),
    "partition-long": Scenario("partition for 15 s", _partition(15), Takes.TOLD),
    "hold": Scenario("relay passes nothing on for 6 s", _hold(6)),
    "hold-long": Scenario("relay passes nothing on for 12 s", _hold(12), Takes.TOLD),
    "hold-beyond": Scenario("relay passes nothing on for 70 s", _hold(70), Takes.TOLD),
    "starve": Scenario("2 services keep their agents from running for 12 s", _starve(12)),
    "cut": Scenario("connections cut for 2 s", _cut, short=True),
    "loss": Scenario("5% of packets lost, 6 s", _lose, notices=False),
    "delay": Scenario("packets delayed by 100 ms, 6 s", _delay, notices=False),
    "kill-client": Scenario("a client killed", _kill_client, notices=False),
    "stop-client": Scenario("a client stopped for 5 s", _stop_client, notices=False),
    "clock-agent-ahead": Scenario(
        "agents' clock set an hour ahead", _set_clock("services", 3600), notices=False
    ),
    "clock-agent-back": Scenario(
        "agents' clock set an hour back", _set_clock("services", 0), notices=False
    ),
    "clock-job-ahead": Scenario(
        "source job's clock set a minute ahead", _set_clock("job", 60), notices=False
    ),
    "clock-job-back": Scenario(
        "source job's clock set a minute back", _set_clock("job", 0), notices=False
    ),
}  # fmt: skip
"""By name, in the order in which they run; the clocks are right again at the end."""
