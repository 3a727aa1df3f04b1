"""Rows of many agents on their way into one query: held, and let go in the order of time.

Rows of equal time keep the order of the query's sources, then that in which they came. A row
without a time goes with the next release.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mql import kernels
from mql.batch import Ints, concat_batches
from mql.errors import RunError
from source_jobs.shipment import AT_ONCE, Rows

_NEVER = np.iinfo(np.int64).max


class MergeBuffer:
    """Holds rows; all batches have the columns of `empty`."""

    def __init__(self, empty: pa.RecordBatch, limit_bytes: int) -> None:
        self._empty = empty
        self._limit_bytes = limit_bytes
        self._held: list[Rows] = []
        self._sources: list[Ints] = []
        self.least_ms = _NEVER
        """The least time of a row that is held."""
        self.bytes = 0
        self.rows = 0
        self.released_ms: int | None = None
        """Rows before this time have been let go."""

    def add(self, rows: Rows, source: int) -> int:
        """Take rows in; returns how many are older than what was let go, and are left out."""
        late = 0
        if self.released_ms is not None:
            kept = (rows.places >= self.released_ms) | (rows.places == AT_ONCE)
            late = int(len(kept) - kept.sum())
            if late:
                rows = rows.take(np.flatnonzero(kept))
        if len(rows.places):
            self._hold(rows, np.full(len(rows.places), source, np.int64))
        if self.bytes > self._limit_bytes:
            reason = f"more than {self._limit_bytes:,} bytes of rows would have to be held"
            raise RunError("merge", f"{reason} until their time comes; a `where` would do")
        return late

    def ready(self, until_ms: int) -> bool:
        """Whether there are rows before a time."""
        return self.least_ms < until_ms

    def release(self, until_ms: int) -> pa.RecordBatch:
        """The rows before a time, in order."""
        self.released_ms = until_ms
        return self._take(until_ms) if self.ready(until_ms) else self._empty

    def release_all(self) -> pa.RecordBatch:
        """All rows, in order; more may come that are older."""
        return self._take(_NEVER) if self._held else self._empty

    def validate(self) -> None:
        """Check what always holds; for tests."""
        assert self.rows == sum(len(rows.places) for rows in self._held)
        assert self.bytes == sum(rows.bytes for rows in self._held)
        assert self.least_ms == min((int(r.places.min()) for r in self._held), default=_NEVER)
        assert len(self._held) == len(self._sources)

    def _take(self, until_ms: int) -> pa.RecordBatch:
        held = concat_batches([rows.batch for rows in self._held])
        times = np.concatenate([rows.places for rows in self._held])
        sources = np.concatenate(self._sources)
        every = Rows(held, times, self.bytes)
        self._held, self._sources = [], []
        self.least_ms, self.bytes, self.rows = _NEVER, 0, 0
        order = np.lexsort([sources, times])
        count = int(np.searchsorted(times[order], until_ms))
        taken, rest = order[:count], np.sort(order[count:])
        if len(rest):
            self._hold(every.take(rest), sources[rest])
        return kernels.take(held, taken)

    def _hold(self, rows: Rows, sources: Ints) -> None:
        self._held.append(rows)
        self._sources.append(sources)
        self.least_ms = min(self.least_ms, int(rows.places.min()))
        self.bytes += rows.bytes
        self.rows += len(rows.places)
