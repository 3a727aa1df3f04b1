"""Event time as it is read: how far it had come when each event came.

Computed over all events, before any is filtered out, so that windows close at the same points
whatever a query's `where` lets through and however the input was cut into batches.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import from_numpy, to_numpy
from mql.columnar.kinds import is_null
from mql.columnar.layout import TIME, Ints, Mask
from mql.exec.operator import Block, Times, with_columns

SEEN = "*seen"
"""The column that holds, for each event, the greatest time before it."""

_BEGINNING = -(2**62)
"""What the first event of all has seen: a time that closes no window."""


class EventClock:
    """Stamps batches. It only goes forward."""

    def __init__(self) -> None:
        self._now: int | None = None

    def stamp(
        self,
        batch: pa.RecordBatch,
        now_ms: int | None = None,
        *,
        times: pa.Array | None = None,
        rows: Ints | None = None,
    ) -> Block:
        """A block of the batch; `now_ms` moves time on where events alone do not.

        Where the batch holds only some `rows` of the events, `times` are those of all.
        """
        column = batch.column(TIME) if times is None else times
        every, known = _known(column)
        seen = self._seen(every) if column.null_count < len(column) else every
        if now_ms is not None:
            self._now = now_ms if self._now is None else max(self._now, now_ms)
        stamped = with_columns(batch, {SEEN: from_numpy(seen if rows is None else seen[rows])})
        if self._now is None:
            return Block(stamped)
        if known is not None:
            every, seen = every[known], seen[known]
        return Block(stamped, None, Times(every, seen, self._now))

    def _seen(self, times: Ints) -> Ints:
        """The greatest time before each; moves on to the greatest of all."""
        start = _BEGINNING if self._now is None else self._now
        before = np.append(start, times[:-1])
        if (before <= times).all():  # they are in order, and all greatest of all
            self._now = int(times[-1])
            return before
        seen: Ints = np.maximum.accumulate(before)
        self._now = max(int(seen[-1]), int(times[-1]))
        return seen


def _known(times: pa.Array) -> tuple[Ints, Mask | None]:
    """Times as numbers, and which of them there are (None: all)."""
    if not times.null_count:
        return to_numpy(times), None
    if times.null_count == len(times):
        return np.full(len(times), _BEGINNING), np.zeros(len(times), np.bool_)
    return to_numpy(kernels.fill_null(times, _BEGINNING)), ~is_null(times)
