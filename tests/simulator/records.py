"""What is known of events, agents, source jobs and answers, as values that `knowledge.py` fills."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mql.wire.messages import Ended, Rejected
from publish_agent.capture.event_buffer import Status
from publish_agent.drain.subscription import Running
from source_jobs.client.actions import Closed, Piece, Started
from tests.simulator.questions import Asked

if TYPE_CHECKING:
    from tests.simulator.agents import AgentProcess
    from tests.simulator.processes import ClientProcess

Item = Started | Piece | Rejected | Ended | Closed


_LONGEST_KEPT_MS = 1_000
"""An event that seems to have lain in its agent for longer has seen a clock set."""


def job_skew_us(number: int) -> int:
    """How far the clock of a source job is ahead: nobody else lives in its hour."""
    return number * 3_600_000_123


class Failure(Exception):  # noqa: N818 - it is what a run finds, not what a run does wrong
    """Something does not hold; `kind` is what, in a word."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


@dataclass(slots=True)
class Published:
    """An event, when it was published by the service's clock and in truth, and what became of it.

    `claimed_ms` is its time by each link's source job, as the agent reckons, and `drained_ms` when
    its agent looked at it. It is `shaken` if the agent has learned, since it said how far it had
    come, that its clock is not what it took it for.
    """

    stream: str
    stamp_ms: int
    true_us: int
    event: dict[str, object]
    status: Status = Status.SKIPPED
    queries: tuple[Running, ...] = ()
    claimed_ms: dict[int, int] = field(default_factory=dict)
    drained_ms: dict[int, int] = field(default_factory=dict)
    shaken: bool = False
    took_us: int = 0
    """For how long its `publish` was under way."""

    @property
    def is_dropped(self) -> bool:
        dropped = Status.DROPPED_BUFFER, Status.DROPPED_BUDGET, Status.DROPPED_UNREADABLE
        return self.status in dropped

    def kept_ms(self, link: int) -> int:
        """How long it lay in its agent, in whose books it is of the time when it was drained."""
        kept_ms = self.drained_ms.get(link, 0) - self.claimed_ms.get(link, 0)
        return (
            kept_ms if 0 <= kept_ms <= _LONGEST_KEPT_MS else 0
        )  # else its clock has been set since


class AgentRecord:
    """What is known of one agent, from its start to its end."""

    def __init__(self, process: AgentProcess, jobs: tuple[int, ...]) -> None:
        self.process = process
        self.name = process.agent
        self.label = "{service}@{host}".format_map(process.provenance)
        """How a source job names it where it is missing."""
        self.provenance = process.provenance
        self.jobs = jobs
        """The source job at the other end of each link."""
        self.events: list[Published] = []
        self.pending: list[Published] = []
        self.running: dict[str, tuple[Running, ...]] = {}
        self.by_key: dict[tuple[int, int, int], Running] = {}
        """By link, query and source what ran there last."""
        self.jobs_of: dict[Running, str] = {}
        """The name of the source job that has asked each query, in the order of their beginning."""
        self.begun_us: dict[Running, int] = {}
        """When each query began to run, in truth."""
        self.counted: Counter[Running] = Counter()
        self.lost: list[tuple[str, int]] = []
        """Drained at that time by the agent's clock: what publishers said to have lost."""
        self.lost_pending: list[str] = []
        self.said_ms: dict[Running, int] = {}
        self.sequence: dict[Running, int] = {}
        self.highest_ms: dict[int, int] = {}
        """The greatest difference of clocks that it ever took for true, by link."""
        self.clock_was_set = False
        self.has_ended = False


class JobRecord:
    """What a source job has heard."""

    def __init__(self) -> None:
        self.peers: dict[bytes, str] = {}
        self.agents: dict[str, bytes] = {}
        self.heard_ms: dict[str, list[int]] = {}
        self.left_ms: dict[str, int] = {}
        self.offered_ms: dict[tuple[str, str], int] = {}
        self.totals: dict[tuple[int, int, str], list[int]] = {}
        """The last total of each run of an agent's query and source."""
        self.sequences: dict[tuple[int, int, str], int] = {}
        """The number of the last part of such a run."""
        self.started_ms: dict[tuple[int, int, str], int] = {}
        """When it has said last that such a run began."""

    def was_heard(self, agent: str, from_ms: int, to_ms: int) -> bool:
        """Whether an agent was heard after one time and before another."""
        times = self.heard_ms.get(agent, [])
        at = bisect_left(times, from_ms)
        return at < len(times) and times[at] < to_ms

    def knows(self, agent: str, stream: str, before_ms: int) -> bool:
        """Whether it had heard by then that the agent offers the stream."""
        return self.offered_ms.get((agent, stream), before_ms) < before_ms


@dataclass(slots=True)
class Episode:
    """One answer to a subscription, on one connection."""

    job: str
    started: Started
    pieces: list[Piece] = field(default_factory=list)
    ended: Ended | None = None
    is_first: bool = False
    """Whether it is the one that began the query."""

    @property
    def told_ms(self) -> int:
        """Up to when it tells what is known."""
        known = (piece.answer.completeness for piece in reversed(self.pieces))
        return next((each.end_ms for each in known if each is not None), 0)


@dataclass(slots=True)
class Subscription:
    """What a program has asked, and all that it got."""

    client: ClientProcess
    handle: int
    asked: Asked
    group: str
    episodes: list[Episode] = field(default_factory=list)
    rejected: Rejected | None = None
    ended: Ended | None = None
    is_left: bool = False

    @property
    def shares(self) -> tuple[str, int, str]:
        """Of those for whom this is equal one is told each thing."""
        episode = self.episodes[-1]
        who = f"of {self.group}" if self.group else f"{self.client.client} {self.handle}"
        return episode.job, episode.started.query, who

    @property
    def is_waiting(self) -> bool:
        """Whether more is to come."""
        return self.client.is_alive and not self.is_left and self.ended is None

    @property
    def is_begun(self) -> bool:
        """Whether it is being answered by the source job that is there now, or over."""
        if self.is_left or self.ended is not None:
            return True
        return bool(self.episodes) and self.episodes[-1].job == self.client.state.job
