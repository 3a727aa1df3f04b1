"""AVERAGE: a sum and a count, divided when they are read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from mql.columnar.arrays import from_numpy
from mql.columnar.build import doubles_where
from mql.columnar.kinds import is_number
from mql.columnar.layout import Ints
from mql.columnar.read import ints_of
from mql.exec.aggregates.arrival_order import Order
from mql.exec.aggregates.functions.count import Count
from mql.exec.aggregates.functions.sum import Sum
from mql.exec.aggregates.protocol import Aggregator, Kinds


class Average:
    """AVERAGE: the sum of the numbers over their count."""

    held = held_bytes = 0
    kinds: Kinds = (*Sum.kinds, *Count.kinds)

    def __init__(self) -> None:
        self._sum = Sum()
        self._count = Count()

    def resize(self, size: int) -> None:
        """Make room for groups up to `size`."""
        self._sum.resize(size)
        self._count.resize(size)

    def update(self, ids: Ints, column: pa.Array, order: Order) -> None:
        """Take the numbers among the rows in."""
        self._sum.update(ids, column, order)
        if column.type not in (pa.int64(), pa.float64()):
            numbers = is_number(column)
            ids, column = ids[numbers], from_numpy(np.ones(int(numbers.sum()), np.int64))
        self._count.update(ids, column, order)

    def select(self, ids: Ints) -> Average:
        """The states of some groups."""
        part = Average()
        part._sum, part._count = self._sum.select(ids), self._count.select(ids)
        return part

    def merge(self, other: Aggregator, ids: Ints) -> None:
        """Add another's states."""
        assert isinstance(other, Average)
        self._sum.merge(other._sum, ids)
        self._count.merge(other._count, ids)

    def weigh(self, weight: int) -> None:
        """Multiply the weight of each event so far."""
        self._sum.weigh(weight)
        self._count.weigh(weight)

    def result(self) -> pa.Array:
        """Doubles; null without a number."""
        counts = ints_of(self._count.result())
        return doubles_where(self._sum.doubles() / np.maximum(counts, 1), counts > 0)

    def parts(self) -> list[pa.Array]:
        """Those of the sum and of the count."""
        return [*self._sum.parts(), *self._count.parts()]

    def fill(self, parts: Iterator[pa.Array], size: int) -> None:
        """Take sums and counts."""
        self._sum.fill(parts, size)
        self._count.fill(parts, size)
