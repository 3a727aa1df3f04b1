"""Windows of time: which there are, which an event belongs to, and when one closes.

With a span of 4 and a shift of 2 (the panes are gcd(4, 2) = 2 long):

    time    0   1   2   3   4   5   6   7   8
    panes   |   0   |   1   |   2   |   3   |
    windows |------ 0 ------|
                    |------ 1 ------|
                                    |------ 2 ...

A window closes when the watermark reaches its end; an event is late for a window that had closed
when it came. The watermark is the greatest time seen less the allowed lateness, event by event,
so that the answer does not depend on how the input was cut into batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import TypeVar

import numpy as np

from mql.columnar.layout import Ints, Mask
from mql.exec.operator import Times, Window
from mql.language.syntax import TimeWindow

Moments = TypeVar("Moments", int, Ints)
"""One time, or an array of them."""

MAX_EMPTY = 1_000_000
"""More consecutive windows without an event are skipped, and counted."""


@dataclass(frozen=True, slots=True)
class Span:
    """The arithmetic of a time window. Window k is [k·shift, k·shift + span)."""

    window: TimeWindow

    @property
    def pane_ms(self) -> int:
        """The length of the longest equal parts that no window cuts."""
        return gcd(self.window.span_ms, self.window.shift_ms)

    def panes(self, times: Ints) -> Ints:
        """The pane of each time."""
        return times // self.pane_ms

    def panes_of(self, k: int) -> range:
        """The panes of window k."""
        first = k * self.window.shift_ms // self.pane_ms
        return range(first, first + self.window.span_ms // self.pane_ms)

    def last_window(self, times: Ints) -> Ints:
        """The last window to begin at or before each time; it may, with gaps, have ended."""
        return times // self.window.shift_ms

    def first_window(self, times: Moments) -> Moments:
        """The first window that ends after each time."""
        return (times - self.window.span_ms) // self.window.shift_ms + 1

    @property
    def has_gaps(self) -> bool:
        """Whether there are times that no window holds: the shift is longer than the span."""
        return self.window.shift_ms > self.window.span_ms

    def in_gap(self, times: Ints) -> Mask:
        """Which times no window holds."""
        if not self.has_gaps:
            return np.zeros(len(times), np.bool_)
        gap: Mask = times % self.window.shift_ms >= self.window.span_ms
        return gap

    def closed_by(self, watermarks: Moments) -> Moments:
        """The last window that ends at or before each watermark."""
        return (watermarks - self.window.span_ms) // self.window.shift_ms

    def bounds(self, k: int) -> Window:
        """Window k's start and end."""
        start = k * self.window.shift_ms
        return Window(start, start + self.window.span_ms)


@dataclass(slots=True)
class Progress:
    """How far time has come, and which window is the next to close.

    `next_window` is None until the first one closes, unless the query's start is given.
    """

    span: Span
    lateness_ms: int = 0
    next_window: int | None = None
    now_ms: int | None = None
    min_time: int | None = None

    def advance(self, times: Times) -> None:
        """Take note of all events of a block, before its rows are placed."""
        self.now_ms = times.now_ms
        if self.next_window is not None:
            return
        on_time = times.times
        if not self.undisturbed(on_time, times.seen):
            on_time = on_time[self._on_time(on_time, self._closed(times.seen))]
        if len(on_time):
            least = int(on_time.min())
            self.min_time = least if self.min_time is None else min(self.min_time, least)

    def undisturbed(self, times: Ints, seen: Ints) -> bool:
        """Whether no window had closed that could hold one of the rows, as far as is soon told.

        That is by the extremes alone, or because each row is at least as new as all before it.
        """
        if not len(times):
            return True
        first = self.span.first_window(int(times.min()))
        if self.next_window is not None and self.next_window > first:
            return False
        closed = self.span.closed_by(int(seen.max()) - self.lateness_ms)
        return closed < first or bool((times >= seen - self.lateness_ms).all())

    def segments(self, times: Ints, seen: Ints) -> list[tuple[slice, Mask, int | None]]:
        """Cut rows where one that closes a window is followed by one it would have held.

        Returns, for each part: its rows, which of them are on time, and the last window closed
        after it (None if there is none yet). Without disorder there is one part.
        """
        closed = self._closed(seen)
        on_time = self._on_time(times, closed)
        disorder = bool((closed >= self.span.first_window(times)).any())
        # The first cut, before the first row, closes what rows that are gone have closed.
        cuts = [0, *(np.flatnonzero(np.diff(closed)) + 1).tolist()] if disorder else []
        bounds = [0, *cuts, len(times)]
        after = [int(closed[cut]) for cut in cuts]
        return [
            (slice(start, end), on_time[start:end], then)
            for start, end, then in zip(bounds, bounds[1:], [*after, self.closed()], strict=False)
        ]

    def closed(self) -> int | None:
        """The last window that the watermark has closed."""
        if self.now_ms is None:
            return None
        return self.span.closed_by(self.now_ms - self.lateness_ms)

    def late(self, times: Ints) -> Mask:
        """Which times are of windows that have all been taken."""
        if self.next_window is None:
            return np.zeros(len(times), np.bool_)
        gone: Mask = self.span.last_window(times) < self.next_window
        return gone

    def take(self, last: int) -> range:
        """The windows up to `last` that have not closed yet; from now on they have."""
        if self.next_window is None:
            if self.min_time is None or last < self.min_time // self.span.window.shift_ms:
                return range(0)
            self.next_window = self.min_time // self.span.window.shift_ms
        taken = range(self.next_window, last + 1)
        self.next_window = max(self.next_window, last + 1)
        return taken

    def _on_time(self, times: Ints, closed: Ints) -> Mask:
        """Events whose last window had not closed; in the gap after it there is none to miss."""
        last = self.span.last_window(times)
        return (last > closed) | ((last == closed) & self.span.in_gap(times))

    def _closed(self, seen: Ints) -> Ints:
        """The last window that had closed when each event came."""
        closed = self.span.closed_by(seen - self.lateness_ms)
        return closed if self.next_window is None else np.maximum(closed, self.next_window - 1)
