"""`where` and `having`: keeps the rows that satisfy every condition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

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
        batch = block.batch
        mask = np.ones(batch.num_rows, np.bool_)
        for condition in self._conditions:
            if batch.num_rows and mask.mean() < SPARSE:
                batch = keep(batch, mask)
                mask = np.ones(batch.num_rows, np.bool_)
            if batch.num_rows:
                mask &= test(condition, Frame(batch, self._now_ms()))
        return block.with_batch(keep(batch, mask))


class NothingOperator(PerBlock):
    """A filter that is never true."""

    def apply(self, block: Block) -> Block:
        """The block without rows."""
        return block.with_batch(block.batch.slice(0, 0))
