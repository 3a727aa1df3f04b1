"""Known agents: who they are, what they offer, when they were heard last, and what they owe.

An agent is known by its name, whatever connection it comes by; the name is its own as long as it is
known, by its key and the proof in its first hello. One that is silent for too long is gone, and
comes back with the next thing it says; after a minute it is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mql.wire.messages import Catalogue, Heartbeat, Hello, StreamSeen

_SHOWN = 200
_MOST_STREAMS = 1_000
_MOST_TAGS = 100
_REMEMBERED_US = 60_000_000
_REMEMBERED_ERRORS = 10_000


@dataclass(slots=True)
class Agent:
    """One agent. `owed` is credit that has not been given back; times in µs by our clock."""

    agent: str
    peer: bytes
    service: str
    host: str
    pid: int
    version: str
    tags: dict[str, str]
    heard_us: int
    key: bytes = b""
    proof: str = field(default="", repr=False)
    streams: set[str] = field(default_factory=set)
    is_gone: bool = False
    watermark_ms: int = 0
    offset_us: int = 0
    lag_us: int = 0
    dropped: int = 0
    weight: int = 1
    cpu_share: float = 0.0
    owed: int = 0
    looked_us: int | None = None
    catalogue_us: int | None = None
    catalogue: tuple[StreamSeen, ...] = ()

    @property
    def rate(self) -> float:
        """The share of events that its budget lets it look at."""
        return 1 / self.weight

    @property
    def name(self) -> str:
        """`service@host`."""
        return f"{self.service}@{self.host}"

    def offer(self, streams: tuple[str, ...]) -> list[str]:
        """Note the streams it offers; returns those that are new."""
        new = [s for s in dict.fromkeys(streams) if s not in self.streams]
        new = new[: _MOST_STREAMS - len(self.streams)]
        self.streams.update(new)
        return new

    def beat(self, message: Heartbeat) -> None:
        """Note what a heartbeat says."""
        self.watermark_ms, self.dropped = message.watermark_ms, message.dropped
        self.offset_us, self.lag_us = message.offset_us, message.lag_us
        self.weight, self.cpu_share = max(message.weight, 1), message.cpu_share

    def wants_look(self, now_us: int, old_us: int) -> bool:
        """Whether it is time to ask what it has seen: not known, or older than `old_us`."""
        last = max(self.looked_us or 0, self.catalogue_us or 0)
        return now_us - last >= old_us

    def saw(self, message: Catalogue, now_us: int) -> None:
        """Note what it has seen."""
        self.catalogue, self.catalogue_us, self.looked_us = message.streams, now_us, None


class Agents:
    """All agents that are there, and those who were a minute ago."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._by_name: dict[str, Agent] = {}
        self._by_peer: dict[bytes, Agent] = {}
        self._errors: dict[str, int] = {}
        self.errors = 0
        """Messages that no protocol allows, from whomever."""

    def __iter__(self) -> Iterator[Agent]:
        return iter(list(self._by_name.values()))

    def of_peer(self, peer: bytes, key: bytes | None = None) -> Agent | None:
        """Who speaks on a connection, if it is of this key (None: whatever it is of)."""
        agent = self._by_peer.get(peer)
        return agent if agent is not None and key in (None, agent.key) else None

    def named(self, name: str) -> Agent | None:
        """The agent of a name."""
        return self._by_name.get(name)

    def present(self) -> list[Agent]:
        """Those that are there."""
        return [agent for agent in self._by_name.values() if not agent.is_gone]

    def offering(self, stream: str) -> list[Agent]:
        """Those that are there and offer a stream."""
        return [agent for agent in self.present() if stream in agent.streams]

    def hello(self, peer: bytes, message: Hello, now_us: int, key: bytes) -> Agent | None:
        """An agent says who it is; None if there are too many."""
        known = self._by_name.get(message.agent)
        if known is None and len(self._by_name) >= self._most:
            return None
        speaker = self._by_peer.get(peer)
        if speaker is not None and speaker is not known:
            self.forget(speaker)
        if known is not None:
            self._by_peer.pop(known.peer, None)
        agent = Agent(
            agent=message.agent,
            peer=peer,
            service=message.service[:_SHOWN],
            host=message.host[:_SHOWN],
            pid=message.pid,
            version=message.version[:_SHOWN],
            tags={k[:_SHOWN]: v[:_SHOWN] for k, v in list(message.tags.items())[:_MOST_TAGS]},
            heard_us=now_us,
            key=key,
            proof=message.proof,
        )
        self._by_name[agent.agent] = self._by_peer[peer] = agent
        return agent

    def forget(self, agent: Agent) -> None:
        """Drop an agent."""
        self._by_name.pop(agent.agent, None)
        self._by_peer.pop(agent.peer, None)

    def go_silent(self, since_us: int) -> list[Agent]:
        """Those that are gone now, having said nothing since a time."""
        silent = [a for a in self._by_name.values() if a.heard_us < since_us]
        newly = [a for a in silent if not a.is_gone]
        for agent in silent:
            agent.is_gone = True
            if agent.heard_us < since_us - _REMEMBERED_US:
                self.forget(agent)
        return newly

    def validate(self) -> None:
        """Check what always holds; for tests."""
        assert len(self._by_name) == len(self._by_peer) <= self._most
        for name, agent in self._by_name.items():
            assert agent.agent == name
            assert self._by_peer[agent.peer] is agent
            assert agent.owed >= 0
            assert len(agent.streams) <= _MOST_STREAMS

    def blame(self, agent: Agent | None) -> None:
        """Count a message that no protocol allows."""
        self.errors += 1
        if agent is not None:
            if agent.agent not in self._errors and len(self._errors) >= _REMEMBERED_ERRORS:
                self._errors.pop(next(iter(self._errors)))
            self._errors[agent.agent] = self.errors_of(agent) + 1

    def errors_of(self, agent: Agent) -> int:
        """How often an agent broke the protocol."""
        return self._errors.get(agent.agent, 0)

    def excuse(self, slept_us: int, now_us: int) -> None:
        """The job itself was away until now: nobody was silent in that time."""
        for agent in self._by_name.values():
            agent.heard_us = min(agent.heard_us + slept_us, now_us)
