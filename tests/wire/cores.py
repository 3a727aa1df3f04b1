"""Agents, a source job and a client as values, with one clock: what they say, and to whom it goes.

A message takes a millisecond, and all names, dice and times are fixed, so that each run says the
same bytes, but for what Arrow makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec

from tests.surface import inside

M = inside.messages

START_US = 1_700_000_000_000_000
AHEAD_US = -20_000
"""By so much the clocks of agents are ahead of the source job's."""
HOP_US = 1_000
AGENT_CREDIT, CLIENT_CREDIT = 1 << 14, 1 << 13
"""So little that more has to be granted."""

EVENTS = (
    {"path": "/pay", "status": 503, "user": "u1", "bytes": 1200, "ms": 12.5},
    {"path": "/cart", "status": 200, "user": "u2", "bytes": 80, "ms": 3},
    {"path": "/pay", "status": 500, "user": "u2", "tags": ["a", None], "ms": None},
    {"path": "/é", "status": "odd", "user": {"id": "u1"}, "password": "secret"},
)


@dataclass(frozen=True)
class Said:
    """A message as it went over the wire, and in which form it is."""

    direction: str
    word: str
    form: str
    header: bytes
    payload: bytes
    leaves: int = 0
    """How many values are in the message, whatever they are."""

    @property
    def name(self) -> str:
        folder = self.direction.replace("source job", "job").replace(" ", "_")
        return f"{folder}/{self.word}{f'-{self.form}' if self.form else ''}"


READ: dict[str, Callable[[], Any]] = {
    "agent to source job": inside.codec.from_agents,
    "source job to agent": inside.codec.to_agents,
    "client to source job": inside.codec.from_clients,
    "source job to client": inside.codec.to_clients,
}
"""What reads the messages of a direction."""


def leaves_of(value: object) -> int:
    """How many values a message holds in the end."""
    match value:
        case dict():
            return sum(leaves_of(each) for each in value.values())
        case list() | tuple():
            return sum(leaves_of(each) for each in value)
        case _:
            return 1


class Conversation:
    """All that talk, the clock, and what has been said."""

    def __init__(self) -> None:
        self.now_us = START_US
        self.said: list[Said] = []
        self._asked: dict[int, str] = {}
        self._under_way: list[tuple[Callable[[list[bytes]], None], list[bytes]]] = []
        self._read = {direction: make() for direction, make in READ.items()}
        self.job = self._job("j1")
        self.agents: dict[bytes, inside.AgentState] = {}
        self.client = inside.ClientState("c1", "ada@web", "1.0", CLIENT_CREDIT)
        self.streams: dict[tuple[bytes, str], inside.Stream] = {}

    def _job(self, name: str) -> inside.JobState:
        settings = inside.JobSettings(name, "1.0", "web:7767", agent_credit=AGENT_CREDIT)
        return inside.JobState(settings, Random(1))  # noqa: S311 - of samples

    def restart(self) -> None:
        """Let another source job stand where one was, which knows nobody."""
        self.job = self._job("j2")

    def agent(self, peer: bytes, **settings: Any) -> inside.AgentState:
        """An agent that has begun to publish, and has no connection yet."""
        made = self.agents[peer] = inside.AgentState(
            inside.AgentSettings(host="h1", redact=("password",), **settings),
            inside.Identity(peer.decode(), 7, "a proof"),
            lambda: (self.now_us + AHEAD_US) * 1_000,
        )
        for name in ("requests", "errors"):
            stream = self.streams[peer, name] = inside.Stream(name)
            stream.begin((self.now_us + AHEAD_US) * 1_000)
            made.adopt(stream)
        return made

    def connect(self, peer: bytes) -> None:
        self._of_agent(peer, self.agents[peer].connect(0, self._agents_us))

    def publish(self, peer: bytes) -> None:
        for event in EVENTS:
            self.streams[peer, "requests"].publish(event)

    def ask(self, handle: int, query: str, **how: Any) -> None:
        self._of_client(self.client.ask(handle, M.Ask(0, query, **how), self.now_us))

    def show(self, what: str, query: str = "", **how: Any) -> None:
        number, actions = self.client.show(what, query, **how)
        self._asked[number] = what + ("-page" if how else "")
        self._of_client(actions)

    def cancel(self, query: int) -> None:
        number, actions = self.client.cancel(query)
        self._asked[number] = "cancel"
        self._of_client(actions)

    def leave(self, handle: int) -> None:
        self._of_client(self.client.leave(handle))

    def tell_agent(self, peer: bytes, message: M.Message) -> None:
        """Say what no source job of today says."""
        frames = [bytes(frame) for frame in inside.codec.encode(message)]
        self._of_agent(peer, self.agents[peer].receive(0, frames, self._agents_us))

    def goodbye(self, peer: bytes) -> None:
        self._of_agent(peer, self.agents[peer].goodbye(self._agents_us))

    def pass_time(self, ms: int, publishes: bytes = b"") -> None:
        """Let everybody do what is due, and events come every 50 ms."""
        for number in range(ms):
            self.now_us += HOP_US
            under_way, self._under_way = self._under_way, []
            for take, frames in under_way:
                take(frames)
            if publishes and number % 50 == 0:
                self.publish(publishes)
            if number % 10 == 0:
                for peer, agent in self.agents.items():
                    self._of_agent(peer, agent.tick(self._agents_us))
                self._of_job(self.job.tick(self.now_us))
                self._of_client(self.client.tick(self.now_us))

    @property
    def _agents_us(self) -> int:
        return self.now_us + AHEAD_US

    # What is said, and to whom it goes

    def _of_agent(self, peer: bytes, sends: Iterable[Any]) -> None:
        for send in sends:
            self._send(
                "agent to source job",
                send.frames,
                lambda frames: self._of_job(self.job.from_agent(peer, frames, self.now_us)),
            )

    def _of_client(self, actions: Iterable[Any]) -> None:
        for action in actions:
            match action:
                case inside.Transmit(frames):
                    self._send(
                        "client to source job",
                        frames,
                        lambda frames: self._of_job(
                            self.job.from_client(b"c1", frames, self.now_us)
                        ),
                    )
                case inside.Deliver(handle, inside.ClientPiece(payload=payload)):
                    self._of_client(self.client.consumed(handle, len(payload)))

    def _of_job(self, sends: Iterable[Any]) -> None:
        for send in sends:
            if send.side is inside.Side.AGENT:
                self._send("source job to agent", send.frames, self._to_agent(send.peer))
            else:
                self._send(
                    "source job to client",
                    send.frames,
                    lambda frames: self._of_client(self.client.receive(frames, self.now_us)),
                )

    def _to_agent(self, peer: bytes) -> Callable[[list[bytes]], None]:
        def take(frames: list[bytes]) -> None:
            self._of_agent(peer, self.agents[peer].receive(0, frames, self._agents_us))

        return take

    def _send(
        self, direction: str, frames: Iterable[Any], take: Callable[[list[bytes]], None]
    ) -> None:
        copied = [bytes(frame) for frame in frames]
        message, payload = self._read[direction].decode(copied)
        word = type(message).__struct_config__.tag
        form = self._form(message, bool(payload))
        leaves = leaves_of(msgspec.to_builtins(message))
        self.said.append(Said(direction, str(word), form, copied[0], payload, leaves))
        self._under_way.append((take, copied))

    def _form(self, message: M.Message, has_payload: bool) -> str:  # noqa: FBT001
        """What tells messages of one kind apart that hold different things."""
        match message:
            case M.Batch(parts=parts) if any(part.upstream for part in parts):
                return "relayed-rows" if has_payload else "relayed"
            case M.Batch(states=states):
                if any(part.rows is not None for part in parts):
                    return "rows-of-several"
                return "states" if states else "rows" if has_payload else "counts"
            case M.Answer(start_ms=start_ms):
                kind = "rows" if has_payload else "second"
                return "window" if start_ms is not None and has_payload else kind
            case M.Accept(unseen=int()):
                return "of-a-new-process"
            case M.Ask(group=group):
                return "with-options" if group else ""
            case M.Heartbeat(costs=costs, feeds=feeds):
                return "running" if costs else "fed" if feeds else ""
            case M.Alive(feeds=feeds):
                return "fed" if feeds else ""
            case M.Rejected(is_query=is_query):
                return "query" if is_query else ""
            case M.Subscribe(states=states):
                return "with-states" if states else ""
            case M.Shown(request):
                return self._asked[request]
            case _:
                return ""
