"""`where` and `having`: keeps the rows that satisfy every condition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from mql.batch import Mask
from mql.exec.conditions import test
from mql.exec.frame import Frame
from mql.exec.operator import Block, PerBlock, keep
from mql.syntax import Condition

SPARSE = 0.5
"""Below this share of survivors the next condition sees only them."""


class FilterOperator(PerBlock):
    """Tests conditions in their order, later ones on the survivors of earlier ones."""

    def __init__(self, conditions: tuple[Condition, ...], now_ms: Callable[[], int]) -> None:
        self._conditions = conditions
        self._now_ms = now_ms

    def apply(self, block: Block) -> Block:
        """The block without the rows that fail."""
        return block.with_batch(keep(block.batch, self.mask(block.batch)))

    def mask(self, batch: pa.RecordBatch) -> Mask:
        """Where all conditions hold."""
        passed = np.zeros(batch.num_rows, np.bool_)
        rows = np.arange(batch.num_rows)
        mask = np.ones(batch.num_rows, np.bool_)
        for condition in self._conditions:
            if len(mask) and mask.mean() < SPARSE:
                batch, rows = keep(batch, mask), rows[mask]
                mask = np.ones(len(rows), np.bool_)
            if len(mask):
                mask &= test(condition, Frame(batch, self._now_ms()))
        passed[rows[mask]] = True
        return passed


class NothingOperator(PerBlock):
    """A filter that is never true."""

    def apply(self, block: Block) -> Block:
        """The block without rows."""
        return block.with_batch(block.batch.slice(0, 0))
