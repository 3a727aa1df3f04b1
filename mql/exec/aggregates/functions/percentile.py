"""P1 to P999, and `percentile`: one of a group's numbers, by its place among them."""

from __future__ import annotations

from fractions import Fraction

import pyarrow as pa

from mql.columnar.layout import Ints
from mql.exec.aggregates.collected_values import Keep
from mql.exec.aggregates.functions.first_last import Chosen


class Percentile(Chosen):
    """P1 … P999: the value at the position min(ceil(q·n), n - 1) of the n sorted numbers."""

    def __init__(self, quantile: Fraction) -> None:
        super().__init__(Keep.NUMBERS)
        self._quantile = quantile

    def select(self, ids: Ints) -> Percentile:
        """The values of some groups."""
        part = Percentile(self._quantile)
        part._values = self._values.select(ids)
        return part

    def result(self) -> pa.Array:
        """One of the group's numbers, null where it has none."""
        return self._values.at_quantile(self._quantile)
