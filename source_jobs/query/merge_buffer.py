"""Rows of many agents on their way into one query: held, and let go in the order of time.

Rows of equal time keep the order of the query's sources, then that in which they came. A row
without a time goes with the next release.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import from_numpy
from mql.columnar.concat import concat_batches
from mql.columnar.layout import Ints
from mql.errors import RunError
from mql.exec.operator import WEIGHT, with_columns
from source_jobs.query.shipment import AT_ONCE, Rows

_NEVER = np.iinfo(np.int64).max

_RADIX = 1 << 16
"""Numbers of so many values are sorted by counting them."""


@dataclass(frozen=True, slots=True)
class _Held:
    """Rows with their source and their weight, one for all of them or one for each."""

    rows: Rows
    source: Ints | int
    weight: Ints | int


class MergeBuffer:
    """Holds rows; all batches have the columns of `empty`."""

    def __init__(self, empty: pa.RecordBatch, limit_bytes: int) -> None:
        self._empty = empty
        self._limit_bytes = limit_bytes
        self._held: list[_Held] = []
        self.least_ms = _NEVER
        """The least time of a row that is held."""
        self.bytes = 0
        self.rows = 0
        self.released_ms: int | None = None
        """Rows before this time have been let go."""

    def add(self, rows: Rows, source: int, weight: int = 1) -> Ints:
        """Take rows in; returns the times of those older than what was let go, which are left out.

        Where one has a `weight` other than 1, it comes out with the rows, as a column.
        """
        late: Ints = rows.places[:0]
        if self.released_ms is not None:
            kept = (rows.places >= self.released_ms) | (rows.places == AT_ONCE)
            late = rows.places[~kept]
            if len(late):
                rows = rows.take(np.flatnonzero(kept))
        if len(rows.places):
            self._hold(_Held(rows, source, weight))
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
        held = [each.rows for each in self._held]
        assert self.rows == sum(len(rows.places) for rows in held)
        assert self.bytes == sum(rows.bytes for rows in held)
        assert self.least_ms == min((int(r.places.min()) for r in held), default=_NEVER)

    def _take(self, until_ms: int) -> pa.RecordBatch:
        held = self._held
        batch = concat_batches([each.rows.batch for each in held])
        times = np.concatenate([each.rows.places for each in held])
        lengths = [len(each.rows.places) for each in held]
        sources = _joined([each.source for each in held], lengths)
        weights = _joined([each.weight for each in held], lengths)
        every = Rows(batch, times, self.bytes)
        self._held = []
        self.least_ms, self.bytes, self.rows = _NEVER, 0, 0
        rest = np.flatnonzero(times >= until_ms)
        if len(rest):
            self._hold(_Held(every.take(rest), _some(sources, rest), _some(weights, rest)))
        each: Ints = np.broadcast_to(weights, len(times))
        if len(rest) or not _are_in_order(times, sources):
            order = _in_order(times, sources)[: len(times) - len(rest)]
            batch, each = kernels.take(batch, order), each[order]
        if isinstance(weights, int) and weights == 1:
            return batch
        return with_columns(batch, {WEIGHT: from_numpy(each)})

    def _hold(self, held: _Held) -> None:
        self._held.append(held)
        self.least_ms = min(self.least_ms, int(held.rows.places.min()))
        self.bytes += held.rows.bytes
        self.rows += len(held.rows.places)


def _are_in_order(times: Ints, sources: Ints | int) -> bool:
    """Whether the rows need no other order, as those of one source mostly do not."""
    return isinstance(sources, int) and bool((times[1:] >= times[:-1]).all())


def _in_order(times: Ints, sources: Ints | int) -> Ints:
    """The row numbers by time, then by source, then as they are."""
    least = int(times.min())
    if isinstance(sources, int) and int(times.max()) - least < _RADIX:
        return (times - least).astype(np.uint16).argsort(kind="stable")
    return np.lexsort([np.broadcast_to(sources, len(times)), times])


def _joined(values: list[Ints | int], lengths: list[int]) -> Ints | int:
    """One value for all rows where they have the same, else one for each."""
    first = values[0]
    if isinstance(first, int) and all(isinstance(v, int) and v == first for v in values):
        return first
    parts = [np.broadcast_to(v, n) for v, n in zip(values, lengths, strict=True)]
    return np.concatenate(parts).astype(np.int64)


def _some(values: Ints | int, rows: Ints) -> Ints | int:
    return values if isinstance(values, int) else values[rows]
