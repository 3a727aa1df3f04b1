"""Places events into panes, the parts that windows are made of, and says which windows close."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import distinct, to_numpy
from mql.columnar.kinds import is_null
from mql.columnar.layout import TIME, Ints, Mask
from mql.exec.operator import Block, Counters, Window
from mql.exec.windows.event_time import SEEN
from mql.exec.windows.time_windows import MAX_EMPTY, Progress, Span
from mql.language.syntax import CountWindow, TimeWindow
from mql.planner.logical import WholeInput, Windowing

Placed = list[tuple[pa.RecordBatch, Ints, int | None]]


class TimePanes:
    """Places events into the panes of time windows."""

    def __init__(
        self, window: TimeWindow, counters: Counters, lateness_ms: int, start_ms: int | None
    ) -> None:
        self._span = Span(window)
        first = None if start_ms is None else start_ms // window.shift_ms
        self._progress = Progress(self._span, lateness_ms, first)
        self._counters = counters
        self.overlap = self._span.pane_ms != window.span_ms or window.shift_ms != window.span_ms
        self.panes_of = self._span.panes_of
        self.bounds = self._span.bounds

    def place(self, block: Block) -> Placed:
        """Parts of the block: the rows on time, their panes, the last window closed after them."""
        if block.times is not None:
            self._progress.advance(block.times)
        batch = self._timed(block.batch)
        times: Ints = to_numpy(batch.column(TIME))
        seen: Ints = to_numpy(batch.column(SEEN))
        if not self._span.has_gaps and self._progress.undisturbed(times, seen):
            return [(batch, self._span.panes(times), self._progress.closed())]
        parts: Placed = []
        for part, on_time, closed in self._progress.segments(times, seen):
            rows = batch.slice(part.start, part.stop - part.start)
            mask = on_time & ~self._span.in_gap(times[part])
            self._counters.late += int((~on_time).sum())
            if not mask.all():
                rows = kernels.take(rows, np.flatnonzero(mask))
            parts.append((rows, self._span.panes(times[part][mask]), closed))
        return parts

    def late(self, panes: Ints) -> Mask:
        """Which panes are in no window that is still open."""
        return self._progress.late(panes * self._span.pane_ms)

    def no_later(self, panes: Ints, latest_ms: int) -> Ints:
        """The panes, those after a time's replaced by its own."""
        return np.minimum(panes, self._span.panes(np.array([latest_ms]))[0])

    def _timed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        times = batch.column(TIME)
        if not times.null_count:
            return batch
        missing = is_null(times)
        self._counters.without_time += int(missing.sum())
        return kernels.take(batch, np.flatnonzero(~missing))

    def closing(self, closed: int | None) -> range:
        """The windows that close now."""
        return range(0) if closed is None else self._progress.take(closed)

    def closing_at_end(self, end_ms: int | None) -> range:
        """The windows that had begun when the input ended."""
        if end_ms is None:
            if self._progress.now_ms is None:
                return range(0)
            end_ms = self._progress.now_ms + 1
        return self._progress.take((end_ms - 1) // self._span.window.shift_ms)

    def told(self, windows: range, open_panes: Ints, counters: Counters) -> Sequence[int]:
        """The windows to tell of: all, unless a gap is so long that only a wrong time explains it.

        Then it is those that hold something, and the last one; the rest is counted.
        """
        if len(windows) <= MAX_EMPTY:
            return windows
        starts = distinct(open_panes) * self._span.pane_ms
        firsts, lasts = self._span.first_window(starts), self._span.last_window(starts)
        held = {
            k for a, b in zip(firsts.tolist(), lasts.tolist(), strict=True) for k in range(a, b + 1)
        }
        told = sorted({k for k in held if k in windows} | {windows[-1]})
        counters.gaps += len(windows) - len(told)
        return told

    def first_pane(self, k: int) -> int:
        """The first pane that window k needs."""
        return self._span.panes_of(k)[0]


class CountPanes:
    """Places every N events into a pane; each is a window."""

    overlap = False

    def __init__(self, count: int, counters: Counters) -> None:
        self._count = count
        self._counters = counters
        self._seen = 0
        self._next = 0

    def place(self, block: Block) -> Placed:
        """The block as one part."""
        panes = np.arange(self._seen, self._seen + block.batch.num_rows) // self._count
        self._seen += block.batch.num_rows
        return [(block.batch, panes, self._seen // self._count - 1)]

    def late(self, panes: Ints) -> Mask:
        """None: these panes are of no time."""
        return np.zeros(len(panes), np.bool_)

    def no_later(self, panes: Ints, latest_ms: int) -> Ints:  # noqa: ARG002 - the panes' common shape
        """These panes are of no time."""
        return panes

    def closing(self, closed: int | None) -> range:
        """The windows that are full now."""
        assert closed is not None
        taken = range(self._next, closed + 1)
        self._next = max(self._next, closed + 1)
        return taken

    def closing_at_end(self, end_ms: int | None) -> range:  # noqa: ARG002 - the panes' common shape
        """The window that is not full yet, if it has begun."""
        self._counters.last_window_events = self._seen % self._count
        return self.closing((self._seen - 1) // self._count)

    def told(self, windows: range, open_panes: Ints, counters: Counters) -> Sequence[int]:  # noqa: ARG002
        """All windows: each holds an event."""
        return windows

    def panes_of(self, k: int) -> range:
        """A window is a pane."""
        return range(k, k + 1)

    def first_pane(self, k: int) -> int:
        """A window is a pane."""
        return k

    def bounds(self, k: int) -> Window:  # noqa: ARG002 - the panes' common shape
        """A window of events has no bounds in time."""
        return Window(None, None)


class OnePane(CountPanes):
    """Places everything into one pane, which closes at the end."""

    def __init__(self, counters: Counters) -> None:
        super().__init__(1, counters)

    def place(self, block: Block) -> Placed:
        """The block as one part."""
        return [(block.batch, np.zeros(block.batch.num_rows, np.int64), -1)]

    def closing_at_end(self, end_ms: int | None) -> range:  # noqa: ARG002 - the panes' common shape
        """The one window."""
        return range(1)


Panes = TimePanes | CountPanes


def panes_for(
    window: Windowing, counters: Counters, lateness_ms: int, start_ms: int | None
) -> Panes:
    """The panes of a windowing; `start_ms` is when the query starts, if that is known."""
    match window:
        case TimeWindow():
            return TimePanes(window, counters, lateness_ms, start_ms)
        case CountWindow(count):
            return CountPanes(count, counters)
        case WholeInput():
            return OnePane(counters)
