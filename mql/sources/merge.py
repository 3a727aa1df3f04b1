"""Several sources as one stream of batches, merged by time, first source first where times tie.

Without times there is nothing to merge by: one source comes after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import to_numpy
from mql.columnar.concat import concat_batches
from mql.columnar.kinds import is_null
from mql.columnar.layout import TIME, Ints

Batches = Iterator[pa.RecordBatch]


def merge(streams: Sequence[Batches], *, timed: bool) -> Batches:
    """Merge the batches of several sources, which all have the same columns."""
    if not timed:
        return (batch for stream in streams for batch in stream)
    return _by_time([_Buffer(stream) for stream in streams])


class _Buffer:
    """What has been read of one source and not been passed on.

    A row's place in the merge is the greatest time up to it, so that a source's own order stays.
    """

    def __init__(self, stream: Batches) -> None:
        self._stream = stream
        self.batch: pa.RecordBatch | None = None
        self.places: Ints = np.zeros(0, np.int64)
        self._last = np.iinfo(np.int64).min

    def fill(self) -> None:
        """Have rows, if there are any."""
        while self.batch is None or self.batch.num_rows == 0:
            batch = next(self._stream, None)
            if batch is None:
                self.batch = None
                return
            times = batch.column(TIME)
            values = np.where(is_null(times), self._last, to_numpy(kernels.fill_null(times, 0)))
            if len(values):
                self.places = np.maximum(np.maximum.accumulate(values), self._last)
                self._last = int(self.places[-1])
            self.batch = batch

    def take(self, bound: int) -> pa.RecordBatch:
        """The rows up to a place in the merge."""
        assert self.batch is not None
        count = int(np.searchsorted(self.places, bound, side="right"))
        taken = self.batch.slice(0, count)
        self.batch, self.places = self.batch.slice(count), self.places[count:]
        return taken


def _by_time(buffers: list[_Buffer]) -> Batches:
    while True:
        for buffer in buffers:
            buffer.fill()
        live = [buffer for buffer in buffers if buffer.batch is not None]
        if not live:
            return
        bounds = _bounds([int(buffer.places[-1]) for buffer in live])
        places = [b.places[b.places <= bound] for b, bound in zip(live, bounds, strict=True)]
        rows = concat_batches([b.take(bound) for b, bound in zip(live, bounds, strict=True)])
        order = np.argsort(np.concatenate(places), kind="stable")
        yield kernels.take(rows, order)


def _bounds(last: list[int]) -> list[int]:
    """The place up to which each source's rows can be passed on, given all sources' last places.

    An earlier source may still have rows at its last place, and they would come first.

    >>> _bounds([5, 7, 5])
    [5, 4, 4]
    """
    return [
        min([place, *(before - 1 for before in last[:i]), *last[i + 1 :]])
        for i, place in enumerate(last)
    ]
