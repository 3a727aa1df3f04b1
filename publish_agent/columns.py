"""Events of which every one counts, kept as what is needed of them: a few plain values each.

Most windowed aggregates count every event and need one to three of its properties. To copy those is
cheaper than to encode the event. What is kept are texts, numbers, booleans and None, of a size that
is known; an event with anything else is kept as text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mql.batch import Ints
from mql.syntax import Property
from publish_agent.intake import Room

LONGEST = 1_000
"""Characters of a text that is kept as it is."""
MAX_PROPERTIES = 8

_EACH = 256
"""So many events at first are looked at each: for its time, and whether there is room."""
_NEXT = 16
"""And then one of so many: where they come so fast, the others are within 10 ms of it."""
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
    """The values of `width` properties (1 to 8) of events, one event after the other."""

    __slots__ = ("_clock_ns", "_last_ns", "_limit", "_marks", "_room", "each", "step", "values",
                 "width")  # fmt: skip

    def __init__(self, width: int, clock_ns: Callable[[], int], room: Room, limit: int) -> None:
        self.width = width
        self.values: list[object] = []
        self.each, self.step = _EACH * width, _NEXT * width
        self._marks: list[tuple[int, int]] = []
        self._clock_ns = clock_ns
        self._room = room
        self._limit = limit * width
        self._last_ns = 0

    def mark(self, size: int) -> bool:
        """Note the time of an event beyond so many values; False if there is no room for it."""
        room = self._room
        if size >= self._limit or room.used >= room.limit:
            return False
        self._marks.append((size, self._clock_ns()))
        room.used += (self.width if size < self.each else self.step) * _VALUE_BYTES
        return True

    def take(self) -> Taken | None:
        """What has been kept so far, oldest first; None if nothing has. For one thread."""
        size = len(self.values)
        if not size:
            return None
        values, marks = self.values[:size], self._marks[:]
        del self.values[:size], self._marks[: len(marks)]
        # A thread that is between its mark and its values leaves them to the next time.
        number = size // self.width
        places = np.fromiter((place // self.width for place, _ in marks), np.int64, len(marks))
        known = np.fromiter((time_ns for _, time_ns in marks), np.int64, len(marks))
        known = np.concatenate([[self._last_ns or known[0]], known])
        last = np.searchsorted(np.maximum.accumulate(places), np.arange(number), side="right")
        times = known[last]
        self._last_ns = int(times[-1])
        return Taken([values[i :: self.width] for i in range(self.width)], times)
