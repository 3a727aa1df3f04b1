"""FIRST and LAST: one value of a group, by its place in the order of arrival."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from mql.columnar.arrays import from_numpy
from mql.columnar.layout import Ints
from mql.exec.aggregates.arrival_order import Order
from mql.exec.aggregates.collected_values import Collected, Keep
from mql.exec.aggregates.protocol import INT, Aggregator, Kinds, read_ints


class Chosen:
    """FIRST and LAST: the value that came first, or last."""

    kinds: Kinds = (None, INT)

    def __init__(self, keep: Keep) -> None:
        self._values = Collected(keep)

    @property
    def held(self) -> int:
        """How many values are kept."""
        return self._values.held

    @property
    def held_bytes(self) -> int:
        """How much memory they take."""
        return self._values.held_bytes

    def resize(self, size: int) -> None:
        """Make room for groups up to `size`."""
        self._values.resize(size)

    def update(self, ids: Ints, column: pa.Array, order: Order) -> None:
        """Take the values among the rows in."""
        self._values.update(ids, column, order)

    def select(self, ids: Ints) -> Chosen:
        """The values of some groups."""
        part = Chosen(self._values.keep)
        part._values = self._values.select(ids)
        return part

    def merge(self, other: Aggregator, ids: Ints) -> None:
        """Take another's values in."""
        assert isinstance(other, Chosen)
        self._values.merge(other._values, ids)

    def result(self) -> pa.Array:
        """The value of each group, null where it has none."""
        return self._values.one_each()[0]

    def parts(self) -> list[pa.Array]:
        """The values, and their places in the order of arrival."""
        return [self._values.one_each()[0], from_numpy(self._values.order_each())]

    def fill(self, parts: Iterator[pa.Array], size: int) -> None:  # noqa: ARG002
        """Take values with their places."""
        values, order = next(parts), read_ints(next(parts))
        self._values.fill(values, order)
