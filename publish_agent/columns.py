"""Events of which every one counts, kept as what is needed of them: a few plain values each.

Most windowed aggregates count every event and need one to three of its properties. To copy those is
cheaper than to encode the event. What is kept are texts, numbers, booleans and None, of a size that
is known; an event with anything else is kept as text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np

from mql.batch import Ints
from mql.syntax import Property
from publish_agent.intake import Room

LONGEST = 1_000
"""Characters of a text that is kept as it is."""
MAX_PROPERTIES = 8

_MARKED = 256
"""So many events of a drain are marked each, with their time and whether there is room,"""
_PATTERNS = {1: bytes([1]) * 64, 16: bytes([1, *[0] * 15]) * 4, 64: bytes([1, *[0] * 63])}
"""and then so many of one in 16, then one in 64: so fast do they come, that is within 10 ms."""
_DENSE = _PATTERNS[1]
_VALUE_BYTES = 100
"""What a value takes, about, if it is no long text."""


@dataclass(frozen=True, slots=True)
class Needs:
    """All that a query needs of an event, in the order in which it is kept.

    `keys` are those of its properties that are texts, mostly.
    """

    paths: tuple[Property, ...]
    keys: frozenset[Property] = frozenset()

    def __or__(self, other: Needs) -> Needs:
        paths = tuple(dict.fromkeys(self.paths + other.paths))
        return Needs(paths, self.keys | other.keys)


@dataclass(frozen=True, slots=True)
class Taken:
    """The values of `len(times)` events by property, and when those were published (clock, ns)."""

    columns: list[list[object]]
    times: Ints


class Columns:
    """The values of `width` properties (1 to 8) of events, one event after the other.

    `ticks` says of each event, as 1 or 0, whether it is to be marked: `pattern`, over and over.
    """

    __slots__ = ("_clock_ns", "_last_ns", "_limit", "_marks", "_room", "pattern", "ticks",
                 "values", "width")  # fmt: skip

    def __init__(self, width: int, clock_ns: Callable[[], int], room: Room, limit: int) -> None:
        self.width = width
        self.values: list[object] = []
        self._marks: list[tuple[int, int]] = []
        self.pattern = bytearray(_DENSE)
        self.ticks = chain.from_iterable(repeat(self.pattern))
        self._clock_ns = clock_ns
        self._room = room
        self._limit = limit * width
        self._last_ns = 0

    def mark(self) -> bool:
        """Note the time of an event that comes; False if there is no room for it. Never raises."""
        room, marks, size = self._room, self._marks, len(self.values)
        if size >= self._limit or room.used >= room.limit:
            self.pattern[:] = _DENSE  # until there is
            return False
        marks.append((size, self._clock_ns()))
        stands_for = 1 if len(marks) < _MARKED else 16 if len(marks) < 2 * _MARKED else 64
        if len(marks) in (_MARKED, 2 * _MARKED):
            self.pattern[:] = _PATTERNS[stands_for]
        room.used += stands_for * self.width * _VALUE_BYTES
        return True

    def take(self) -> Taken | None:
        """What has been kept so far, oldest first; None if nothing has. For one thread."""
        size = len(self.values)
        if not size:
            return None
        values, marks = self.values[:size], self._marks[:]
        del self.values[:size], self._marks[: len(marks)]
        self.pattern[:] = _DENSE
        # A thread that is between its mark and its values leaves them to the next time.
        number = size // self.width
        places = np.fromiter((place // self.width for place, _ in marks), np.int64, len(marks))
        known = np.fromiter((time_ns for _, time_ns in marks), np.int64, len(marks))
        before = self._last_ns or (marks[0][1] if marks else self._clock_ns())
        known = np.concatenate([[before], known])
        last = np.searchsorted(np.maximum.accumulate(places), np.arange(number), side="right")
        times = known[last]
        self._last_ns = int(times[-1])
        return Taken([values[i :: self.width] for i in range(self.width)], times)
