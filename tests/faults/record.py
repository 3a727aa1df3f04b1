"""What a service has published: a file in memory that outlives the service, however it ends.

A header of numbers, then one number for each event: when `publish` was called, in µs, and what it
returned. The service writes, the harness reads; the other way round go only the rate, the pause and
whether the publishing thread keeps the interpreter to itself.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mql.columnar.layout import Ints
from publish_agent.capture.event_buffer import Status

CAPACITY = 1 << 20
"""Events of one service that are kept."""
UNDER_WAY = 7
"""In place of a status: `publish` had been called, and had not returned."""

_PUBLISHED, _RATE, _PAUSED, _STARVES = range(4)
_HEADER = 8
_STATUS_BITS = 3


class Record:
    """The record of one service, which `create` makes and any process may open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._numbers: Ints = np.memmap(path, np.int64, mode="r+", shape=(_HEADER + CAPACITY,))

    @classmethod
    def create(cls, path: Path, rate: int) -> Record:
        """Make an empty record, sparse on disk; `rate` in events a second."""
        with path.open("wb") as file:
            file.truncate((_HEADER + CAPACITY) * 8)
        record = cls(path)
        record._numbers[_RATE] = rate
        return record

    @property
    def published(self) -> int:
        """How many events have been published, the one under way included."""
        return int(self._numbers[_PUBLISHED])

    @property
    def rate(self) -> int:
        """Events a second; 0 while paused."""
        return 0 if self._numbers[_PAUSED] else int(self._numbers[_RATE])

    def pause(self, *, paused: bool) -> None:
        """Have the service publish nothing, or go on."""
        self._numbers[_PAUSED] = paused

    @property
    def starves(self) -> bool:
        """Whether the service's own thread is to starve all others."""
        return bool(self._numbers[_STARVES])

    def starve(self, *, starves: bool) -> None:
        """Have the service's own thread keep the interpreter, or wait as others do."""
        self._numbers[_STARVES] = starves

    def begin(self, number: int, time_us: int) -> None:
        """Note that an event is about to be published."""
        self._numbers[_HEADER + number] = time_us << _STATUS_BITS | UNDER_WAY
        self._numbers[_PUBLISHED] = number + 1

    def end(self, number: int, time_us: int, status: Status) -> None:
        """Note what became of it."""
        self._numbers[_HEADER + number] = time_us << _STATUS_BITS | status

    def times_us(self) -> Ints:
        """When each event was published, by the service's clock."""
        return self._events() >> _STATUS_BITS

    def asked(self) -> Ints:
        """The numbers of the events that a query wanted, as the service knew when it published."""
        statuses = self._events() & UNDER_WAY
        return np.flatnonzero((statuses != Status.SKIPPED) & (statuses != Status.CLOSED))

    def count(self, status: Status) -> int:
        """How often `publish` returned so."""
        return int(((self._events() & UNDER_WAY) == status).sum())

    def _events(self) -> Ints:
        return np.array(self._numbers[_HEADER : _HEADER + self.published])
