"""SUM: exact for integers, whatever their sum; doubles beside them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from mql.columnar.arrays import from_numpy
from mql.columnar.build import variant
from mql.columnar.kinds import kinds_of
from mql.columnar.layout import Doubles, Ints
from mql.columnar.read import doubles_of, ints_of
from mql.exec.aggregates.arrival_order import Order
from mql.exec.aggregates.group_keys import grown
from mql.exec.aggregates.protocol import (
    DOUBLE,
    FLAG,
    INT,
    Aggregator,
    Kinds,
    read_doubles,
    read_flags,
    read_ints,
)
from mql.values.kind import Kind


class Sum:
    """SUM: integers exactly, in two halves that cannot overflow; doubles beside them.

    The integer sum is high · 2^32 + low.
    """

    held = held_bytes = 0
    kinds: Kinds = (INT, INT, DOUBLE, FLAG)

    def __init__(self) -> None:
        self._size = 0
        self._high = np.zeros(0, np.int64)
        self._low = np.zeros(0, np.int64)
        self._doubles = np.zeros(0)
        self._any_double = np.zeros(0, np.bool_)

    def resize(self, size: int) -> None:
        """Make room for groups up to `size`."""
        self._size = size
        self._high, self._low = grown(self._high, size), grown(self._low, size)
        self._doubles = grown(self._doubles, size, 0.0)
        self._any_double = grown(self._any_double, size, fill=False)

    def update(self, ids: Ints, column: pa.Array, order: Order) -> None:  # noqa: ARG002
        """Add the numbers among the rows."""
        if column.type == pa.float64() and not column.null_count:
            self._add_doubles(ids, doubles_of(column))
            return
        if column.type == pa.int64() and not column.null_count:
            self._add_ints(ids, ints_of(column))
            return
        kinds = kinds_of(column)
        ints, doubles = kinds == Kind.INT, kinds == Kind.DOUBLE
        if ints.any():
            self._add_ints(ids[ints], ints_of(column)[ints])
        if doubles.any():
            self._add_doubles(ids[doubles], doubles_of(column)[doubles])

    def _add_ints(self, ids: Ints, ints: Ints) -> None:
        np.add.at(self._high, ids, ints >> 32)
        np.add.at(self._low, ids, ints & 0xFFFFFFFF)
        self._carry()

    def _carry(self) -> None:
        self._high += self._low >> 32
        self._low &= 0xFFFFFFFF

    def _add_doubles(self, ids: Ints, doubles: Doubles) -> None:
        with np.errstate(over="ignore"):
            np.add.at(self._doubles, ids, doubles)
        if not self._any_double[: self._size].all():
            self._any_double[ids] = True

    def select(self, ids: Ints) -> Sum:
        """The sums of some groups."""
        part = Sum()
        part._size = len(ids)
        part._high, part._low = self._high[ids], self._low[ids]
        part._doubles, part._any_double = self._doubles[ids], self._any_double[ids]
        return part

    def merge(self, other: Aggregator, ids: Ints) -> None:
        """Add another's sums."""
        assert isinstance(other, Sum)
        size = other._size
        np.add.at(self._high, ids, other._high[:size])
        np.add.at(self._low, ids, other._low[:size])
        np.add.at(self._doubles, ids, other._doubles[:size])
        self._any_double[ids[other._any_double[:size]]] = True
        self._carry()

    def weigh(self, weight: int) -> None:
        """Multiply the weight of each event so far."""
        self._high *= weight
        self._low *= weight
        with np.errstate(over="ignore", invalid="ignore"):
            self._doubles *= weight
        self._carry()

    def doubles(self) -> Doubles:
        """The sums as doubles, infinite where they are too large."""
        n = self._size
        with np.errstate(over="ignore", invalid="ignore"):
            return self._high[:n] * 2.0**32 + self._low[:n] + self._doubles[:n]

    def result(self) -> pa.Array:
        """An integer where all were integers and the sum fits into 64 bits, else a double."""
        n = self._size
        high, low, doubles = self._high[:n], self._low[:n], self.doubles()
        fits = (high >= -(2**31)) & (high < 2**31)
        ints = np.where(fits, high, 0) * 2**32 + low
        double = self._any_double[:n] | ~fits
        finite = np.isfinite(doubles)
        kinds = np.where(double, np.where(finite, Kind.DOUBLE, Kind.NULL), Kind.INT)
        return variant(kinds.astype(np.uint8), ints, np.where(finite, doubles, 0.0))

    def parts(self) -> list[pa.Array]:
        """The halves, the doubles, and whether there were any."""
        arrays = (self._high, self._low, self._doubles, self._any_double)
        return [from_numpy(array[: self._size]) for array in arrays]

    def fill(self, parts: Iterator[pa.Array], size: int) -> None:
        """Take sums."""
        self._size = size
        self._high, self._low = read_ints(next(parts)), read_ints(next(parts))
        self._doubles, self._any_double = read_doubles(next(parts)), read_flags(next(parts))
