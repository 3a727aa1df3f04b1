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
from publish_agent.link import MAX_CREDIT, Link
from publish_agent.queries import Queries

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
                return self._queries.subscribe(link, message) if link.welcomed else []
            case Unsubscribe(query):
                self._queries.unsubscribe(link, query)
            case Credit(size):
                if not 0 <= size <= MAX_CREDIT:
                    raise ProtocolError(f"a credit of {size} bytes")
                link.refund(size)
            case Beat(echo_us, received_us, sent_us):
                if not link.offset.add(echo_us, received_us, sent_us, now_us):
                    raise ProtocolError("the times of a beat cannot be")
            case Look():
                return [Catalogue(tuple(s.log.seen() for s in self._queries.streams))]
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
        for running in link.welcome(message.job, message.credit):
            self._queries.end(link, running)
        link.heard_us = link.heartbeat_us = now_us
        link.offset.add(message.hello_us, message.received_us, message.sent_us, now_us)
