"""Source jobs one after another, in one process and with one clock that is moved.

Each has a publisher or another one upstream: the cores are the real ones, the network is a queue
in which everything takes a step. What publishers published, by ms, is what windows are held to.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from mql.layout import layout_of
from mql.planner.plan import plan
from mql.wire.messages import Ask
from mql.wire.upstream import Feed
from publish_agent.capture.upstream_answer import Upstream
from publish_agent.protocol.agent_state import AgentState
from publish_agent.protocol.identity import Identity
from publish_agent.settings import Settings as AgentSettings
from publish_agent.stream import DatedEntry, Stream
from source_jobs.client.actions import Action, Deliver, Transmit
from source_jobs.client.client_state import ClientState
from source_jobs.client.clock import JobClock
from source_jobs.client.subscription import Subscription
from source_jobs.client.window import LiveWindow
from source_jobs.protocol.job_state import JobState
from source_jobs.protocol.outbox import Side
from source_jobs.query.live_query import read_question
from source_jobs.settings import Settings
from source_jobs.sources.relay import CircleError, Teller

BEGIN_US = 1_700_000_000_000_000
STEP_US = 20_000
_ROUNDS = 5
"""So often in a step those who get something may answer."""
Frames = list[bytes]

_names = itertools.count(1)


class Chain:
    """All processes, and the time. What is sent takes `latency_us`, at most a step."""

    def __init__(self, latency_us: int = 1_000) -> None:
        self.latency_us = latency_us
        self.now_us = BEGIN_US
        self.processes: list[Process] = []
        self.wires: list[Wire] = []

    @property
    def now_ms(self) -> int:
        return (self.now_us - BEGIN_US) // 1000

    def job(self, name: str, grace_ms: int = 1_000, ahead_ms: int = 0) -> Job:
        return Job(self, name, grace_ms, ahead_ms * 1000)

    def run(self, ms: int, each: Callable[[], None] = lambda: None) -> None:
        """Let time pass, a step at a time; `each` happens at the beginning of each."""
        for _ in range(ms * 1000 // STEP_US):
            self.now_us += STEP_US
            began_us = self.now_us
            each()
            while self.now_us < began_us + min(_ROUNDS * self.latency_us, STEP_US):
                self._round()
                self.now_us += self.latency_us
            self.now_us = began_us

    def _round(self) -> None:
        """What was under way arrives, and those who get it, or have something to do, do that."""
        for wire in self.wires:
            wire.move()
        for process in self.processes:
            now_us = self.now_us + process.ahead_us
            if process.is_running and (process.inbox or now_us >= process.wake_us):
                process.wake_us = process.step(now_us)


class Process:
    """Something that runs, unless it is stopped or dead."""

    def __init__(self, chain: Chain, ahead_us: int = 0) -> None:
        self.chain = chain
        self.ahead_us = ahead_us
        self.is_running = True
        self.inbox: list[Any] = []
        self.wake_us = 0
        chain.processes.append(self)

    def step(self, now_us: int) -> int:
        """Take what has come, and do what is due; returns when to do so again at the latest."""
        raise NotImplementedError


@dataclass
class Wire:
    """A connection: what one end puts in, the other end gets a while later, unless it is cut."""

    near: Callable[[Frames], None]
    far: Callable[[Frames], None]
    to_near: deque[Frames] = field(default_factory=deque)
    to_far: deque[Frames] = field(default_factory=deque)
    is_cut: bool = False

    def move(self) -> None:
        """Let what was put in come out."""
        for way, end in ((self.to_near, self.near), (self.to_far, self.far)):
            for _ in range(len(way)):
                frames = way.popleft()
                if not self.is_cut:
                    end(frames)


class Job(Process):
    """A source job; `shown` is its place, `name` what one start of it is called."""

    def __init__(self, chain: Chain, shown: str, grace_ms: int, ahead_us: int) -> None:
        super().__init__(chain, ahead_us)
        self.shown = shown
        self.grace_ms = grace_ms
        self.hops: list[Hop] = []
        self._still: list[Process] = []
        self.start()

    def start(self) -> None:
        """Start, as another job than before."""
        self.name = f"{self.shown}{next(_names)}"
        settings = Settings(self.name, shown=self.shown, grace_ms=self.grace_ms)
        self.state = JobState(settings, Random(self.name))  # noqa: S311 - of samples
        self.inbox = []
        self.peers: dict[bytes, Wire] = {}
        self.is_running = True

    def connect(self, side: Side, end: Callable[[Frames], None]) -> Wire:
        """A connection to this job."""
        peer = f"peer {next(_names)}".encode()
        wire = Wire(end, lambda frames: self.inbox.append((side, peer, frames)))
        self.peers[peer] = wire
        self.chain.wires.append(wire)
        return wire

    def step(self, now_us: int) -> int:
        inbox, self.inbox = self.inbox, []
        for side, peer, frames in inbox:
            take = self.state.from_agent if side is Side.AGENT else self.state.from_client
            self._send(take(peer, frames, now_us))
        self._send(self.state.tick(now_us))
        self.state.validate()
        assert self.state.next_wake_us() > now_us, "it would be busy with waiting"
        return self.state.next_wake_us()

    def _send(self, sends: Sequence[object]) -> None:
        for send in sends:
            wire = self.peers.get(send.peer)  # type: ignore[attr-defined]
            if wire is not None:
                wire.to_near.append([bytes(frame) for frame in send.frames])  # type: ignore[attr-defined]

    # What befalls it

    def kill(self) -> None:
        """End it, and what reads other answers for it, without a word."""
        self.is_running = False
        for hop in self.hops:
            hop.kill()
        for wire in self.peers.values():
            wire.is_cut = True

    def restart(self, others: Sequence[AgentProcess | Asker] = ()) -> None:
        """Start again; all who were connected come back."""
        self.start()
        hops, self.hops = self.hops, []
        for hop in hops:
            self.follow(hop.upstream, hop.query, hop.stream)
        for other in others:
            other.connect()

    def stall(self) -> None:
        """Let it, and what reads other answers for it, stand still."""
        self._still = [self, *(each for hop in self.hops for each in hop.parts)]
        for each in self._still:
            each.is_running = False

    def resume(self) -> None:
        """Go on."""
        for each in self._still:
            each.is_running = True

    def follow(self, upstream: Job, query: str, stream: str) -> Hop:
        """Make the answer of another job a stream of this one."""
        hop = Hop(self, upstream, query, stream)
        self.hops.append(hop)
        return hop


class AgentProcess(Process):
    """An agent of a service, which remembers what it published and when."""

    def __init__(self, job: Job, service: str, stream: str) -> None:
        super().__init__(job.chain, 0)
        self.job = job
        settings = AgentSettings(service=service, host="h", cpu_share=100.0)
        identity = Identity(f"agent{next(_names)}", 1)
        self.state = AgentState(settings, identity, lambda: self.now_us * 1000)
        self.now_us = self.chain.now_us
        self.stream = Stream(stream)
        self.state.adopt(self.stream)
        self.published_ms: list[int] = []
        self.connect()

    def disconnect(self) -> None:
        """Lose the connection."""
        self.wire.is_cut = True
        self.state.disconnect(0, self.chain.now_us)

    def connect(self) -> None:
        """Connect, once more."""
        self.state.disconnect(0, self.chain.now_us)
        self.inbox = []
        self.wire = self.job.connect(Side.AGENT, self._come)
        self._send(self.state.connect(0, self.chain.now_us))

    def _come(self, frames: Frames) -> None:
        self.inbox.append(frames)

    def wake(self) -> None:
        """Do at once what is due."""
        self.wake_us = 0

    def publish(self, count: int = 1) -> None:
        """Publish now."""
        self.now_us = self.chain.now_us
        for _ in range(count):
            self.published_ms.append(self.chain.now_ms)
            self.stream.publish({"number": len(self.published_ms), "one": 1})

    def step(self, now_us: int) -> int:
        self.now_us = now_us
        inbox, self.inbox = self.inbox, []
        for frames in inbox:
            self._send(self.state.receive(0, frames, now_us))
        self._send(self.state.tick(now_us))
        self.state.validate()
        return self.state.next_wake_us()

    def _send(self, sends: Sequence[object]) -> None:
        for send in sends:
            self.wire.to_far.append([bytes(f) for f in send.frames])  # type: ignore[attr-defined]


class Asker(Process):
    """A client with one question, that keeps the pieces of its answer."""

    def __init__(self, job: Job, query: str, ttl_ms: int = 0) -> None:
        super().__init__(job.chain)
        self.at = job
        self.client = ClientState(f"client{next(_names)}", "somebody", "1")
        self.answer = Subscription(
            query,
            layout_of(plan(query, live=True).steps),
            consumed=lambda size: self.do(self.client.consumed(1, size)),
            leave=lambda: None,
        )
        self.pieces: list[LiveWindow] = []
        self._waiting: list[Action] = []
        self.connect()
        self._ask: Ask | None = Ask(0, query, ttl_ms=ttl_ms)

    def disconnect(self) -> None:
        """Lose the connection."""
        self.wire.is_cut = True

    def connect(self) -> None:
        """Connect, once more."""
        self.inbox = []
        self.wire = self.at.connect(Side.CLIENT, self._come)

    def _come(self, frames: Frames) -> None:
        self.inbox.append(frames)

    def ask(self, now_us: int) -> None:
        """Ask, the first time."""
        if self._ask is not None:
            ask, self._ask = self._ask, None
            self.do(self.client.ask(1, ask, now_us))

    def step(self, now_us: int) -> int:
        inbox, self.inbox = self.inbox, []
        for frames in inbox:
            self.do(self.client.receive(frames, now_us))
        self.do(self.client.tick(now_us))
        self.client.validate()
        if self.may_ask():
            self.ask(now_us)
        while (piece := self.answer.get(0)) is not None:
            self.take(piece)
        return min(self.client.next_wake_us(), now_us + 50_000)

    def may_ask(self) -> bool:
        """Whether the time has come to ask."""
        return True

    def take(self, piece: LiveWindow) -> None:
        """Take a piece of the answer."""
        self.pieces.append(piece)

    def do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Transmit(frames):
                    self.wire.to_far.append([bytes(frame) for frame in frames])
                case Deliver(_, item):
                    self.answer.deliver(item)
                case _:
                    raise AssertionError(action)

    @property
    def windows(self) -> list[LiveWindow]:
        """The pieces that close a window."""
        return [piece for piece in self.pieces if piece.closes]


class Hop:
    """What `JobSource` and its agent are: asks one job, publishes into another."""

    def __init__(self, job: Job, upstream: Job, query: str, stream: str) -> None:
        self.upstream, self.query, self.stream = upstream, query, stream
        self.agent = AgentProcess(job, stream, stream)
        made, name = self.agent.stream, f"tcp://{upstream.shown}"
        self.relay = Upstream(DatedEntry(made), name, self.agent.wake, self.agent.state.jobs, 0)
        made.upstream = self.relay
        self.reader = _Reader(upstream, query, self.relay)

    @property
    def parts(self) -> list[Process]:
        return [self.reader, self.agent]

    @property
    def error(self) -> CircleError | None:
        return self.reader.error

    def kill(self) -> None:
        """End without a word."""
        for part in self.parts:
            part.is_running = False
            self.agent.chain.processes.remove(part)
        self.reader.wire.is_cut = self.agent.wire.is_cut = True


class _Reader(Asker):
    def __init__(self, upstream: Job, query: str, relay: Upstream) -> None:
        super().__init__(upstream, query)
        self.error: CircleError | None = None
        self._relay = relay
        self.teller = Teller(relay.name, read_question(query), relay)

    def may_ask(self) -> bool:
        return self.client.connected and bool(self._relay.jobs())

    def step(self, now_us: int) -> int:
        if self.error is not None:
            return now_us + 1_000_000
        if self.may_ask() or self._ask is None:
            try:
                self.teller.look(self)
            except CircleError as error:
                self.error = error
                self._relay.end()
                self.wire.is_cut = True
                return now_us
        return super().step(now_us)

    # What `Client` tells of it

    @property
    def reachable(self) -> bool:
        return self.client.connected and not self.wire.is_cut

    @property
    def job(self) -> str:
        return self.client.job

    @property
    def shown(self) -> str:
        return self.client.shown

    @property
    def feeds(self) -> tuple[Feed, ...]:
        return self.client.feeds

    @property
    def clock(self) -> JobClock:
        return self.client.clock

    def take(self, piece: LiveWindow) -> None:
        self.teller.take(piece, self.answer.start_ms or 0)
