"""`distinct`: any aggregate of the different values of a group."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from mql.columnar.layout import Ints
from mql.exec.aggregates.arrival_order import Order
from mql.exec.aggregates.collected_values import Keep
from mql.exec.aggregates.functions.first_last import Chosen
from mql.exec.aggregates.protocol import Aggregator


class Distinct(Chosen):
    """Any other aggregate of the distinct values: those are kept, and aggregated when read."""

    def __init__(self, make_inner: Callable[[], Aggregator]) -> None:
        super().__init__(Keep.DISTINCT)
        self._make_inner = make_inner

    def select(self, ids: Ints) -> Distinct:
        """The values of some groups."""
        part = Distinct(self._make_inner)
        part._values = self._values.select(ids)
        return part

    def result(self) -> pa.Array:
        """What the inner aggregate makes of each group's distinct values."""
        inner = self._make_inner()
        inner.resize(self._values.size)
        rows = self._values.rows()
        if len(rows.ids):
            inner.update(rows.ids, rows.column, Order(lambda: rows.order))
        return inner.result()
