"""What `publish` does on the caller's thread, and what it leaves for the background thread.

An intake is one generation of a stream's subscriptions. Everything that callers touch is atomic
without a lock: a deque's append, `+=` of a list, and `next` of a count. Nothing here blocks, raises
or does I/O.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from itertools import chain, repeat
from typing import TYPE_CHECKING

from mql.host.interruption import pass_on

if TYPE_CHECKING:
    from publish_agent.capture.sampler import Sampler

Place = int
"""The place of a subscription in its screen."""
Candidates = tuple[Place, ...]
"""The subscriptions, by their position in the intake, that an event may be for."""

Weights = tuple[int, int]
"""For how many events one stands that was kept: where numbers are added up, and elsewhere.

There 0 means that it is no part of the sample.
"""

Row = tuple[int, Candidates, bytes, Weights]
"""When an event was published (ns since 1970), for whom it may be, its JSON text, its weights."""

ALONE: Weights = (1, 1)
"""Of an event that stands for itself."""

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

_MOST_MS = 2_000
"""So many ms with losses are told apart between two looks."""

_KEPT_MS = 1_000
"""So long a thread may be about to count what it has lost."""

_EVER = -1
"""Stands for any further ms."""

_TIMED = bytes([1, *[0] * 63])
"""One event of so many is timed, not always the first after a drain."""

_TIMES = 64
"""So many times are remembered."""

_SKIPPED, _ACCEPTED = Status.SKIPPED, Status.ACCEPTED
_DROPPED_BUFFER, _DROPPED_UNREADABLE = Status.DROPPED_BUFFER, Status.DROPPED_UNREADABLE
_DROPPED_BUDGET = Status.DROPPED_BUDGET


class Counter:
    """A count that any thread may add to, and one thread reads.

    It is an iterator that gives its status so many times that it never ends: `next` of it is the
    cheapest thing that counts, and what is left of it tells how often.
    """

    __slots__ = ("_left", "ticks")

    def __init__(self, status: Status) -> None:
        self.ticks = repeat(status, sys.maxsize)
        self._left = sys.maxsize

    def add(self) -> Status:
        """Count one more; gives the status."""
        return next(self.ticks)

    def total(self) -> int:
        """How often it was added to."""
        return sys.maxsize - self.ticks.__length_hint__()

    def take(self) -> int:
        """How often it was added to since the last time."""
        before, self._left = self._left, self.ticks.__length_hint__()
        return before - self._left


class Losses:
    """Counts by the ms in which something was lost, since 1970; any thread adds, one reads.

    A window of time that ends between two looks at them lacks just what was lost before its end.
    """

    __slots__ = ("_by_ms", "_clock_ns", "_epoch_ns", "_status")

    def __init__(self, status: Status, clock_ns: Callable[[], int], epoch_ns: int) -> None:
        self._status = status
        self._clock_ns = clock_ns
        self._epoch_ns = epoch_ns
        self._by_ms: dict[int, Counter] = {}

    def add(self) -> Status:
        """Count one more; gives the status."""
        by_ms, ms = self._by_ms, (self._clock_ns() + self._epoch_ns) // 1_000_000
        counter = by_ms.get(ms)
        if counter is None:
            if len(by_ms) >= _MOST_MS:
                ms = _EVER
            counter = by_ms.setdefault(ms, Counter(self._status))
        return counter.add()

    def take(self, now_ms: int) -> list[tuple[int, int]]:
        """When how many were lost since the last time; at the latest now."""
        if not self._by_ms:
            return []
        taken = []
        for ms, counter in self._by_ms.copy().items():
            if number := counter.take():
                taken.append((now_ms if ms == _EVER else min(ms, now_ms), number))
            elif ms < now_ms - _KEPT_MS and ms != _EVER:
                del self._by_ms[ms]
        return taken


class Room:
    """The bytes that all intakes of an agent hold together, as good as threads can know it."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0


class Intake:
    """Screens events and keeps those that a query may want, as bytes, in a bounded buffer.

    What nobody wants is `rejected` before it comes here, or offered in `vain`. With a `sampler` it
    keeps some of the others. `keep_times` and `drop_times` are what it took of its thread's
    processor time, in ns, to keep one, and to leave one out of the sample, of a few.
    """

    __slots__ = ("_clock_ns", "_cpu_ns", "_encode", "_epoch_ns", "_limit", "_room", "_sort",
                 "_timed", "drop_times", "failed", "full", "keep_times", "rejected", "rows",
                 "sampled", "sampler", "upstream", "vain")  # fmt: skip

    def __init__(
        self,
        sort: Callable[[object], Candidates],
        encode: Callable[[object], bytes],
        clock_ns: Callable[[], int],
        cpu_ns: Callable[[], int],
        room: Room,
        limit: int,
        epoch_ns: int = 0,
    ) -> None:
        self._sort = sort
        self.sampler: Sampler | None = None
        self._encode = encode
        self._clock_ns = clock_ns
        self._epoch_ns = epoch_ns
        self._cpu_ns = cpu_ns
        self._room = room
        self._limit = limit
        self.rows: deque[Row] = deque()
        self.rejected, self.vain = Counter(_SKIPPED), Counter(_SKIPPED)
        self.sampled = Counter(_DROPPED_BUDGET)
        self.full = Losses(_DROPPED_BUFFER, clock_ns, epoch_ns)
        self.failed = Losses(_DROPPED_UNREADABLE, clock_ns, epoch_ns)
        self._timed = chain.from_iterable(repeat(_TIMED))
        self.keep_times: deque[int] = deque(maxlen=_TIMES)
        self.drop_times: deque[int] = deque(maxlen=_TIMES)
        self.upstream: deque[tuple[int, int]] = deque()

    def keep(self, event: object) -> Status:
        """Take an event that a query may want, or not. Never raises."""
        began = self._cpu_ns() if next(self._timed) else None
        candidates = self._sort(event)
        if not candidates:
            return self.vain.add()
        sampler = self.sampler
        if sampler is None:
            return self._keep(event, candidates, ALONE, began)
        thrown, large = next(sampler.throws), sampler.large
        if large is not None and large.test(event):
            return self._keep_large(sampler, thrown, event, candidates, began)
        if thrown:
            return self._keep(event, candidates, sampler.weights, began)
        if began is not None:
            self.drop_times.append(self._cpu_ns() - began)
        return self.sampled.add()

    def keep_one_of(self, weights: Weights, event: object) -> Status:
        """Take an event that is wanted, one of so many, whatever the sampler says. Never raises."""
        began = self._cpu_ns() if next(self._timed) else None
        return self._keep(event, self._sort(event), weights, began)

    def keep_large(self, sampler: Sampler, thrown: int, event: object) -> Status:
        """Take an event that is wanted and large, if somebody adds it up. Never raises."""
        began = self._cpu_ns() if next(self._timed) else None
        return self._keep_large(sampler, thrown, event, self._sort(event), began)

    def _keep_large(
        self,
        sampler: Sampler,
        thrown: int,
        event: object,
        candidates: Candidates,
        began: int | None,
    ) -> Status:
        large = sampler.large
        if large is not None and large.admits(candidates):
            return self._keep(event, candidates, large.weights[thrown], began)
        if thrown:
            return self._keep(event, candidates, sampler.weights, began)
        return self.sampled.add()

    def _keep(
        self, event: object, candidates: Candidates, weights: Weights, began: int | None
    ) -> Status:
        rows, room = self.rows, self._room
        if len(rows) >= self._limit or room.used >= room.limit:
            return self.full.add()
        try:
            row = (self._clock_ns(), candidates, self._encode(event), weights)
        except BaseException as error:  # noqa: BLE001 - whatever the caller's objects raise
            pass_on(error)
            return self.failed.add()
        rows.append(row)
        room.used += len(row[2]) + ROW_BYTES
        if began is not None:
            self.keep_times.append(self._cpu_ns() - began)
        return _ACCEPTED

    def lost(self, number: int) -> None:
        """Note that events were lost before they came here. Never raises."""
        noted, ms = self.upstream, (self._clock_ns() + self._epoch_ns) // 1_000_000
        if len(noted) >= _NOTED:
            with suppress(IndexError):  # another thread has taken it
                number += noted.pop()[1]
        noted.append((ms, min(number, MOST_LOST)))

    def take_lost(self, now_ms: int) -> list[tuple[int, int]]:
        """When how many were lost before they came here, since the last time; for one thread."""
        noted, lost = self.upstream, []
        with suppress(IndexError):  # another thread has put it together with a note of its own
            for _ in range(len(noted)):
                ms, number = noted.popleft()
                lost.append((min(ms, now_ms), number))
        return lost

    def validate(self) -> None:
        """Check what always holds where one thread publishes; for tests."""
        assert len(self.rows) <= self._limit

    def drain(self) -> list[Row]:
        """The rows so far, oldest first; for one thread."""
        rows = self.rows
        return [rows.popleft() for _ in range(len(rows))]
