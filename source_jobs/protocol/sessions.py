"""Connected clients: what each has asked, its credit, and whether it is still there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mql.wire.messages import Ask, Connect
from source_jobs.protocol.delivery import Subscriber
from source_jobs.protocol.outbox import Outbox
from source_jobs.protocol.rate_limit import Rate
from source_jobs.shares import Shares

_SHOWN = 200
"""Of a longer name only so many characters are kept."""


@dataclass(slots=True)
class Session:
    """One client's connection.

    `credit` are the bytes that may be sent to it, `under_way` those that were sent, and that it has
    not given back as read: they lie in ZeroMQ, in the network or with the client. Together they are
    never more than `credit_max`, whatever a client grants. `rate` is that of its new queries, and
    `asks` are those that wait for it, by request. Agents know it by its `number`.
    """

    peer: bytes
    client: str
    user: str
    credit: int
    credit_max: int
    heard_us: int
    rate: Rate
    number: int = 0
    key: bytes = b""
    under_way: int = 0
    answered_us: int = 0
    """When an `alive` was answered last."""
    subscribers: dict[int, Subscriber] = field(default_factory=dict)
    asks: dict[int, Ask] = field(default_factory=dict)
    _next: int = 0
    """The request whose answer is sent next, where there was more to send than time."""

    @property
    def owner(self) -> bytes:
        """Whose it is: its key, or, without keys, itself."""
        return self.key or self.peer

    def grant(self, size: int) -> None:
        """The client has read so much, and grants it again."""
        self.under_way = max(0, self.under_way - size)
        self.credit = min(self.credit + size, self.credit_max - self.under_way)

    def spend(self, size: int) -> None:
        """So much is on its way to the client."""
        self.credit -= size
        self.under_way += size

    @property
    def queued_bytes(self) -> int:
        """What waits for the client here, and what it has not read of what was sent."""
        return self.under_way + sum(each.queued_bytes for each in self.subscribers.values())

    def flush(self, outbox: Outbox, is_over: Callable[[], bool]) -> bool:
        """Send what the credit allows, taking turns among the answers, until the time is over.

        Returns whether it came to the end; if not, it goes on with the next answer.
        """
        requests = list(self.subscribers)
        first = requests.index(self._next) if self._next in self.subscribers else 0
        sending = deque(self.subscribers[n] for n in [*requests[first:], *requests[:first]])
        while sending:
            subscriber = sending.popleft()
            size = subscriber.send_next(self.credit, outbox)
            if size is not None:
                self.spend(size)
                sending.append(subscriber)
                if is_over():
                    break
        self._next = sending[0].request if sending else 0
        over = [n for n, s in self.subscribers.items() if s.is_over and s.is_empty]
        for request in over:
            del self.subscribers[request]
        return not sending


class Sessions:
    """All clients, by peer."""

    def __init__(self, most: int, credit_max: int) -> None:
        self._places = Shares(most)
        self._credit_max = credit_max
        self._by_peer: dict[bytes, Session] = {}
        self._last_number = 0
        self._unsent: list[bytes] = []
        """Those who had no turn when there was more to send than time."""

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

    def has_room(self, key: bytes) -> bool:
        """Whether one more client of a key is taken."""
        return self._places.left(key) > 0

    def validate(self) -> None:
        """Check what always holds; for tests."""
        self._places.validate()
        assert self._places.used == len(self._by_peer)

    def open(self, peer: bytes, message: Connect, now_us: int, key: bytes, rate: Rate) -> Session:
        """A client has come."""
        self._last_number += 1
        session = Session(
            peer=peer,
            client=message.client[:_SHOWN],
            user=message.user[:_SHOWN],
            credit=min(message.credit, self._credit_max),
            credit_max=self._credit_max,
            heard_us=now_us,
            rate=rate,
            number=self._last_number,
            key=key,
        )
        self._by_peer[peer] = session
        self._places.take(key)
        return session

    def close(self, peer: bytes) -> Session | None:
        """A client is gone."""
        session = self._by_peer.pop(peer, None)
        if session is not None:
            self._places.give(session.key)
        return session

    def same_client(self, client: str, key: bytes) -> list[bytes]:
        """The peers that are this client."""
        same = client[:_SHOWN], key
        return [s.peer for s in self._by_peer.values() if (s.client, s.key) == same]

    def flush(self, outbox: Outbox, is_over: Callable[[], bool]) -> bool:
        """Send what credit allows, in turn by client, until the time is over; whether that is all.

        If not, it goes on with those who had no turn.
        """
        waiting, self._unsent = list(dict.fromkeys([*self._unsent, *self._by_peer])), []
        for place, peer in enumerate(waiting):
            session = self._by_peer.get(peer)
            if session is not None and not session.flush(outbox, is_over):
                self._unsent = [*waiting[place + 1 :], peer]
                return False
        return True

    def silent_since(self, time_us: int) -> list[bytes]:
        """The peers that have said nothing since a time."""
        return [s.peer for s in self._by_peer.values() if s.heard_us < time_us]

    def excuse(self, slept_us: int, now_us: int) -> None:
        """The job itself was away until now: nobody was silent in that time."""
        for session in self._by_peer.values():
            session.heard_us = min(session.heard_us + slept_us, now_us)
