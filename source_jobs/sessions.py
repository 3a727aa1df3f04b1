"""Connected clients: what each has asked, its credit, and whether it is still there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mql.wire.messages import Connect
from source_jobs.outbox import Outbox
from source_jobs.subscribers import Subscriber

_SHOWN = 200
"""Of a longer name only so many characters are kept."""


@dataclass(slots=True)
class Session:
    """One client's connection."""

    peer: bytes
    client: str
    user: str
    credit: int
    heard_us: int
    key: bytes = b""
    subscribers: dict[int, Subscriber] = field(default_factory=dict)

    def flush(self, outbox: Outbox) -> None:
        """Send what the credit allows, taking turns among the answers."""
        sending = list(self.subscribers.values())
        while sending:
            still = []
            for subscriber in sending:
                size = subscriber.send_next(self.credit, outbox)
                if size is not None:
                    self.credit -= size
                    still.append(subscriber)
            sending = still
        over = [n for n, s in self.subscribers.items() if s.is_over and s.is_empty]
        for request in over:
            del self.subscribers[request]


class Sessions:
    """All clients, by peer."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._by_peer: dict[bytes, Session] = {}

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_peer.values()))

    def __len__(self) -> int:
        return len(self._by_peer)

    def get(self, peer: bytes) -> Session | None:
        """A peer's session."""
        return self._by_peer.get(peer)

    def of(self, peer: bytes, key: bytes) -> Session | None:
        """A peer's session, if it is that of a key."""
        session = self._by_peer.get(peer)
        return session if session is not None and session.key == key else None

    @property
    def is_full(self) -> bool:
        """Whether no more clients are taken."""
        return len(self._by_peer) >= self._most

    def open(self, peer: bytes, message: Connect, now_us: int, key: bytes) -> Session:
        """A client has come."""
        session = Session(
            peer, message.client[:_SHOWN], message.user[:_SHOWN], message.credit, now_us, key
        )
        self._by_peer[peer] = session
        return session

    def close(self, peer: bytes) -> Session | None:
        """A client is gone."""
        return self._by_peer.pop(peer, None)

    def same_client(self, client: str, key: bytes) -> list[bytes]:
        """The peers that are this client."""
        same = client[:_SHOWN], key
        return [s.peer for s in self._by_peer.values() if (s.client, s.key) == same]

    def silent_since(self, time_us: int) -> list[bytes]:
        """The peers that have said nothing since a time."""
        return [s.peer for s in self._by_peer.values() if s.heard_us < time_us]

    def excuse(self, slept_us: int, now_us: int) -> None:
        """The job itself was away until now: nobody was silent in that time."""
        for session in self._by_peer.values():
            session.heard_us = min(session.heard_us + slept_us, now_us)
