"""`limit`: of each window, or of the whole answer."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.exec.operator import WINDOW, Block, window_index


class LimitOperator:
    """At most `count` rows of each window, or in all: then the query is done."""

    def __init__(self, count: int, *, per_window: bool) -> None:
        self._count = count
        self._per_window = per_window
        self._left = count
        self.done = not per_window and not count

    held_bytes = 0

    def push(self, block: Block) -> list[Block]:
        """Take a block; give what follows from it."""
        if self._per_window:
            return [block.with_batch(self._cut_windows(block))]
        if self.done:
            return []
        batch = block.batch.slice(0, self._left)
        self._left -= batch.num_rows
        self.done = self._left <= 0
        if self.done and block.windows is not None:
            return [self._cut_answer(block, batch)]
        return [block.with_batch(batch)]

    def finish(self, end_ms: int | None) -> list[Block]:  # noqa: ARG002 - the protocol's shape
        """Nothing is left."""
        return []

    def _cut_windows(self, block: Block) -> pa.RecordBatch:
        index = window_index(block)
        first = np.searchsorted(index, index)  # each row's window begins there: rows are in order
        keep = np.arange(len(index)) - first < self._count
        return kernels.take(block.batch, np.flatnonzero(keep))

    def _cut_answer(self, block: Block, batch: pa.RecordBatch) -> Block:
        """The last rows of the answer; windows after the one that ends it are not in it."""
        assert block.windows is not None
        last = int(batch.column(WINDOW)[-1].as_py()) + 1 if batch.num_rows else 0
        return Block(batch, block.windows[:last], block.times)
