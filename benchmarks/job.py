"""How much one source job takes on: rows, columns to aggregate, states, many queries, many groups.

    python -m benchmarks.job                       some minutes
    python -m benchmarks.job --only rows

The cores of agents, a source job and a client run in this process, on one core, joined by their
frames. What agents do is not timed; what the source job does for a second of their frames is, its
processor time, and what the client does to read the answer is told apart. Beside it stands what
`benchmarks.kernels` takes for the same payloads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from resource import RUSAGE_SELF, getrusage
from statistics import median
from time import process_time_ns

import click

from benchmarks import kernels
from benchmarks.report import machine, markdown
from mql.exec.limits import Limits
from mql.wire.codec import encode, to_clients
from mql.wire.messages import PROTOCOL, Alive, Answer, Ask, Connect, Ended
from mql.wire.payload import read_batch
from publish_agent.protocol.agent_state import AgentState
from publish_agent.protocol.agent_state import Send as AgentSend
from publish_agent.protocol.identity import Identity
from publish_agent.settings import Settings as AgentSettings
from publish_agent.stream import Stream
from source_jobs.protocol.job_state import JobState
from source_jobs.protocol.outbox import Send, Side
from source_jobs.settings import Settings

Frames = tuple[bytes, list[bytes]]
"""Who sent them, and what."""

Drain = tuple[int, list[Frames]]
"""When all agents drained, in µs, and what they sent."""

GROUPED = "select count(*), average(latency_ms), max(latency_ms), country from s window 1 group by"
ROWS = "select user_id, path, latency_ms from s"
_CLIENT = b"client"
_SECOND_US = 1_000_000
_DRAINS = 10
"""Of an agent in a second."""
_CREDIT = 1 << 40
_COUNTRIES = [f"c{i:02}" for i in range(50)]


class Rig:
    """Agents, a source job and a client that has asked some queries."""

    def __init__(
        self,
        queries: Sequence[str],
        agents: int,
        settings: Settings | None = None,
        *,
        time: str = "",
    ) -> None:
        self.now_us = 1_700_000_000_000_000
        self.job = JobState(settings or Settings("job"), Random(1))
        self.agents: dict[bytes, AgentState] = {}
        self.streams: list[Stream] = []
        self.answers: list[Send] = []
        self._say(Connect(PROTOCOL, "bench", "bench", "1", _CREDIT))
        for number in range(agents):
            self._add(f"agent {number}".encode(), number)
        for request, query in enumerate(queries):
            self._say(Ask(request, query, time))
        for _ in range(30):
            self._pass(_SECOND_US // 20)
        self.answers.clear()

    def second(self, make: Callable[[int, int], dict[str, object]], events: int) -> list[Drain]:
        """What all agents send of a second in which each publishes so many events.

        `make` gets the numbers of the agent and of the event; the property `at` is added.
        """
        drains: list[Drain] = []
        for drain in range(_DRAINS):
            at = {"at": self.now_us // 1_000}
            self.now_us += _SECOND_US // _DRAINS
            share = range(events * drain // _DRAINS, events * (drain + 1) // _DRAINS)
            frames: list[Frames] = []
            for number, (stream, (peer, agent)) in enumerate(
                zip(self.streams, self.agents.items(), strict=True)
            ):
                for event in share:
                    stream.publish(make(number, event) | at)
                frames += _frames(peer, agent.tick(self.now_us))
            drains.append((self.now_us, frames))
        return drains

    def take(self, drains: Sequence[Drain]) -> float:
        """Give the source job a second's frames; the seconds that it takes."""
        replies: list[Send] = []
        self._say(Alive())
        began = process_time_ns()
        for now_us, frames in drains:
            for peer, some in frames:
                replies += self.job.from_agent(peer, some, now_us)
            replies += self.job.tick(now_us)
        spent = (process_time_ns() - began) / 1e9
        self._deliver(replies)
        return spent

    def read(self) -> tuple[int, float]:
        """Read the answers as a client does: how many rows, and the seconds that takes."""
        rows, decoder = 0, to_clients()
        began = process_time_ns()
        for send in self.answers:
            message, payload = decoder.decode([bytes(frame) for frame in send.frames])
            if isinstance(message, Ended):
                raise click.ClickException(f"the query ended: {message}")
            if isinstance(message, Answer) and payload:
                rows += read_batch(payload).num_rows
        spent = (process_time_ns() - began) / 1e9
        self.answers.clear()
        return rows, spent

    def _add(self, peer: bytes, number: int) -> None:
        settings = AgentSettings(
            service="shop", cpu_share=100.0, bytes_per_s=1 << 40, buffer_events=1 << 20,
            memory=1 << 34, buffer_bytes=1 << 32,
        )  # fmt: skip
        agent = AgentState(settings, Identity(f"a{number}", number), lambda: self.now_us * 1_000)
        self.agents[peer] = agent
        self.streams.append(Stream("s"))
        agent.adopt(self.streams[-1])
        self._hear(peer, agent.connect(1, self.now_us))

    def _say(self, message: Connect | Ask | Alive) -> None:
        frames = [bytes(frame) for frame in encode(message)]
        self._deliver(self.job.from_client(_CLIENT, frames, self.now_us))

    def _hear(self, peer: bytes, sends: Sequence[AgentSend]) -> None:
        for sender, frames in _frames(peer, sends):
            self._deliver(self.job.from_agent(sender, frames, self.now_us))

    def _pass(self, span_us: int) -> None:
        self.now_us += span_us
        self._say(Alive())
        for peer, agent in self.agents.items():
            self._hear(peer, agent.tick(self.now_us))
        self._deliver(self.job.tick(self.now_us))

    def _deliver(self, sends: Sequence[Send]) -> None:
        for send in sends:
            if send.side is Side.CLIENT:
                self.answers.append(send)
                continue
            frames = [bytes(frame) for frame in send.frames]
            agent = self.agents[bytes(send.peer)]
            self._hear(bytes(send.peer), agent.receive(1, frames, self.now_us))


def _frames(peer: bytes, sends: Sequence[AgentSend]) -> Iterator[Frames]:
    for send in sends:
        yield peer, [bytes(frame) for frame in send.frames]


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, beside the goal; `share` is of a core, for what comes in a second."""

    what: str
    value: str
    goal: str
    reached: bool


def _event(agent: int, number: int) -> dict[str, object]:
    """An event as a service makes it."""
    return {
        "user_id": f"u{(agent * 7919 + number * 104_729) % 1_000_000}",
        "path": f"/api/v2/items/{number % 200}",
        "country": _COUNTRIES[(agent + number) % len(_COUNTRIES)],
        "latency_ms": (number * 37 % 1_000) / 8,
        "status": 200,
    }


@dataclass(frozen=True, slots=True)
class Taken:
    """Medians over some seconds of frames, in seconds of processor time.

    `ratio` is what the source job takes, in what the kernels take for the same payloads.
    """

    job: float
    client: float
    rows: int
    ratio: float


def _measure(
    rig: Rig,
    events: int,
    kernel: Callable[[Sequence[bytes]], None] | None = None,
    make: Callable[[int, int], dict[str, object]] = _event,
    turns: int = 5,
) -> Taken:
    """Take some seconds' frames, the kernel's turn after each; the first second is not counted."""
    taken, read, ratios, rows = [], [], [], 0
    for _ in range(turns):
        drains = rig.second(make, events)
        taken.append(rig.take(drains))
        rows, spent = rig.read()
        read.append(spent)
        if kernel is not None:
            began = process_time_ns()
            for payloads in _payloads(drains):
                kernel(payloads)
            ratios.append(taken[-1] * 1e9 / (process_time_ns() - began))
    ratio = median(ratios[1:]) if ratios else 0.0
    return Taken(median(taken[1:]), median(read[1:]), rows, ratio)


def _payloads(drains: Iterable[Drain]) -> Iterator[list[bytes]]:
    """The payloads of each drain."""
    for _, frames in drains:
        yield [some[1] for _, some in frames if len(some) > 1]


def _rows(agents: int, events: int, turns: int = 5) -> Taken:
    return _measure(Rig([ROWS], agents), events, kernels.merge_rows, turns=turns)


def _columns(agents: int, events: int, turns: int = 5) -> Taken:
    return _measure(
        Rig([GROUPED + " country"], agents, time="at"), events, kernels.group, turns=turns
    )


def _states(agents: int, groups: int, turns: int = 3) -> Taken:
    rig = Rig([f"{GROUPED} user_id"], agents)
    return _measure(rig, groups, kernels.add_states, _one_each, turns)


def _one_each(_: int, number: int) -> dict[str, object]:
    """An event of a user of its own."""
    return {"user_id": f"u{number}", "country": "KR", "latency_ms": number / 8}


def rows(agents: int = 50, events: int = 2_000) -> list[Figure]:
    """Rows of three columns, merged and delivered."""
    taken = _rows(agents, events)
    rate, read = agents * events / taken.job, taken.rows / max(taken.client, 1e-9)
    found = f"{rate:,.0f} rows/s, {taken.ratio:.1f} x kernels; the client reads {read:,.0f} rows/s"
    return [Figure(f"rows of 3 columns from {agents} agents", found, "1,000,000", rate >= 1e6)]


def columns(agents: int = 50, events: int = 10_000) -> list[Figure]:
    """Grouped aggregates where the events' columns travel, since their time is one of them."""
    taken = _columns(agents, events)
    rate = agents * events / taken.job
    found = f"{rate:,.0f} events/s, {taken.ratio:.1f} x kernels"
    return [Figure("aggregates by group over shipped columns", found, "5,000,000", rate >= 5e6)]


def states(agents: int = 1_000, groups: int = 1_000) -> list[Figure]:
    """States of a windowed aggregate, a window a second."""
    taken = _states(agents, groups)
    found = f"{taken.job:.2f} s of a core a second, {taken.ratio:.1f} x kernels"
    what = f"states: {agents:,} agents, {groups:,} groups each"
    return [Figure(what, found, "1", taken.job <= 1)]


def _different(number: int) -> list[str]:
    return [f"select count(*) from s where latency_ms > {i / 2} window 1" for i in range(number)]


def queries(events: int = 500, agents: int = 20) -> list[Figure]:
    """Many different queries at once, and as many equal ones."""
    figures, one = [], 0.0
    for number in (1, 10, 50, 200):
        taken = _measure(Rig(_different(number), agents), events, turns=4).job
        one = one or taken
        found = f"{taken * 1000:.1f} ms a second, {taken / one:.1f} times what one takes"
        good = taken < number * one or number == 1
        goal = f"< {number} x" if number > 1 else ""
        figures.append(Figure(f"different queries: {number}", found, goal, good))
    equal = _equal(events, agents)
    figures.append(
        Figure("equal queries: 200", f"{equal:.2f} times what one takes", "1 x", equal < 2)
    )
    return figures


def _equal(events: int, agents: int, number: int = 200, turns: int = 4) -> float:
    """So many times what one query takes as many equal ones take."""
    one, all_ = (
        _measure(Rig([GROUPED + " country"] * n, agents), events, turns=turns) for n in (1, number)
    )
    return all_.job / one.job


def idle(number: int = 1_000, agents: int = 5) -> list[Figure]:
    """Queries for a user each who never comes: each agent tells of each, every second."""
    asked = [f"select * from s where user_id == 'nobody{i}'" for i in range(number)]
    room = 2 * number
    settings = Settings(
        "job", queries=room, queries_per_client=room, text_bytes=1 << 30,
        text_bytes_per_client=1 << 30,
    )  # fmt: skip
    taken = _measure(Rig(asked, agents, settings), 100, turns=4).job
    found = f"{taken * 1e6 / (number * agents):.0f} µs each agent and second"
    return [Figure(f"idle queries: {number:,}, {agents} agents", found, "", reached=True)]


def groups(number: int = 1_000_000, agents: int = 10) -> list[Figure]:
    """A window with very many groups."""
    settings = Settings("job", held=Limits(groups=2 * number, bytes=1 << 30))
    rig = Rig(["select count(*), user_id from s window 10 group by user_id"], agents, settings)
    before = getrusage(RUSAGE_SELF).ru_maxrss

    def make(agent: int, event: int) -> dict[str, object]:
        return {"user_id": f"user {agent * (number // agents) + event}"}

    rig.take(rig.second(make, number // agents))
    grown = (getrusage(RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e9
    found = f"{grown:.2f} GB, with what {agents} agents and their frames take"
    return [Figure(f"{number:,} groups in a window", found, "1 GB", grown < 1)]


def wire(events: int = 100_000, groups: int = 100) -> list[Figure]:
    """What an aggregate costs on the wire, beside the columns that it needs."""

    def make(_: int, number: int) -> dict[str, object]:
        return {"country": f"c{number % groups}", "latency_ms": number / 8}

    columns = "select country, latency_ms from s"
    sent = {}
    for query in (f"{GROUPED} country", columns):
        rig = Rig([query], 1)
        rig.take(rig.second(make, events))
        seconds = rig.second(make, events)
        sent[query] = sum(len(frame) for _, frames in seconds for _, f in frames for frame in f)
    states, rows = sent[f"{GROUPED} country"], sent[columns]
    found = f"{states:,} bytes/s, {states / rows:.2%} of the columns' {rows:,}"
    what = f"on the wire: {groups} groups of {events:,} events/s"
    return [Figure(what, found, "< 1%", states < rows / 100)]


@dataclass(frozen=True, slots=True)
class Check:
    """A ratio that no machine changes much, and what it may be at most."""

    name: str
    ratio: float
    limit: float


def checks() -> Iterator[Check]:
    """The ratios of one run, each measured in a few seconds; the limits leave room for noise."""
    yield Check("rows, x kernels", _rows(20, 2_000, 4).ratio, 10)
    yield Check("shipped columns, x kernels", _columns(20, 5_000, 4).ratio, 12)
    yield Check("states, x kernels", _states(50, 1_000, 4).ratio, 4)
    one, many = (_measure(Rig(_different(n), 10), 500, turns=3).job for n in (1, 50))
    yield Check("50 different queries, x one", many / one, 60)
    yield Check("200 equal queries, x one", _equal(500, 10, turns=3), 3)


PARTS = {
    "groups": groups,  # first: memory is known by its peak alone
    "rows": rows,
    "columns": columns,
    "states": states,
    "queries": queries,
    "idle": idle,
    "wire": wire,
}


@click.command()
@click.option("--only", type=click.Choice(list(PARTS)), help="One part of it.")
def main(only: str | None) -> None:
    """Measure what one source job takes on, on one core."""
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    click.echo("\n".join(machine(core)) + "\n")
    figures = [figure for name, part in PARTS.items() if only in {None, name} for figure in part()]
    table = [(f.what, f.value, f.goal, "yes" if f.reached else "no") for f in figures]
    click.echo(markdown(("", "measured", "goal", "met"), table, left=4))


if __name__ == "__main__":
    main()
