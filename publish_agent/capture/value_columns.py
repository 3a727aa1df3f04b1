"""Events of which every one counts, kept as what is needed of them: a few plain values each.

Most windowed aggregates count every event and need one to three of its properties. To copy those is
cheaper than to encode the event. What is kept are texts, numbers, booleans and None, of a size that
is known; an event with anything else is kept as text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np
import pyarrow as pa

from mql.columnar.build import column_of
from mql.columnar.layout import Ints
from mql.events.cells import Cells
from mql.language.syntax import Property
from publish_agent.capture.event_buffer import Intake, Room
from publish_agent.capture.event_target import EventTarget
from publish_agent.capture.native import binding
from publish_agent.capture.native.binding import (
    ENDS,
    KINDS,
    MARK_BYTES,
    MARKS_AT_ONCE,
    PATTERN,
    VALUES,
    Steps,
)

LONGEST = 1_000
"""Characters of a text that is kept as it is."""

_MARKED = 256
"""So many events of a drain are marked with their time each: who publishes some may pause then."""
_NEAR_NS = 1_000_000
"""So soon after one that is marked come others later, while they come as fast as before."""
_PATTERNS = {
    each: bytes(place % each == 0 for place in range(PATTERN)) for each in (PATTERN, 16, 1)
}
"""Which events of a pattern are marked, where one of so many is."""
_EACH = _PATTERNS[1]
_BURST_NS = 20_000_000
"""Events that come together in less are a burst, after which a pause is to be expected."""
_UNSURE_NS = 10_000_000
"""Times are good to this."""
_VALUE_BYTES = 100
"""What a value takes, about, where it is kept as an object of Python, and is no long text."""


@dataclass(frozen=True, slots=True)
class Needs:
    """All that a query needs of an event, in the order in which it is kept.

    `keys` are those of its properties that are texts, mostly. With `in_order` one event has to stay
    behind the other, also where one of them cannot be kept so.
    """

    paths: tuple[Property, ...]
    keys: frozenset[Property] = frozenset()
    in_order: bool = False

    def __or__(self, other: Needs) -> Needs:
        paths = tuple(dict.fromkeys(self.paths + other.paths))
        return Needs(paths, self.keys | other.keys, self.in_order or other.in_order)


Span = tuple[int, int]
"""Two times."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The values of events by property, and when those were published (clock, ns).

    The first `sizes[0]` of them at `times[0]`, the next at `times[1]`, and so on. Those in `unsure`
    were published between two times (ns), and are taken for as early as that.
    """

    columns: list[pa.Array]
    times: Ints
    sizes: Ints
    unsure: tuple[Span, ...] = ()


class Columns:
    """The values that a query needs, of at most 8 properties, of events.

    Compiled code appends them to arrays of its own (`copier`), code made in Python to `values`, one
    event after the other (of no property, None). `ticks`, which is `pattern` over and over, says of
    each event, as 1 or 0, whether it is to be marked.
    """

    __slots__ = ("_arrays", "_clock_ns", "_held", "_in_order", "_keys", "_last_ns", "_limit",
                 "_listed", "_marked", "_pattern", "_room", "_taken_ns", "_width", "ticks",
                 "values")  # fmt: skip

    def __init__(self, needs: Needs, clock_ns: Callable[[], int], room: Room, limit: int) -> None:
        self._keys = tuple(path in needs.keys for path in needs.paths)
        self._width = len(needs.paths)
        self._in_order = needs.in_order
        self._arrays: object = None
        self.values: list[object] = []
        self._listed: list[tuple[int, int]] = []
        self._pattern = bytearray(_EACH)
        self.ticks = chain.from_iterable(repeat(self._pattern))
        self._clock_ns = clock_ns
        self._room = room
        self._limit = limit
        self._last_ns = 0
        self._taken_ns = clock_ns()
        self._marked = 0, 0
        """The number of rows when marks were granted last, and the time (ns)."""
        self._held = 0

    def copier(self, paths: Sequence[Steps], intake: Intake) -> EventTarget | None:
        """What copies the values at the paths by compiled code, and keeps odd events as text."""
        if self._arrays is None:
            self._arrays = binding.columns(self._keys)
        if self._arrays is None:
            return None
        marks = (self._pattern, self._grant, self._clock_ns)
        rules = LONGEST, self._limit, self._in_order
        to = (tuple(paths), *rules, *marks, intake.full.add, self._arrays)
        return binding.copier(to, intake)

    def mark(self) -> bool:
        """Note the time of an event that comes; False if there is no room for it. Never raises."""
        rows = len(self.values) // max(self._width, 1)
        time_ns = self._grant(rows, len(self.values) * _VALUE_BYTES, 1)
        if time_ns is not None:
            self._listed.append((rows, time_ns))
        return time_ns is not None

    def _grant(self, rows: int, size: int, marks: int = MARKS_AT_ONCE) -> int | None:
        """The time, if there is room for so many marks behind rows of so many bytes."""
        room = self._room
        room.used += max(size - self._held, 0)
        self._held = size
        if rows >= self._limit or room.used >= room.limit:
            self._pattern[:] = _EACH  # until there is
            return None
        room.used += MARK_BYTES * marks
        now_ns = self._clock_ns()
        self._mark_some(rows, now_ns)
        return now_ns

    def _mark_some(self, rows: int, now_ns: int) -> None:
        """Mark as many of the events to come as it takes at their present rate.

        They may come in bursts, with pauses between: their rate since the last drain counts, too.
        """
        (rows_before, before_ns), self._marked = self._marked, (rows, now_ns)
        number = rows - rows_before
        if number > 0 and rows >= _MARKED:
            lately = _NEAR_NS * number // max(now_ns - before_ns, 1)
            in_all = _NEAR_NS * rows // max(now_ns - self._taken_ns, _BURST_NS)
            most = min(lately, in_all, self._limit - rows)
            self._pattern[:] = _PATTERNS[next((each for each in _PATTERNS if each <= most), 1)]

    def take(self) -> Taken | None:
        """What has been kept so far, oldest first; None if nothing has. For one thread."""
        columns, marks, rows = self._listed_so_far() if self._arrays is None else self._written()
        self._taken_ns = self._clock_ns()
        if not rows:
            return None
        self._pattern[:] = _EACH
        self._marked, self._held = (0, 0), 0
        places, known = marks.T
        before = self._last_ns or (int(known[0]) if len(known) else self._clock_ns())
        ends = np.concatenate(((0,), np.minimum(np.maximum.accumulate(places), rows), (rows,)))
        times = np.concatenate(((before,), known))
        self._last_ns = int(times[-1])
        sizes = ends[1:] - ends[:-1]
        return Taken(columns, times, sizes, _unsure(times, sizes, self._taken_ns))

    def _written(self) -> tuple[list[pa.Array], Ints, int]:
        """What compiled code has appended: the columns, the marks (row, ns), how many rows."""
        rows, marks, columns = binding.take_columns(self._arrays)
        made = []
        for is_key, written in zip(self._keys, columns, strict=True) if rows else ():
            kinds, values, ends, text, seen = written
            cells = Cells(
                np.frombuffer(kinds, KINDS),
                np.frombuffer(values, VALUES),
                np.frombuffer(ends, ENDS),
                np.frombuffer(text, np.uint8),
                numbered=is_key,
            )
            made.append(cells.column(seen))
        return made, np.frombuffer(marks, np.int64).reshape(-1, 2), rows

    def _listed_so_far(self) -> tuple[list[pa.Array], Ints, int]:
        """The same of what is in `values`."""
        size = len(self.values)
        values, marks = self.values[:size], self._listed[:]
        del self.values[:size], self._listed[: len(marks)]
        # A thread that is between its mark and its values leaves them to the next time.
        columns = [column_of(values[i :: self._width]) for i in range(self._width)]
        made = np.array(marks, np.int64).reshape(-1, 2)
        return columns, made, size // max(self._width, 1)


def _unsure(times: Ints, sizes: Ints, taken_ns: int) -> tuple[Span, ...]:
    """The pauses in which events came that are not marked: they came before, or behind."""
    nexts = np.append(times[1:], taken_ns)
    unmarked = sizes > 1
    unmarked[0] = sizes[0] > 0
    places = np.flatnonzero(unmarked & (nexts - times > _UNSURE_NS))
    return tuple(zip(times[places].tolist(), nexts[places].tolist(), strict=True))
