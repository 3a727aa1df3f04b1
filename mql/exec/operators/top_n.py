"""`order by … limit n` as one: the n first rows of each window, in order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mql.columnar import kernels
from mql.exec.operator import Block, PerBlock, window_index
from mql.exec.operators.sort import SortOperator
from mql.planner.logical import TopN


class TopNOperator(PerBlock):
    """Sorts row numbers, and takes the columns of the winners only."""

    def __init__(self, step: TopN, now_ms: Callable[[], int]) -> None:
        self.count = step.count
        self._sort = SortOperator(step.keys, now_ms, within_groups=False)

    def apply(self, block: Block) -> Block:
        """The block with the first rows of each window."""
        order = self._sort.order(block)
        index = window_index(block)[order]
        place = np.arange(len(order)) - np.searchsorted(index, index)
        return block.with_batch(kernels.take(block.batch, order[place < self.count]))
