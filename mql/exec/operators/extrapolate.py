"""`'extrapolate': true`: scales the counts and sums of a sample to what all events would give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from mql.columnar.build import constant, variant
from mql.columnar.kinds import kinds_of
from mql.columnar.read import doubles_of, whole_doubles
from mql.exec.expressions.arithmetic import calculate
from mql.exec.expressions.frame import Frame
from mql.exec.expressions.scalars.choice import coalesce
from mql.exec.operator import Block, PerBlock, with_columns
from mql.language.syntax import ArithmeticOperator
from mql.planner.logical import Extrapolate
from mql.values.kind import Kind


class ExtrapolateOperator(PerBlock):
    """Multiplies columns by factor / threshold, and computes outputs from them."""

    def __init__(self, step: Extrapolate, now_ms: Callable[[], int]) -> None:
        self._step = step
        self._now_ms = now_ms

    def apply(self, block: Block) -> Block:
        """The block with the columns scaled; an integer stays one where the product is whole."""
        scaled = {name: self._scale(block.batch, name) for name in self._step.columns}
        frame = Frame(with_columns(block.batch, scaled), self._now_ms())
        outputs = {
            o.name: coalesce(*[frame.evaluate(v) for v in o.values]) for o in self._step.outputs
        }
        return block.with_batch(with_columns(block.batch, outputs))

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
