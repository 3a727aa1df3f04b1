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

from publish_agent.sampler import Sampler

Candidates = tuple[int, ...]
"""The subscriptions, by their position in the intake, that an event may be for."""

Row = tuple[int, Candidates, bytes, int]
"""When an event was published (ns since 1970), for whom it may be, its JSON text, its weight."""

ROW_BYTES = 200
"""What a row takes in memory beside its text."""


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
    DROPPED_BUDGET = 5
    """The agent is over its budget, and samples; the queries that run are told at which rate."""


MOST_LOST = 1 << 31
"""No more are noted at once."""

_NOTED = 100
"""Notes of lost events that wait; further ones are put together."""

_TIMED = 63
"""Of the events that are kept those are timed whose number in the buffer has none of these bits."""

_TIMES = 64
"""So many times are remembered."""

_SKIPPED, _ACCEPTED = Status.SKIPPED, Status.ACCEPTED
_DROPPED_BUFFER, _DROPPED_UNREADABLE = Status.DROPPED_BUFFER, Status.DROPPED_UNREADABLE
_DROPPED_BUDGET = Status.DROPPED_BUDGET


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
    """Screens events and keeps those that a query may want, as bytes, in a bounded buffer.

    With a `sampler` it keeps some of them. `times` are what keeping one took, in ns of its
    thread's processor time, of a few.
    """

    __slots__ = ("_clock_ns", "_cpu_ns", "_encode", "_limit", "_room", "failed", "full", "rejected",
                 "rows", "sampled", "sampler", "screen", "times", "upstream")  # fmt: skip

    def __init__(
        self,
        screen: Callable[[object], Candidates],
        encode: Callable[[object], bytes],
        clock_ns: Callable[[], int],
        cpu_ns: Callable[[], int],
        room: Room,
        limit: int,
    ) -> None:
        self.screen = screen
        self.sampler: Sampler | None = None
        self._encode = encode
        self._clock_ns = clock_ns
        self._cpu_ns = cpu_ns
        self._room = room
        self._limit = limit
        self.rows: deque[Row] = deque()
        self.rejected, self.full, self.failed = Counter(), Counter(), Counter()
        self.sampled = Counter()
        self.times: deque[int] = deque(maxlen=_TIMES)
        self.upstream: deque[int] = deque()

    def offer(self, event: object) -> Status:
        """Take an event, or not. Never raises."""
        candidates = self.screen(event)
        if not candidates:
            self.rejected.add()
            return _SKIPPED
        sampler, weight = self.sampler, 1
        if sampler is not None:
            if not sampler.takes():
                self.sampled.add()
                return _DROPPED_BUDGET
            weight = sampler.weight
        rows, room = self.rows, self._room
        held = len(rows)
        if held >= self._limit or room.used >= room.limit:
            self.full.add()
            return _DROPPED_BUFFER
        began = None if held & _TIMED else self._cpu_ns()
        try:
            row = (self._clock_ns(), candidates, self._encode(event), weight)
        except Exception:  # noqa: BLE001 - whatever the caller's objects raise
            self.failed.add()
            return _DROPPED_UNREADABLE
        rows.append(row)
        room.used += len(row[2]) + ROW_BYTES
        if began is not None:
            self.times.append(self._cpu_ns() - began)
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
        noted, lost = self.upstream, 0
        with suppress(IndexError):  # another thread has put it together with a note of its own
            for _ in range(len(noted)):
                lost += noted.popleft()
        return min(lost, MOST_LOST)

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
