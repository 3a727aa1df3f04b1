"""`'extrapolate': true`: scales the counts and sums of a sample to what all events would give."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mql.batch import Kind, constant, doubles_of, kinds_of, variant, whole_doubles
from mql.exec.arithmetic import calculate
from mql.exec.operator import Block, PerBlock, with_columns
from mql.planner.logical import Extrapolate
from mql.syntax import ArithmeticOperator


class ExtrapolateOperator(PerBlock):
    """Multiplies columns by factor / threshold."""

    def __init__(self, step: Extrapolate) -> None:
        self._step = step

    def apply(self, block: Block) -> Block:
        """The block with the columns scaled; an integer stays one where the product is whole."""
        scaled = {name: self._scale(block.batch, name) for name in self._step.columns}
        return block.with_batch(with_columns(block.batch, scaled))

    def _scale(self, batch: pa.RecordBatch, name: str) -> pa.Array:
        column = batch.column(name)
        size = len(column)
        factor = constant(self._step.factor, size)
        product = calculate(ArithmeticOperator.MULTIPLY, column, factor)
        scaled = calculate(ArithmeticOperator.DIVIDE, product, constant(self._step.threshold, size))
        doubles = doubles_of(scaled)
        whole = whole_doubles(doubles) & (kinds_of(column) == Kind.INT)
        kinds = np.where(whole, np.uint8(Kind.INT), kinds_of(scaled))
        return variant(kinds, np.where(whole, doubles, 0).astype(np.int64), doubles)
