"""COUNT: how many values a group has, or how many events."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from mql.columnar.arrays import from_numpy
from mql.columnar.kinds import is_null
from mql.columnar.layout import Ints
from mql.exec.aggregates.arrival_order import Order
from mql.exec.aggregates.group_keys import grown
from mql.exec.aggregates.protocol import INT, Aggregator, Kinds, read_ints


class Count:
    """COUNT: of non-null values."""

    held = held_bytes = 0
    kinds: Kinds = (INT,)

    def __init__(self) -> None:
        self._size = 0
        self._counts = np.zeros(0, np.int64)

    def resize(self, size: int) -> None:
        """Make room for groups up to `size`."""
        self._counts, self._size = grown(self._counts, size), size

    def update(self, ids: Ints, column: pa.Array, order: Order) -> None:  # noqa: ARG002
        """Count the rows that have a value."""
        if column.null_count or column.type not in (
            pa.bool_(),
            pa.int64(),
            pa.float64(),
            pa.string(),
        ):
            ids = ids[~is_null(column)]
        self.add(np.bincount(ids, minlength=self._size))

    def add(self, counts: Ints) -> None:
        """Add a number of rows to each group."""
        self._counts[: self._size] += counts

    def select(self, ids: Ints) -> Count:
        """The counts of some groups."""
        part = Count()
        part._counts, part._size = self._counts[ids], len(ids)
        return part

    def merge(self, other: Aggregator, ids: Ints) -> None:
        """Add another's counts."""
        assert isinstance(other, Count)
        np.add.at(self._counts, ids, other._counts[: other._size])

    def weigh(self, weight: int) -> None:
        """Multiply the weight of each event so far."""
        self._counts *= weight

    def result(self) -> pa.Array:
        """The counts, int64."""
        return from_numpy(self._counts[: self._size])

    def parts(self) -> list[pa.Array]:
        """The counts."""
        return [self.result()]

    def fill(self, parts: Iterator[pa.Array], size: int) -> None:
        """Take counts."""
        self._counts, self._size = read_ints(next(parts)), size
