"""The three cores, each with a clock to set, in a world that checks after each step what holds.

`hear` gives a core frames of a peer, `pass_time` lets it do what is due, and `act` does something
that its own side may do: publish an event, ask a query.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol

from mql.wire.messages import Ask
from publish_agent.protocol.agent_state import AgentState
from publish_agent.protocol.identity import Identity
from publish_agent.settings import Settings as AgentSettings
from publish_agent.stream import Stream
from source_jobs.client.actions import Deliver, Piece, Transmit
from source_jobs.client.client_state import ClientState
from source_jobs.protocol.job_state import JobState
from source_jobs.protocol.outbox import Side
from source_jobs.settings import Settings

START_US = 1_700_000_000_000_000
Frames = list[bytes]
Heard = tuple[int, Frames]
"""A peer's number, and what it said."""

EVENTS: tuple[object, ...] = (
    {"status": 500, "path": "/a", "user": {"id": "u1"}, "ms": 1.5},
    {"status": 200, "path": "/b", "tags": ["x", None, 2], "user": None},
    {"status": "odd", 7: {"deep": [[[]]]}, "path": "é\ud800"},
    object(),
)
QUERIES = (
    "select * from requests",
    "select path, ms from requests where status >= 500",
    "select count(*), max(ms) from requests group by path window 1",
    "select p50(ms) from requests window 2 1",
    "select path from requests where path ==~ /.a/ limit 2",
    "select r.path from requests join requests 1 seconds on path",
    "select * from requests sample 50%",
)


class World(Protocol):
    """A core, and what is around it."""

    sent: list[Heard]
    """What it has said, to which peer."""

    def hear(self, peer: int, frames: Sequence[bytes]) -> None:
        """Take what a peer says."""

    def pass_time(self, us: int) -> None:
        """Let it do what is due."""

    def act(self, number: int) -> None:
        """Do something of its own side."""


class AgentWorld:
    """An agent's core; its peers are source jobs."""

    def __init__(self) -> None:
        self.now_us = START_US
        self.sent: list[Heard] = []
        settings = AgentSettings(service="shop", host="h", redact=("password",), buffer_events=500)
        self.state = AgentState(settings, Identity("a1", 7), lambda: self.now_us * 1000)
        self._streams = [Stream("requests"), Stream("other")]
        for stream in self._streams:
            self.state.adopt(stream)
        for link in range(3):
            self._take(self.state.connect(link, self.now_us))

    def hear(self, peer: int, frames: Sequence[bytes]) -> None:
        self._take(self.state.receive(peer % 3, frames, self.now_us))

    def pass_time(self, us: int) -> None:
        self.now_us += us
        self._take(self.state.tick(self.now_us))

    def act(self, number: int) -> None:
        link = number % 3
        match number // 3 % 16:
            case 0:
                self.state.disconnect(link, self.now_us)
            case 1:
                self._take(self.state.connect(link, self.now_us))
            case _:
                self._streams[number % 2].publish(EVENTS[number % len(EVENTS)])

    def _take(self, sends: Sequence[object]) -> None:
        self.sent += [(send.link, [bytes(f) for f in send.frames]) for send in sends]  # type: ignore[attr-defined]
        self.state.validate()


class JobWorld:
    """A source job's core; peers below 8 are agents, others clients."""

    def __init__(self) -> None:
        self.now_us = START_US
        self.sent: list[Heard] = []
        settings = Settings("job", queries=50, queries_per_client=20, clients=20, agents=20)
        self.state = JobState(settings, Random(1))  # noqa: S311 - of samples

    def hear(self, peer: int, frames: Sequence[bytes]) -> None:
        name = bytes([peer % 16])
        take = self.state.from_agent if peer % 16 < 8 else self.state.from_client
        self._take(take(name, frames, self.now_us))

    def pass_time(self, us: int) -> None:
        self.now_us += us
        self._take(self.state.tick(self.now_us))
        self.state.validate()

    def act(self, number: int) -> None:
        """A source job does nothing by itself."""

    def _take(self, sends: Sequence[object]) -> None:
        for send in sends:
            frames = [bytes(frame) for frame in send.frames]  # type: ignore[attr-defined]
            assert b"internal error" not in frames[0], frames[0]
            self.sent.append((send.peer[0], frames))  # type: ignore[attr-defined]
            assert (send.side is Side.AGENT) == (send.peer[0] < 8)  # type: ignore[attr-defined]


class ClientWorld:
    """A client's core; its peer is the source job."""

    def __init__(self) -> None:
        self.now_us = START_US
        self.sent: list[Heard] = []
        self.state = ClientState("c1", "me", "1", 1 << 20)
        self._asked = 0

    def hear(self, peer: int, frames: Sequence[bytes]) -> None:  # noqa: ARG002 - there is one
        self._take(self.state.receive(frames, self.now_us))

    def pass_time(self, us: int) -> None:
        self.now_us += us
        self._take(self.state.tick(self.now_us))

    def act(self, number: int) -> None:
        match number % 4:
            case 0:
                self._take(self.state.leave(number // 4 % (self._asked + 1)))
            case 1:
                self._take(self.state.show("streams")[1])
            case _ if self._asked < 50:
                self._asked += 1
                ask = Ask(0, QUERIES[number % len(QUERIES)], ttl_ms=number % 3 * 1_000)
                self._take(self.state.ask(self._asked, ask, self.now_us))
            case _:
                pass

    def _take(self, actions: Sequence[object]) -> None:
        for action in actions:
            match action:
                case Transmit(frames):
                    self.sent.append((0, [bytes(frame) for frame in frames]))
                case Deliver(number, Piece(_, payload)):
                    self._take(self.state.consumed(number, len(payload)))
                case _:
                    pass
        self.state.validate()
