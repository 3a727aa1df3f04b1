"""An agent without its sockets, thread and clock: messages and time in, messages out.

Everything that affects what an agent says lives below this class. The shell calls `connect` when
a connection is there, `disconnect` when it is gone, `receive` for each message, and `tick` when
`next_wake_us` has come; it sends what they return, in order.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from mql.wire.codec import ProtocolError, encode, to_agents
from mql.wire.messages import (
    MAX_WEIGHT,
    Goodbye,
    Heartbeat,
    Hello,
    Message,
)
from mql.wire.upstream import FEEDS_MAX, Feed
from publish_agent.capture.encode import encoder
from publish_agent.capture.event_buffer import Room
from publish_agent.capture.redaction import redaction
from publish_agent.drain.cost.budget import Budget
from publish_agent.drain.cost.schedule import Due
from publish_agent.drain.stream_subscriptions import Subscriptions
from publish_agent.drain.tools import Tools
from publish_agent.protocol.agent_stats import Figures
from publish_agent.protocol.dispatch import HELLO_US, Incoming
from publish_agent.protocol.drains import MARGIN_MS, Drains
from publish_agent.protocol.identity import Identity
from publish_agent.protocol.late_factory import LateFactory, Load, load_factory
from publish_agent.protocol.profile_schedule import Peeks
from publish_agent.protocol.registry import Queries
from publish_agent.protocol.source_job_link import Link
from publish_agent.screen.taker import CLOSED, Taker
from publish_agent.settings import Settings
from publish_agent.stream import Stream

SILENT_US = 3_000_000
"""After so long without a word from a source job, hello is said again."""
_SLEPT_US = 1_500_000
"""A wake that is later than this is the agent's own fault, and held against no source job."""
FORGET_US = 10_000_000
"""After so long without a welcome its queries end."""


def _costs_nothing() -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Send:
    """A message for a link. A heartbeat that cannot be sent is soon tried again."""

    link: int
    frames: list[bytes | memoryview]
    is_heartbeat: bool = False


class AgentState:
    """All of an agent but the shell.

    `clock_ns` gives the time of events; with `epoch_ns` added it is ns since 1970, and the time
    that the shell tells. `cpu_ns` gives the processor time that the thread which calls it has used:
    a caller of `publish`, or of `tick`. A process `is_new` unless another agent of it has failed.
    `load` imports what runs queries, with the first subscription.
    """

    def __init__(
        self,
        settings: Settings,
        identity: Identity,
        clock_ns: Callable[[], int],
        *,
        epoch_ns: int = 0,
        cpu_ns: Callable[[], int] = _costs_nothing,
        is_new: bool = True,
        load: Load = load_factory,
    ) -> None:
        self.settings = settings
        self.identity = identity
        self.budget = Budget(settings)
        self._cpu_ns = cpu_ns
        self._decoder = to_agents()
        self._room = Room(self.budget.buffer_bytes)
        seed = zlib.crc32(identity.agent.encode())
        rules = redaction(settings.redact)
        tools = Tools(
            encode=encoder(rules),
            clock_ns=clock_ns,
            epoch_ns=epoch_ns,
            cpu_ns=cpu_ns,
            room=self._room,
            buffer_events=settings.buffer_events,
            provenance=identity.provenance(settings),
            budget=self.budget,
        )
        factory = LateFactory(tools, rules, seed, load)
        self.queries = Queries(tools, factory, seed, self._offset_ms, is_new=is_new)
        self.links: dict[int, Link] = {}
        self._incoming = Incoming(self.queries, self.links)
        self._due = Due()
        self._drains = Drains(tools, factory, self.queries, self.links, self._offset_ms, self._due)
        self._offered = 0
        self._peeks = Peeks()
        self._lag_us = 0
        self._uncredited = 0
        """Events that links which are no more could not send."""

    def figures(self) -> Figures:
        """This agent in numbers; any thread may ask."""
        links = list(self.links.values())
        running = [each for link in links for each in list(link.queries.values())]
        spent = self.queries.ended
        for each in running:
            spent = spent.plus(each.cost())
        return Figures(
            streams=len(self.queries.streams),
            source_jobs=sum(link.welcomed for link in links),
            queries=len(running),
            waiting=sum(map(self.queries.count_waiting, links)),
            buffered_bytes=self._room.used,
            lag_us=self._lag_us,
            unkept=self._drains.dropped,
            uncredited=self._uncredited + sum(link.dropped for link in links),
            spent=spent,
        )

    def jobs(self) -> frozenset[str]:
        """The random names of the source jobs that it has come to; any thread may ask."""
        return frozenset(link.job for link in list(self.links.values()) if link.job)

    # What the shell calls

    def adopt(self, stream: Stream) -> None:
        """Offer a stream, or one more that is too many, whose events are skipped."""
        self.queries.adopt(stream)

    def connect(self, link: int, now_us: int) -> list[Send]:
        """A connection to a source job is there: say hello."""
        made = self.links.setdefault(link, Link(link, self.budget, self._cpu_ns))
        made.connected = True
        return [self._hello(made, now_us)]

    def disconnect(self, link: int, now_us: int) -> None:
        """A connection is gone. What it asked goes on for some time: it may come back."""
        made = self.links.get(link)
        if made is not None:
            made.connected = False
            if made.welcomed:
                made.heard_us = now_us
            made.lose()

    def answers(self, link: int) -> bool:
        """Whether a source job is there, at the other end of a link."""
        made = self.links.get(link)
        return made is not None and made.welcomed

    def forget(self, link: int) -> None:
        """A link is no more, and never comes back: its queries end."""
        made = self.links.pop(link, None)
        if made is None:
            return
        self._uncredited += made.dropped
        self.queries.forget(made)
        for other in self.links.values():
            if other.twin is made:
                other.twin = None

    def receive(self, link: int, frames: Sequence[bytes], now_us: int) -> list[Send]:
        """A message came. Never raises: what makes no sense is counted."""
        made = self.links.get(link)
        if made is None:
            return []
        try:
            message, _ = self._decoder.decode(frames)
            return [self._send(made, reply) for reply in self._incoming.take(made, message, now_us)]
        except ProtocolError:
            made.bad_frames += 1
            return []

    def unsent(self, send: Send) -> None:
        """The shell could not send: there was no room. The gap in the sequence will tell it."""
        link = self.links.get(send.link)
        if link is None:
            return
        if len(send.frames) > 1:
            link.refund(len(send.frames[1]))
        if send.is_heartbeat:
            link.beat_again()

    def tick(self, now_us: int) -> list[Send]:
        """Do what is due: drain, send, beat, look."""
        self._notice(now_us)
        self.budget.look(now_us, self._cpu_ns())
        sends = list(self._drain(now_us))
        sends.extend(send for link in self.links.values() for send in self._keep_up(link, now_us))
        self._offered = len(self.queries.streams)
        self._peeks.tick(now_us, self.queries.some_streams if self._welcomed() else _no_streams)
        sends.extend(self._renew(now_us))
        self._due.planned_us = self.next_wake_us()
        return sends

    def next_wake_us(self) -> int:
        """When `tick` is to be called next, at the latest."""
        connected = (link for link in self.links.values() if link.connected)
        wakes = [self._peeks.due_us, *map(_next_word_us, connected)]
        if self.queries.active:
            wakes.append(self._due.drain_us)
        renew_us = self.queries.renew_us()
        if renew_us is not None:
            wakes.append(renew_us)
        return min(wakes)

    def end(self) -> None:
        """It is being closed: whoever asks for a new stream only learns what was unseen."""
        self.queries.are_ending = True

    def owes(self) -> bool:
        """Whether a source job that is there has yet to learn what was published unseen."""
        links = (link for link in self.links.values() if link.connected and not link.is_spare)
        return any(self.queries.owes(link) for link in links)

    def goodbye(self, now_us: int, taker: Taker | None = CLOSED) -> list[Send]:
        """The last messages: all that is left, and that nothing will follow. Streams get a taker.

        Where something has been counted that cannot be told, silence has to tell of it.
        """
        for stream in self.queries.streams:
            stream.stream.taker = taker
        sends = list(self._drain(now_us, final=True))
        told = (link for link in self.links.values() if link.welcomed or not link.queries)
        return sends + [self._send(link, Goodbye()) for link in told if link.connected]

    def flush(self, now_us: int) -> list[Send]:
        """Send all that there is, and a heartbeat that each source job answers after it."""
        sends = list(self._drain(now_us, is_flush=True))
        return sends + [self._beat(link, now_us) for link in self._welcomed()]

    def has_come(self, since_us: int) -> bool:
        """Whether whoever asks has answered a heartbeat of this time, or of a later one."""
        return all(link.settled_us >= since_us for link in self.links.values() if link.queries)

    def validate(self) -> None:
        """Check what always holds; for tests."""
        self.queries.validate()
        assert 1 <= self.budget.weight <= MAX_WEIGHT, self.budget.weight
        for number, link in self.links.items():
            assert link.number == number
            link.validate()

    # What is due

    def _notice(self, now_us: int) -> None:
        if self._due.was_set_back(now_us):
            self._peeks.begin_anew(now_us)
            for stream in self.queries.streams:
                stream.begin_anew(now_us)
            for link in self.links.values():
                link.begin_anew(now_us)
        elif (slept_us := self._due.slept_us(now_us)) > _SLEPT_US:
            for link in self._welcomed():
                link.heard_us = min(link.heard_us + slept_us, now_us)

    def _drain(self, now_us: int, *, final: bool = False, is_flush: bool = False) -> Iterator[Send]:
        messages = self._drains.run(now_us, final=final, is_flush=is_flush)
        return (self._send(link, message, payload) for link, message, payload in messages)

    def _keep_up(self, link: Link, now_us: int) -> list[Send]:
        """Hello until welcomed, then a heartbeat every second."""
        if link.welcomed and now_us - link.heard_us > SILENT_US:
            link.lose()
        if link.is_spare:
            link.hello_us = now_us
            return []
        if link.greet and link.connected:
            link.greet = False
            return [self._hello(link, now_us)]
        if not link.welcomed:
            if link.queries and now_us - link.heard_us > FORGET_US:
                self.queries.end_all(link)
            if link.connected and now_us - link.hello_us >= HELLO_US:
                return [self._hello(link, now_us)]
            return []
        is_new = self._offered < len(self.queries.streams)
        if now_us < link.heartbeat_us and not is_new:
            return []
        return [self._beat(link, now_us)]

    def _beat(self, link: Link, now_us: int) -> Send:
        link.beat(now_us)
        return Send(link.number, encode(self._heartbeat(link, now_us)), is_heartbeat=True)

    def _renew(self, now_us: int) -> list[Send]:
        """Plan what waits, make the intakes of changed subscriptions, accept those that are new."""
        told = [*self.queries.plan(now_us), *self.queries.renew(now_us, self.links)]
        return [self._send(link, message) for link, message in told if link.welcomed]

    # What goes out

    def _welcomed(self) -> list[Link]:
        return [link for link in self.links.values() if link.welcomed]

    def _send(self, link: Link, message: Message, payload: bytes | None = None) -> Send:
        return Send(link.number, encode(message, payload))

    def _hello(self, link: Link, now_us: int) -> Send:
        link.hello_us = now_us
        return self._send(link, self._hello_message(now_us))

    def _hello_message(self, now_us: int) -> Hello:
        return self.identity.hello(self.settings, self.queries.names(), now_us)

    def _heartbeat(self, link: Link, now_us: int) -> Heartbeat:
        self._lag_us = self._due.lag()
        return Heartbeat(
            sent_us=now_us,
            watermark_ms=now_us // 1000 - MARGIN_MS + link.offset.value_ms,
            offset_us=link.offset.value_us,
            lag_us=self._lag_us,
            dropped=self._drains.dropped + link.dropped,
            streams=self.queries.names(),
            costs=self._drains.costs(link.told_of()),
            weight=self.budget.weight,
            cpu_share=round(self.budget.cpu_share, 4),
            clock_us=link.offset.uncertainty_us(now_us),
            feeds=self._feeds(),
            waiting=self.queries.waiting(link),
        )

    def _feeds(self) -> tuple[Feed, ...]:
        """The source jobs upstream of its streams."""
        upstreams = (stream.stream.upstream for stream in self.queries.streams)
        feeds = (feed for each in upstreams if each is not None for feed in each.feeds)
        return tuple(islice(dict.fromkeys(feeds), FEEDS_MAX))

    def _offset_ms(self, link: int) -> int:
        made = self.links.get(link)
        return made.offset.value_ms if made else 0


def _next_word_us(link: Link) -> int:
    """When a link is to hear the next heartbeat, or hello."""
    return link.heartbeat_us if link.welcomed else link.hello_us + HELLO_US


def _no_streams(_: int) -> list[Subscriptions]:
    """What there is to look at while nobody could ask for it."""
    return []
