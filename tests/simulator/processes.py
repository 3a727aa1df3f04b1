"""Processes around the real cores: each has an inbox, a clock of its own, and a pace.

They do what the shells do (`publish_agent/runtime/worker.py`, `source_jobs/job.py`,
`client/link.py`): all that has come first, then the time, then they check themselves. The world
decides when.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol

from mql.wire.messages import Ask as AskMessage
from source_jobs.client.actions import Action, Deliver, Piece, Reply, Transmit
from source_jobs.client.client_state import ClientState
from source_jobs.protocol.job_state import JobState
from source_jobs.protocol.outbox import Send as FromJob
from source_jobs.protocol.outbox import Side
from source_jobs.settings import Settings as JobSettings
from tests.simulator.knowledge import Knowledge
from tests.simulator.network import Connection, Frames, Route
from tests.simulator.questions import Asked

REACTION_US = 1_500
"""How soon a process looks at what has come."""


class World(Protocol):
    """What processes need of the world."""

    now_us: int
    pace_us: int
    known: Knowledge

    def at(self, time_us: int, call: Callable[[], None]) -> None:
        """Do something at a time."""

    def note(self, who: str, what: str, frames: Frames = ()) -> None:
        """Put something into the trace."""


class Process:
    """What all processes are. `skew_us` is how far the clock is ahead."""

    def __init__(self, world: World, name: str, skew_us: int = 0) -> None:
        self.world, self.name, self.skew_us = world, name, skew_us
        self.stalled_until_us = 0
        self.is_alive = True
        self._planned_us: int | None = None

    @property
    def now_us(self) -> int:
        """The time by its own clock."""
        return self.world.now_us + self.skew_us

    @property
    def is_stalled(self) -> bool:
        return self.world.now_us < self.stalled_until_us

    def wake_at(self, time_us: int) -> None:
        """Go on at a time, if it does not before."""
        time_us = max(time_us, self.stalled_until_us)
        if self._planned_us is None or time_us < self._planned_us:
            self._planned_us = time_us
            self.world.at(time_us, lambda: self._wake(time_us))

    def wake_soon(self) -> None:
        """Something has come."""
        self.wake_at(self.world.now_us + REACTION_US)

    def step(self) -> int:
        """Take what has come, and let time pass; returns when to go on, by its own clock."""
        raise NotImplementedError

    def _wake(self, planned_us: int) -> None:
        if planned_us != self._planned_us or not self.is_alive:
            return
        self._planned_us = None
        if self.is_stalled:
            self.wake_at(self.stalled_until_us)
            return
        due_us = self.step()
        self.wake_at(self.world.now_us + max(self.world.pace_us, due_us - self.now_us))


class Dialer:
    """One address of a source job that a process connects to, for as long as it lives."""

    def __init__(self, link: int, job: int, route: Route) -> None:
        self.link, self.job, self.route = link, job, route
        self.connection: Connection | None = None


class JobProcess(Process):
    """A source job."""

    def __init__(self, world: World, name: str, skew_us: int, settings: JobSettings) -> None:
        super().__init__(world, name, skew_us)
        self.settings = settings
        self.state = JobState(settings, Random(settings.name))
        self.peers: dict[bytes, Connection] = {}
        self.inbox: list[tuple[Side, bytes, Frames]] = []

    @property
    def job(self) -> str:
        return self.settings.name

    def take(self, side: Side, peer: bytes, frames: Frames) -> None:
        self.inbox.append((side, peer, frames))
        self.wake_soon()

    def step(self) -> int:
        now_us = self.now_us
        inbox, self.inbox = self.inbox, []
        for side, peer, frames in inbox:
            if side is Side.AGENT:
                self.world.known.heard(self, peer, frames)
                self._send(self.state.from_agent(peer, frames, now_us))
            else:
                self._send(self.state.from_client(peer, frames, now_us))
        self._send(self.state.tick(now_us))
        self.state.validate()
        self.world.known.advanced(self)
        return self.state.next_wake_us()

    def _send(self, sends: list[FromJob]) -> None:
        for send in sends:
            connection = self.peers.get(send.peer)
            frames = [bytes(frame) for frame in send.frames]
            routed = connection is not None and connection.is_open
            if routed and connection.from_job.send(frames):
                continue
            self.world.note(self.name, "cannot send", frames)
            if send.side is Side.CLIENT:  # the other socket drops it without a word
                self._send(self.state.unsent(send, self.now_us))


class ClientProcess(Process):
    """A client's program: asks, and reads what comes unless it pauses."""

    def __init__(self, world: World, name: str, client: str, credit: int) -> None:
        super().__init__(world, name, skew_us=-1_600_000_000_000_000)  # a clock of its own
        self.client = client
        self.credit = credit
        self.state = ClientState(client, "somebody", "1", credit)
        self.dialers: list[Dialer] = []
        self.inbox: list[Frames] = []
        self.mailbox: list[tuple[int, int]] = []
        self.paused_until_us = 0

    def take(self, _link: int, frames: Frames) -> None:
        self.inbox.append(frames)
        self.wake_soon()

    def changed(self, link: int, *, is_up: bool) -> None:
        """Its shell does not look."""

    def ask(self, handle: int, asked: Asked, group: str, ttl_ms: int) -> None:
        """Subscribe."""
        self.world.known.asked(self, handle, asked, group)
        message = AskMessage(0, asked.text, asked.time, asked.lateness_ms, group, ttl_ms)
        self.do(self.state.ask(handle, message, self.now_us))

    def leave(self, handle: int) -> None:
        """End a subscription, if there is one."""
        if self.world.known.left(self, handle):
            self.do(self.state.leave(handle))

    def show(self, what: str) -> None:
        """Ask what there is."""
        _, actions = self.state.show(what)
        self.do(actions)

    def cancel(self, query: int) -> None:
        """End a query for all."""
        _, actions = self.state.cancel(query)
        self.do(actions)

    def step(self) -> int:
        inbox, self.inbox = self.inbox, []
        for frames in inbox:
            self.do(self.state.receive(frames, self.now_us))
        self.do(self.state.tick(self.now_us))
        if self.world.now_us >= self.paused_until_us:
            mailbox, self.mailbox = self.mailbox, []
            for handle, size in mailbox:
                self.do(self.state.consumed(handle, size))
        self.state.validate()
        return self.state.next_wake_us()

    def do(self, actions: list[Action]) -> None:
        """What the core says."""
        for action in actions:
            match action:
                case Transmit(frames):
                    connection = self.dialers[0].connection
                    if connection is not None:
                        connection.to_job.send([bytes(frame) for frame in frames])
                case Deliver(handle, item):
                    if isinstance(item, Piece):
                        self.mailbox.append((handle, len(item.payload)))
                    self.world.known.delivered(self, handle, item)
                case Reply(request, result):
                    self.world.known.replied(self, request, result)
