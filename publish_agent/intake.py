"""What `publish` does on the caller's thread, and what it leaves for the background thread.

An intake is one generation of a stream's subscriptions. Everything that callers touch is atomic
without a lock: a deque's append and `next` of a count. Nothing here blocks, raises or does I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from itertools import count
from typing import Protocol

Candidates = tuple[int, ...]
"""The subscriptions, by their position in the intake, that an event may be for."""

Row = tuple[int, Candidates, bytes]
"""When an event was published (ns since 1970), for whom it may be, and its JSON text."""


class Status(IntEnum):
    """What became of a published event."""

    SKIPPED = 0
    """Nobody asks for events of this stream, or no query wants this one."""
    ACCEPTED = 1
    """A query may want it: it is in the buffer."""
    DROPPED_BUFFER = 2
    """The buffer is full; the queries that run are told so."""
    DROPPED_UNREADABLE = 3
    """It is no event, or one of its values cannot be read; the queries that run are told so."""
    CLOSED = 4
    """The agent is closed."""


MOST_LOST = 1 << 31
"""No more are noted at once."""

_NOTED = 100
"""Notes of lost events that wait; further ones are put together."""

_SKIPPED, _ACCEPTED = Status.SKIPPED, Status.ACCEPTED
_DROPPED_BUFFER, _DROPPED_UNREADABLE = Status.DROPPED_BUFFER, Status.DROPPED_UNREADABLE


class Taker(Protocol):
    """What a stream hands its events to."""

    def offer(self, event: object) -> Status:
        """Take an event, or not. Never raises."""

    def lost(self, number: int) -> None:
        """Note that events were lost before they came here. Never raises."""


class Counter:
    """A count that any thread may add to, and one thread reads."""

    __slots__ = ("_reads", "_taken", "add")

    def __init__(self) -> None:
        self.add: Callable[[], int] = count().__next__
        self._reads = 0
        self._taken = 0

    def take(self) -> int:
        """How often it was added to since the last time; looking takes a number, too."""
        total = self.add() - self._reads
        self._reads += 1
        new, self._taken = total - self._taken, total
        return new


class Room:
    """The bytes that all intakes of an agent hold together, as good as threads can know it."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0


class Intake:
    """Screens events and keeps those that a query may want, as bytes, in a bounded buffer."""

    __slots__ = ("_clock_ns", "_encode", "_limit", "_room", "failed", "full", "rejected", "rows",
                 "screen", "upstream")  # fmt: skip

    def __init__(
        self,
        screen: Callable[[object], Candidates],
        encode: Callable[[object], bytes],
        clock_ns: Callable[[], int],
        room: Room,
        limit: int,
    ) -> None:
        self.screen = screen
        self._encode = encode
        self._clock_ns = clock_ns
        self._room = room
        self._limit = limit
        self.rows: deque[Row] = deque()
        self.rejected, self.full, self.failed = Counter(), Counter(), Counter()
        self.upstream: deque[int] = deque()

    def offer(self, event: object) -> Status:
        """Take an event, or not. Never raises."""
        candidates = self.screen(event)
        if not candidates:
            self.rejected.add()
            return _SKIPPED
        rows, room = self.rows, self._room
        if len(rows) >= self._limit or room.used >= room.limit:
            self.full.add()
            return _DROPPED_BUFFER
        try:
            row = (self._clock_ns(), candidates, self._encode(event))
        except Exception:  # noqa: BLE001 - whatever the caller's objects raise
            self.failed.add()
            return _DROPPED_UNREADABLE
        rows.append(row)
        room.used += len(row[2])
        return _ACCEPTED

    def lost(self, number: int) -> None:
        """Note that events were lost before they came here. Never raises."""
        noted = self.upstream
        if len(noted) >= _NOTED:
            with suppress(IndexError):  # another thread has taken it
                number += noted.pop()
        noted.append(number)

    def take_lost(self) -> int:
        """How many were lost before they came here, since the last time; for one thread."""
        noted = self.upstream
        return min(sum(noted.popleft() for _ in range(len(noted))), MOST_LOST) if noted else 0

    def validate(self) -> None:
        """Check what always holds where one thread publishes; for tests."""
        assert len(self.rows) <= self._limit

    def drain(self) -> list[Row]:
        """The rows so far, oldest first; for one thread."""
        rows = self.rows
        return [rows.popleft() for _ in range(len(rows))]


class Peek:
    """Takes one event to learn from, and counts; what subscriptions want goes on to them."""

    __slots__ = ("_encode", "example", "inner", "seen")

    def __init__(self, encode: Callable[[object], bytes], inner: Intake | None) -> None:
        self._encode = encode
        self.inner = inner
        self.seen = Counter()
        self.example: bytes | None = None

    def offer(self, event: object) -> Status:
        """Take an event, or not. Never raises."""
        if self.example is None:
            try:
                self.example = self._encode(event)
            except Exception:  # noqa: BLE001 - whatever the caller's objects raise
                self.example = b""
        if self.inner is None:
            self.seen.add()
            return _SKIPPED
        return self.inner.offer(event)

    def lost(self, number: int) -> None:
        """Note that events were lost before they came here. Never raises."""
        if self.inner is not None:
            self.inner.lost(number)


class Closed:
    """Takes nothing any more."""

    __slots__ = ()

    def offer(self, event: object) -> Status:  # noqa: ARG002 - the protocol's shape
        """Take nothing."""
        return Status.CLOSED

    def lost(self, number: int) -> None:
        """Nobody is there to be told."""


class Stream:
    """Events of one name. `publish` is all that a service needs."""

    __slots__ = ("intake", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.intake: Taker | None = None

    def publish(self, event: object) -> Status:
        """Offer an event to the queries that run now. Never blocks or raises.

        The event is a dict (or a dataclass or `msgspec.Struct`). It is not kept: what a query
        needs of it has been copied when this returns.
        """
        intake = self.intake
        if intake is None:
            return _SKIPPED
        return intake.offer(event)

    def lost(self, number: int) -> None:
        """Say that so many events of this stream were lost before they could be published.

        The queries that run now are told so (`upstream` in their ledger). Never blocks or raises.
        """
        intake = self.intake
        if intake is not None and type(number) is int and number > 0:
            intake.lost(number)
