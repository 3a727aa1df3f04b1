"""What a source job says to an agent, and what follows at once; the rest is for the next tick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from mql.wire.codec import ProtocolError
from mql.wire.messages import (
    PROTOCOL,
    Beat,
    Catalogue,
    Credit,
    Look,
    Message,
    Subscribe,
    ToAgent,
    Unknown,
    Unsubscribe,
    Welcome,
)
from publish_agent.protocol.registry import Queries
from publish_agent.protocol.source_job_link import MAX_CREDIT, Link

HELLO_US = 1_000_000
_SOONEST_US = 100_000
"""Between hellos, however often a source job says that it knows nobody."""


class Incoming:
    """Takes messages. Raises ProtocolError for those that make no sense."""

    def __init__(self, queries: Queries, links: Mapping[int, Link]) -> None:
        self._queries = queries
        self._links = links

    def take(self, link: Link, message: ToAgent, now_us: int) -> list[Message]:
        """Take a message; give the answers."""
        if isinstance(message, Welcome):
            self._welcome(link, message, now_us)
            return []
        if isinstance(message, Unknown):
            link.lose()
            if now_us - link.hello_us >= _SOONEST_US:
                link.hello_us = now_us - HELLO_US
            return []
        link.heard_us = now_us
        match message:
            case Subscribe():
                return self._queries.subscribe(link, message, now_us) if link.welcomed else []
            case Unsubscribe(query):
                self._queries.unsubscribe(link, query)
            case Credit(size):
                if not 0 <= size <= MAX_CREDIT:
                    raise ProtocolError(f"a credit of {size} bytes")
                link.refund(size)
            case Beat(echo_us, received_us, sent_us, slews):
                if not link.offset.add(echo_us, received_us, sent_us, now_us, slews=slews):
                    raise ProtocolError("the times of a beat cannot be")
                if link.welcomed:
                    link.settle(echo_us)
                    self._queries.settle(echo_us)
            case Look():
                return [Catalogue(tuple(s.taps.log.seen() for s in self._queries.streams))]
            case _:
                assert_never(message)
        return []

    def _welcome(self, link: Link, message: Welcome, now_us: int) -> None:
        if message.protocol != PROTOCOL:
            raise ProtocolError(f"protocol {message.protocol}")
        # Two addresses of one source job: it takes our last hello's, and each query on one of them.
        twins = [o for o in self._links.values() if o is not link and o.job == message.job]
        link.twin = next((twin for twin in twins if twin.welcomed), None)
        if link.twin is not None:
            self._queries.end_all(link)
            link.lose()
            link.twin.greet = True
            return
        for twin in twins:
            self._queries.end_all(twin)
        if link.job != message.job:
            self._queries.end_all(link)
        link.welcome(message.job, message.credit)
        link.heard_us = link.heartbeat_us = now_us
        times = message.hello_us, message.received_us, message.sent_us
        link.offset.add(*times, now_us, slews=message.slews)
