"""`where` and `having`: keeps the rows that satisfy every condition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from mql.columnar.layout import Mask
from mql.exec.expressions.conditions import test
from mql.exec.expressions.frame import FewRows, Frame
from mql.exec.operator import Block, PerBlock, keep
from mql.language.syntax import Condition

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
        now_ms = self._now_ms()
        if not self._conditions or not batch.num_rows:
            return np.ones(batch.num_rows, np.bool_)
        first, *others = self._conditions
        mask = test(first, Frame(batch, now_ms))
        for condition in others:
            rows = np.flatnonzero(mask)
            if len(rows) >= SPARSE * len(mask):
                mask = mask & test(condition, Frame(batch, now_ms))
            elif len(rows):
                mask = np.zeros(len(mask), np.bool_)
                mask[rows[test(condition, FewRows(batch, rows, now_ms))]] = True
        return mask


class NothingOperator(PerBlock):
    """A filter that is never true."""

    def apply(self, block: Block) -> Block:
        """The block without rows."""
        return block.with_batch(block.batch.slice(0, 0))
