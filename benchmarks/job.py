"""How much one source job takes on: rows, columns to aggregate, states, many queries, many groups.

    python -m benchmarks.job                       some minutes
    python -m benchmarks.job --only rows

The cores of agents, a source job and a client run in this process, on one core, joined by their
frames. What agents do is not timed; what the source job does for a second of their frames is, its
processor time, and what the client does to read the answer is told apart.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from resource import RUSAGE_SELF, getrusage
from statistics import median
from time import process_time_ns

import click

from benchmarks.report import machine, markdown
from mql.exec.limits import Limits
from mql.wire.codec import encode, to_clients
from mql.wire.messages import PROTOCOL, Alive, Answer, Ask, Connect, Ended
from mql.wire.payload import read_batch
from publish_agent.identity import Identity
from publish_agent.settings import Settings as AgentSettings
from publish_agent.state import AgentState
from publish_agent.state import Send as AgentSend
from publish_agent.stream import Stream
from source_jobs.outbox import Send, Side
from source_jobs.settings import Settings
from source_jobs.state import JobState

Frames = tuple[bytes, list[bytes]]
"""Who sent them, and what."""

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
        self, queries: Sequence[str], agents: int, settings: Settings | None = None
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
            self._say(Ask(request, query))
        for _ in range(30):
            self._pass(_SECOND_US // 20)
        self.answers.clear()

    def second(self, make: Callable[[int, int], dict[str, object]], events: int) -> list[Frames]:
        """What all agents send of a second in which each publishes so many events."""
        frames: list[Frames] = []
        for drain in range(_DRAINS):
            self.now_us += _SECOND_US // _DRAINS
            share = range(events * drain // _DRAINS, events * (drain + 1) // _DRAINS)
            for number, (stream, (peer, agent)) in enumerate(
                zip(self.streams, self.agents.items(), strict=True)
            ):
                for event in share:
                    stream.publish(make(number, event))
                frames += _frames(peer, agent.tick(self.now_us))
        return frames

    def take(self, frames: Sequence[Frames]) -> float:
        """Give the source job a second's frames; the seconds that it takes."""
        replies: list[Send] = []
        self._say(Alive())
        began = process_time_ns()
        for peer, some in frames:
            replies += self.job.from_agent(peer, some, self.now_us)
        replies += self.job.tick(self.now_us)
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


def _seconds(rig: Rig, events: int, turns: int = 5) -> tuple[float, float, int]:
    """The median of the seconds that a second's frames take, those of the client, and its rows."""
    taken, read, rows = [], [], 0
    for _ in range(turns):
        frames = rig.second(_event, events)
        taken.append(rig.take(frames))
        rows, spent = rig.read()
        read.append(spent)
    return median(taken[1:]), median(read[1:]), rows


def rows(agents: int = 50, events: int = 2_000) -> list[Figure]:
    """Rows of three columns, merged and delivered."""
    taken, read, number = _seconds(Rig([ROWS], agents), events)
    rate = agents * events / taken
    found = f"{rate:,.0f} rows/s; the client reads {number / max(read, 1e-9):,.0f} rows/s"
    return [Figure(f"rows of 3 columns from {agents} agents", found, "1,000,000", rate >= 1e6)]


def columns(agents: int = 50, events: int = 4_000) -> list[Figure]:
    """Grouped aggregates where the events' columns travel, since their time is one of them."""
    query = "select p99(latency_ms), country from s window 1 group by country"
    taken, _, _ = _seconds(Rig([query], agents), events)
    rate = agents * events / taken
    return [Figure("p99 by group over shipped columns", f"{rate:,.0f} events/s", "", True)]


def states(agents: int = 1_000, groups: int = 1_000) -> list[Figure]:
    """States of a windowed aggregate, a window a second."""
    rig = Rig([f"{GROUPED} user_id"], agents)

    def make(_: int, number: int) -> dict[str, object]:
        return {"user_id": f"u{number}", "country": "KR", "latency_ms": number / 8}

    taken = []
    for _ in range(3):
        taken.append(rig.take(rig.second(make, groups)))
        rig.read()
    share = median(taken[1:])
    found = f"{share:.2f} s of a core a second"
    return [Figure(f"states: {agents:,} agents, {groups:,} groups each", found, "1", share <= 1)]


def queries(events: int = 500, agents: int = 20) -> list[Figure]:
    """Many different queries at once, and as many equal ones."""
    figures, one = [], 0.0
    for number in (1, 10, 50, 200):
        asked = [f"select count(*) from s where latency_ms > {i} window 1" for i in range(number)]
        taken, _, _ = _seconds(Rig(asked, agents), events, turns=4)
        one = one or taken
        found = f"{taken * 1000:.1f} ms a second, {taken / one:.1f} times what one takes"
        figures.append(Figure(f"{number} queries", found, f"< {number} x", taken < number * one))
    taken, _, _ = _seconds(Rig([GROUPED + " country"] * 200, agents), events, turns=4)
    single, _, _ = _seconds(Rig([GROUPED + " country"], agents), events, turns=4)
    found = f"{taken / single:.2f} times what one takes"
    figures.append(Figure("200 equal queries", found, "about 1 x", taken < 3 * single))
    return figures


def groups(number: int = 1_000_000, agents: int = 10) -> list[Figure]:
    """A window with very many groups."""
    settings = Settings("job", held=Limits(groups=2 * number, bytes=1 << 30))
    rig = Rig(["select count(*), user_id from s window 10 group by user_id"], agents, settings)
    before = getrusage(RUSAGE_SELF).ru_maxrss

    def make(agent: int, event: int) -> dict[str, object]:
        return {"user_id": f"user {agent * (number // agents) + event}"}

    rig.take(rig.second(make, number // agents))
    grown = (getrusage(RUSAGE_SELF).ru_maxrss - before) / 1e6
    found = f"{grown:.2f} GB, with what {agents} agents take"
    return [Figure(f"{number:,} groups in a window", found, "1 GB", grown < 1)]


PARTS = {"rows": rows, "columns": columns, "states": states, "queries": queries, "groups": groups}


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
