"""Known agents: who they are, what they offer, when they were heard last, and what they owe.

An agent is known by its name, whatever connection it comes by; the name is its own as long as it is
known, by its key and the proof in its first hello. One that is silent for too long has vanished,
and returns with the next thing it says; a minute after its last word it is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from mql.wire.messages import Catalogue, Heartbeat, Hello, StreamSeen
from mql.wire.names import STREAMS_MAX, is_stream_name
from mql.wire.upstream import FEEDS_MAX, Feed
from source_jobs.protocol.offered_streams import within_limits
from source_jobs.protocol.offers import Offers
from source_jobs.protocol.rate_limit import Rate
from source_jobs.query.reporters import EXPECTED_MS
from source_jobs.shares import Room, Shares

_SHOWN = 200
_FEED_SHOWN = 64
"""Each answer to an `alive` names all that feed: so many characters of each name."""
_MOST_TAGS = 100
_REMEMBERED_ERRORS = 10_000
_GREETINGS_AT_ONCE, _GREETINGS_PER_S = 64, 2
"""Of one connection: each hello has its agent asked all that is asked of its streams."""
_GREETERS_MAX = 20_000


@dataclass(slots=True)
class Agent:
    """One agent. `owed` is credit that has not been given back; times in µs by our clock.

    `waiting` are the numbers of queries that it has not planned yet, and `left_out` the streams
    that it offers and that are not taken, by name or for want of room. One that `has_vanished` did
    not say goodbye. It has no connection if its `peer` is empty.
    """

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
    left_out: int = 0
    has_vanished: bool = False
    watermark_ms: int = 0
    offset_us: int = 0
    lag_us: int = 0
    dropped: int = 0
    weight: int = 1
    cpu_share: float = 0.0
    clock_us: int = 0
    feeds: tuple[Feed, ...] = ()
    waiting: frozenset[int] = frozenset()
    owed: int = 0
    looked_us: int | None = None
    catalogue_us: int | None = None
    catalogue: dict[str, StreamSeen] = field(default_factory=dict)
    catalogue_bytes: int = 0

    @property
    def rate(self) -> float:
        """The share of events that its budget lets it look at."""
        return 1 / self.weight

    @property
    def name(self) -> str:
        """`service@host`."""
        return f"{self.service}@{self.host}"

    def beat(self, message: Heartbeat) -> None:
        """Note what a heartbeat says."""
        self.watermark_ms, self.dropped = message.watermark_ms, message.dropped
        self.offset_us, self.lag_us = message.offset_us, message.lag_us
        self.weight, self.cpu_share = max(message.weight, 1), message.cpu_share
        self.clock_us = message.clock_us
        self.feeds = tuple(map(_cut, message.feeds[:FEEDS_MAX]))

    def wants_look(self, now_us: int, old_us: int) -> bool:
        """Whether it is time to ask what it has seen: not known, or older than `old_us`."""
        last = max(self.looked_us or 0, self.catalogue_us or 0)
        return now_us - last >= old_us


class Agents:
    """All agents that are there, and those who were a minute ago."""

    def __init__(self, most: int, names_max: int, catalogue_bytes: int) -> None:
        self._places = Shares(most)
        self._offers = Offers(names_max)
        self._room = Room(catalogue_bytes)
        self._by_name: dict[str, Agent] = {}
        self._by_peer: dict[bytes, Agent] = {}
        self._greetings: dict[bytes, Rate] = {}
        self._feeding: set[str] = set()
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
        return [agent for agent in self._by_name.values() if not agent.has_vanished]

    def streams(self, after: str = "") -> list[str]:
        """The streams that anybody offers, or lately did, by alphabet, from after one on."""
        return self._offers.after(after)

    def offering(self, stream: str) -> list[Agent]:
        """Those that are there and offer a stream."""
        return [agent for agent in self._of_stream(stream) if not agent.has_vanished]

    def is_offered(self, stream: str) -> bool:
        """Whether anybody who is there offers a stream."""
        return any(not agent.has_vanished for agent in self._of_stream(stream))

    def vanished(self, stream: str) -> list[Agent]:
        """Those that offered a stream, and vanished less than a minute ago."""
        return [agent for agent in self._of_stream(stream) if agent.has_vanished]

    def _of_stream(self, stream: str) -> Iterable[Agent]:
        return (self._by_name[name] for name in self._offers.of(stream))

    def offer(self, agent: Agent, streams: tuple[str, ...]) -> set[str]:
        """Note all the streams that an agent offers; returns those that are new."""
        looked_at = dict.fromkeys(streams[:STREAMS_MAX])
        new = [stream for stream in looked_at if stream not in agent.streams]
        taken = {stream for stream in new if self._takes(agent, stream)}
        agent.left_out = len(new) - len(taken) + len(streams[STREAMS_MAX:])
        return taken

    def _takes(self, agent: Agent, stream: str) -> bool:
        offered = len(agent.streams)
        if offered >= STREAMS_MAX or not is_stream_name(stream):
            return False
        if not self._offers.take(agent.agent, agent.key, stream, offered):
            return False
        agent.streams.add(stream)
        return True

    def saw(self, agent: Agent, message: Catalogue, now_us: int) -> None:
        """Note what an agent has seen, as far as there is room for it."""
        self._forget_seen(agent)
        told = [seen for seen in message.streams[:STREAMS_MAX] if seen.stream in agent.streams]
        agent.catalogue, agent.catalogue_bytes = within_limits(told, self._room.free // 2)
        self._room.used += agent.catalogue_bytes
        agent.catalogue_us, agent.looked_us = now_us, None

    def _forget_seen(self, agent: Agent) -> None:
        self._room.used -= agent.catalogue_bytes
        agent.catalogue, agent.catalogue_bytes = {}, 0

    def may_greet(self, peer: bytes, now_us: int) -> bool:
        """Whether a connection that says hello is listened to now; it will say so again."""
        rate = self._greetings.pop(peer, None) or Rate(_GREETINGS_AT_ONCE, _GREETINGS_PER_S)
        if len(self._greetings) >= _GREETERS_MAX:
            del self._greetings[next(iter(self._greetings))]
        self._greetings[peer] = rate
        if not rate.allows(now_us):
            return False
        rate.take(now_us)
        return True

    def hello(self, peer: bytes, message: Hello, now_us: int, key: bytes) -> Agent | None:
        """An agent says who it is; None if there are too many."""
        known = self._by_name.get(message.agent)
        if known is None:
            if self._places.left(key) < 1:
                return None
            self._places.take(key)
        speaker = self._by_peer.get(peer)
        if speaker is not None and speaker is not known:
            self.vanish(speaker)
        if known is not None:
            self._by_peer.pop(known.peer, None)
            self._let_go(known)
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

    def note_feeds(self, agent: Agent) -> None:
        """An agent has said which source jobs are upstream of its streams."""
        if agent.feeds:
            self._feeding.add(agent.agent)

    def feeds(self, job: str) -> tuple[Feed, ...]:
        """The source jobs upstream of a job whose agents these are, as far as it knows them."""
        if not self._feeding:
            return ()
        agents = (self._by_name.get(name) for name in sorted(self._feeding))
        feeds: dict[Feed, None] = {}
        for agent in agents:
            if agent is not None and not agent.has_vanished:
                named = (replace(f, into=f.into or job) for f in agent.feeds)
                feeds |= dict.fromkeys(named)
            if len(feeds) >= FEEDS_MAX:
                break
        return tuple(feeds)[:FEEDS_MAX]

    def forget(self, agent: Agent) -> None:
        """Drop an agent."""
        self._feeding.discard(agent.agent)
        if self._by_name.pop(agent.agent, None) is not None:
            self._places.give(agent.key)
        self._by_peer.pop(agent.peer, None)
        self._let_go(agent)

    def _let_go(self, agent: Agent) -> None:
        """What an agent offered and had seen is void."""
        self._offers.drop(agent.agent, agent.key, agent.streams)
        self._forget_seen(agent)
        agent.streams = set()

    def vanish(self, agent: Agent) -> None:
        """An agent's connection is not heard any more; it may come by another one."""
        self._by_peer.pop(agent.peer, None)
        agent.peer, agent.has_vanished = b"", True

    def go_silent(self, since_us: int, now_us: int) -> list[Agent]:
        """Those that have vanished now, having said nothing since a time."""
        newly = []
        for agent in list(self._by_name.values()):
            if agent.heard_us < now_us - EXPECTED_MS * 1000:
                self.forget(agent)
            if agent.heard_us < since_us and not agent.has_vanished:
                agent.has_vanished = True
                newly.append(agent)
        return newly

    def validate(self) -> None:
        """Check what always holds; for tests."""
        assert len(self._by_peer) <= len(self._by_name) == self._places.used
        self._places.validate()
        for name, agent in self._by_name.items():
            assert agent.agent == name
            assert agent.has_vanished or agent.peer
            assert not agent.peer or self._by_peer[agent.peer] is agent
            assert agent.owed >= 0
            assert len(agent.streams) <= STREAMS_MAX
            assert all(agent.agent in self._offers.of(stream) for stream in agent.streams)
        seen = sum(agent.catalogue_bytes for agent in self._by_name.values())
        assert self._room.used == seen <= self._room.limit
        self._offers.validate()

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


def _cut(feed: Feed) -> Feed:
    return Feed(feed.job[:_FEED_SHOWN], feed.shown[:_FEED_SHOWN], feed.into[:_FEED_SHOWN])
