"""MIN and MAX: the extreme number of a group, or the extreme string."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import from_numpy
from mql.columnar.build import variant
from mql.columnar.kinds import kinds_of
from mql.columnar.layout import Ints
from mql.columnar.read import doubles_of, ints_of, rounding_rests
from mql.exec.aggregates.arrival_order import Order
from mql.exec.aggregates.collected_values import Collected, Keep
from mql.exec.aggregates.group_keys import grown
from mql.exec.aggregates.protocol import (
    DOUBLE,
    FLAG,
    INT,
    TEXT,
    Aggregator,
    Kinds,
    read_doubles,
    read_flags,
    read_ints,
)
from mql.values.kind import Kind


class Extreme:
    """MIN and MAX: of the numbers if there are any, else of the strings.

    Integers and doubles are kept apart, so that integers stay exact.
    """

    held = 0
    kinds: Kinds = (INT, FLAG, DOUBLE, TEXT)

    def __init__(self, *, greatest: bool) -> None:
        self._greatest = greatest
        self._size = 0
        self._at = np.maximum.at if greatest else np.minimum.at
        limits = np.iinfo(np.int64)
        self._worst_int = limits.min if greatest else limits.max
        self._worst_double = -np.inf if greatest else np.inf
        self._ints = np.zeros(0, np.int64)
        self._any_int = np.zeros(0, np.bool_)
        self._doubles = np.zeros(0)
        self._strings = Collected(Keep.GREATEST if greatest else Keep.LEAST)

    @property
    def held_bytes(self) -> int:
        """How much memory the strings take."""
        return self._strings.held_bytes

    def resize(self, size: int) -> None:
        """Make room for groups up to `size`."""
        self._size = size
        self._ints = grown(self._ints, size, self._worst_int)
        self._any_int = grown(self._any_int, size, fill=False)
        self._doubles = grown(self._doubles, size, self._worst_double)
        self._strings.resize(size)

    def update(self, ids: Ints, column: pa.Array, order: Order) -> None:
        """Take numbers and strings in."""
        if column.type == pa.float64() and not column.null_count:
            self._at(self._doubles, ids, doubles_of(column))
            return
        if column.type == pa.int64() and not column.null_count:
            self._at(self._ints, ids, ints_of(column))
            if not self._any_int[: self._size].all():
                self._any_int[ids] = True
            return
        if column.type == pa.string():
            self._strings.update(ids, column, order)
            return
        kinds = kinds_of(column)
        ints, doubles, strings = (kinds == k for k in (Kind.INT, Kind.DOUBLE, Kind.STRING))
        if ints.any():
            self._at(self._ints, ids[ints], ints_of(column)[ints])
            self._any_int[ids[ints]] = True
        if doubles.any():
            self._at(self._doubles, ids[doubles], doubles_of(column)[doubles])
        if strings.any():
            texts = kernels.filter(column.field("text"), strings)
            self._strings.update(ids[strings], texts, order.of(strings))

    def select(self, ids: Ints) -> Extreme:
        """The states of some groups."""
        part = Extreme(greatest=self._greatest)
        part._size = len(ids)
        part._ints, part._any_int = self._ints[ids], self._any_int[ids]
        part._doubles, part._strings = self._doubles[ids], self._strings.select(ids)
        return part

    def merge(self, other: Aggregator, ids: Ints) -> None:
        """Take another's extremes in."""
        assert isinstance(other, Extreme)
        size = other._size
        self._at(self._ints, ids, other._ints[:size])
        self._at(self._doubles, ids, other._doubles[:size])
        self._any_int[ids[other._any_int[:size]]] = True
        self._strings.merge(other._strings, ids)

    def result(self) -> pa.Array:
        """A number where the group has one, else a string, else null."""
        n = self._size
        ints, doubles, any_int = self._ints[:n], self._doubles[:n], self._any_int[:n]
        any_double = np.isfinite(doubles)
        as_doubles = ints.astype(np.float64)
        rests = rounding_rests(ints) if self._greatest else -rounding_rests(ints)
        better = as_doubles > doubles if self._greatest else as_doubles < doubles
        use_int = any_int & (~any_double | better | ((as_doubles == doubles) & (rests >= 0)))
        strings, has_string = self._strings.one_each()
        kinds = np.where(has_string, np.uint8(Kind.STRING), np.uint8(Kind.NULL))
        kinds = np.where(any_double, np.uint8(Kind.DOUBLE), kinds)
        kinds = np.where(use_int, np.uint8(Kind.INT), kinds)
        return variant(kinds, ints, np.where(any_double, doubles, 0.0), strings)

    def parts(self) -> list[pa.Array]:
        """The extreme integers, whether there were any, the extreme doubles and strings."""
        arrays = (self._ints, self._any_int, self._doubles)
        strings, _ = self._strings.one_each()
        return [*(from_numpy(array[: self._size]) for array in arrays), strings]

    def fill(self, parts: Iterator[pa.Array], size: int) -> None:
        """Take extremes."""
        self._size = size
        self._ints, self._any_int = read_ints(next(parts)), read_flags(next(parts))
        self._doubles, strings = read_doubles(next(parts), self._worst_double), next(parts)
        if strings.type != pa.string():
            raise ValueError(f"a column of strings, not {strings.type}")
        self._strings.fill(strings, np.arange(size))
