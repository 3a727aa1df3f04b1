"""The states of aggregate functions: one object holds the states of all groups, as arrays.

`ids` number the group of each row. A state can be updated from rows, cut down to some groups
(`select`), added to another (`merge`), and read (`result`). Nothing depends on how the rows were
cut into updates.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from mql import kernels
from mql.arrays import from_numpy, to_numpy
from mql.batch import (
    Doubles,
    Ints,
    Kind,
    Mask,
    doubles_of,
    ints_of,
    is_null,
    kinds_of,
    variant,
)
from mql.exec.collected import Collected, Keep
from mql.exec.group import grown
from mql.exec.order import Order
from mql.functions import FUNCTIONS
from mql.syntax import Aggregate


class Aggregator(Protocol):
    """The states of one aggregate for `size` groups; `held` counts the values kept one by one."""

    @property
    def held(self) -> int:
        """How many values are kept."""

    def resize(self, size: int) -> None:
        """Make room for groups up to `size`; new ones are empty."""

    def update(self, ids: Ints, column: pa.Array, order: Order) -> None:
        """Take rows in; `order` is each row's place in the order of arrival."""

    def select(self, ids: Ints) -> Aggregator:
        """The states of some groups alone, renumbered in this order."""

    def merge(self, other: Aggregator, ids: Ints) -> None:
        """Add the states of another of the same kind; its group i goes into group ids[i]."""

    def result(self) -> pa.Array:
        """The value of each group."""


Kinds = tuple[pa.DataType | None, ...]
_INT, _DOUBLE, _FLAG, _TEXT = pa.int64(), pa.float64(), pa.bool_(), pa.string()


@runtime_checkable
class Additive(Aggregator, Protocol):
    """States that can be made in one place and added in another."""

    @property
    def kinds(self) -> Kinds:
        """The types of the columns that are their `parts`; None stands for any values."""

    def parts(self) -> list[pa.Array]:
        """The states as columns, one row a group."""

    def fill(self, parts: Iterator[pa.Array], size: int) -> None:
        """Become the states that `parts` gave, somewhere else; takes the columns it needs."""


@runtime_checkable
class Weighable(Aggregator, Protocol):
    """States whose events may stand for more than themselves."""

    def weigh(self, weight: int) -> None:
        """Let each event so far stand for so many."""


def make(aggregate: Aggregate) -> Aggregator:
    """The empty states of an aggregate."""
    function = FUNCTIONS[aggregate.function]
    if aggregate.distinct and function.name not in ("MIN", "MAX", "FIRST"):
        return Distinct(Aggregate(aggregate.function, aggregate.argument))
    if function.quantile is not None:
        return Percentile(function.quantile)
    match function.name:
        case "COUNT":
            return Count()
        case "SUM":
            return Sum()
        case "AVERAGE":
            return Average()
        case "STDDEV":
            return Deviation()
        case "MIN":
            return Extreme(greatest=False)
        case "MAX":
            return Extreme(greatest=True)
        case "FIRST":
            return Chosen(Keep.FIRST)
        case "LAST":
            return Chosen(Keep.LAST)
        case "LIST":
            return Listed()
    raise AssertionError(function)


class Count:
    """COUNT: of non-null values."""

    held = 0
    kinds: Kinds = (_INT,)

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
        """Add so many rows of each group."""
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
        """Let each event so far stand for so many."""
        self._counts *= weight

    def result(self) -> pa.Array:
        """The counts, int64."""
        return from_numpy(self._counts[: self._size])

    def parts(self) -> list[pa.Array]:
        """The counts."""
        return [self.result()]

    def fill(self, parts: Iterator[pa.Array], size: int) -> None:
        """Take counts."""
        self._counts, self._size = _ints(next(parts)), size


class Sum:
    """SUM: integers exactly, in two halves that cannot overflow; doubles beside them.

    The integer sum is high · 2^32 + low.
    """

    held = 0
    kinds: Kinds = (_INT, _INT, _DOUBLE, _FLAG)

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
        """Let each event so far stand for so many."""
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
        self._high, self._low = _ints(next(parts)), _ints(next(parts))
        self._doubles, self._any_double = _doubles(next(parts)), _flags(next(parts))


class Average:
    """AVERAGE: the sum of the numbers over their count."""

    held = 0
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
        """Let each event so far stand for so many."""
        self._sum.weigh(weight)
        self._count.weigh(weight)

    def result(self) -> pa.Array:
        """Doubles; null without a number."""
        counts = ints_of(self._count.result())
        return _doubles_where(self._sum.doubles() / np.maximum(counts, 1), counts > 0)

    def parts(self) -> list[pa.Array]:
        """Those of the sum and of the count."""
        return [*self._sum.parts(), *self._count.parts()]

    def fill(self, parts: Iterator[pa.Array], size: int) -> None:
        """Take sums and counts."""
        self._sum.fill(parts, size)
        self._count.fill(parts, size)


class Deviation:
    """STDDEV (of the sample): count, mean and squared distances, merged pairwise.

    Source: Chan, Golub, LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing
    Sample Variances" (1979).
    """

    held = 0
    kinds: Kinds = (_INT, _DOUBLE, _DOUBLE)

    def __init__(self) -> None:
        self._size = 0
        self._counts = np.zeros(0, np.int64)
        self._means = np.zeros(0)
        self._squares = np.zeros(0)

    def resize(self, size: int) -> None:
        """Make room for groups up to `size`."""
        self._size = size
        self._counts = grown(self._counts, size)
        self._means, self._squares = grown(self._means, size, 0.0), grown(self._squares, size, 0.0)

    def update(self, ids: Ints, column: pa.Array, order: Order) -> None:  # noqa: ARG002
        """Take the numbers among the rows in."""
        numbers = is_number(column)
        ids, doubles = ids[numbers], doubles_of(column)[numbers]
        n = self._size
        squares: Doubles = np.zeros(n)
        counts = np.bincount(ids, minlength=n)
        with np.errstate(all="ignore"):
            means = np.bincount(ids, doubles, minlength=n) / np.maximum(counts, 1)
            np.add.at(squares, ids, (doubles - means[ids]) ** 2)
        self._add(np.arange(n), counts, means, squares)

    def _add(self, ids: Ints, counts: Ints, means: Doubles, squares: Doubles) -> None:
        """Merge states into distinct groups."""
        with np.errstate(all="ignore"):
            total = self._counts[ids] + counts
            distance = means - self._means[ids]
            share = counts / np.maximum(total, 1)
            between = distance**2 * self._counts[ids] * share
            self._means[ids] += distance * share
        self._squares[ids] += squares + between
        self._counts[ids] = total

    def select(self, ids: Ints) -> Deviation:
        """The states of some groups."""
        part = Deviation()
        part._size = len(ids)
        part._counts, part._means = self._counts[ids], self._means[ids]
        part._squares = self._squares[ids]
        return part

    def merge(self, other: Aggregator, ids: Ints) -> None:
        """Merge another's states; those for the same group in pairs, then pairs of those."""
        assert isinstance(other, Deviation)
        rows = np.argsort(ids, kind="stable")
        other, ids = other.select(rows), ids[rows]
        while (again := ids[1:] == ids[:-1]).any():
            starts = np.flatnonzero(np.concatenate([[True], ~again]))
            place = np.arange(len(ids)) - np.repeat(starts, np.diff(starts, append=len(ids)))
            odd = np.flatnonzero(place % 2)
            states = other.select(odd)
            other._add(odd - 1, states._counts, states._means, states._squares)
            left = np.flatnonzero(place % 2 == 0)
            other, ids = other.select(left), ids[left]
        self._add(ids, other._counts, other._means, other._squares)

    def weigh(self, weight: int) -> None:
        """Let each event so far stand for so many."""
        self._counts *= weight
        with np.errstate(over="ignore", invalid="ignore"):
            self._squares *= weight

    def result(self) -> pa.Array:
        """Doubles; null without two numbers."""
        n = self._size
        counts = self._counts[:n]
        with np.errstate(all="ignore"):
            values = np.sqrt(self._squares[:n] / np.maximum(counts - 1, 1))
        return _doubles_where(values, counts > 1)

    def parts(self) -> list[pa.Array]:
        """Counts, means and squared distances."""
        return [from_numpy(a[: self._size]) for a in (self._counts, self._means, self._squares)]

    def fill(self, parts: Iterator[pa.Array], size: int) -> None:
        """Take counts, means and squared distances."""
        self._size = size
        self._counts = _ints(next(parts))
        self._means, self._squares = _doubles(next(parts)), _doubles(next(parts))


def _ints(column: pa.Array) -> Ints:
    return _checked(column, pa.int64())


def _doubles(column: pa.Array, missing: float = np.nan) -> Doubles:
    """Doubles that may not have been finite, which no column of a peer holds."""
    known = kernels.fill_null(column, missing) if column.null_count else column
    return _checked(known, pa.float64())


def _flags(column: pa.Array) -> Mask:
    return _checked(column, pa.bool_())


def _checked(column: pa.Array, kind: pa.DataType) -> np.ndarray:
    """A column of states as an array of its own. Raises ValueError if it is another's."""
    if column.type != kind or column.null_count:
        raise ValueError(f"a column of {kind} without nulls, not {column.type}")
    return np.array(to_numpy(column))


def is_number(column: pa.Array) -> Mask:
    """Which values are numbers."""
    kinds = kinds_of(column)
    return (kinds == Kind.INT) | (kinds == Kind.DOUBLE)


def _doubles_where(values: Doubles, present: Mask) -> pa.Array:
    present = present & np.isfinite(values)
    return from_numpy(np.where(present, values, 0.0), ~present)


class Extreme:
    """MIN and MAX: of the numbers if there are any, else of the strings.

    Integers and doubles are kept apart, so that integers stay exact.
    """

    held = 0
    kinds: Kinds = (_INT, _FLAG, _DOUBLE, _TEXT)

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
        better = as_doubles > doubles if self._greatest else as_doubles < doubles
        use_int = any_int & (~any_double | better | (as_doubles == doubles))
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
        self._ints, self._any_int = _ints(next(parts)), _flags(next(parts))
        self._doubles, strings = _doubles(next(parts), self._worst_double), next(parts)
        if strings.type != pa.string():
            raise ValueError(f"a column of strings, not {strings.type}")
        self._strings.fill(strings, np.arange(size))


class Chosen:
    """FIRST and LAST: the value that came first, or last."""

    kinds: Kinds = (None, _INT)

    def __init__(self, keep: Keep) -> None:
        self._values = Collected(keep)

    @property
    def held(self) -> int:
        """How many values are kept."""
        return self._values.held

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
        values, order = next(parts), _ints(next(parts))
        self._values.fill(values, order)


class Listed(Chosen):
    """LIST: all values, in order of arrival."""

    def __init__(self) -> None:
        super().__init__(Keep.ALL)

    def select(self, ids: Ints) -> Listed:
        """The values of some groups."""
        part = Listed()
        part._values = self._values.select(ids)
        return part

    def result(self) -> pa.Array:
        """A list for each group, null where it has no value."""
        return self._values.lists()


class Percentile(Chosen):
    """P1 … P999: the value at the position min(ceil(q·n), n - 1) of the n sorted numbers."""

    def __init__(self, quantile: float) -> None:
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


class Distinct(Chosen):
    """Any other aggregate of the distinct values: those are kept, and aggregated when read."""

    def __init__(self, inner: Aggregate) -> None:
        super().__init__(Keep.DISTINCT)
        self._inner = inner

    def select(self, ids: Ints) -> Distinct:
        """The values of some groups."""
        part = Distinct(self._inner)
        part._values = self._values.select(ids)
        return part

    def result(self) -> pa.Array:
        """What the inner aggregate makes of each group's distinct values."""
        inner = make(self._inner)
        inner.resize(self._values.size)
        rows = self._values.rows()
        if len(rows.ids):
            inner.update(rows.ids, rows.column, Order(lambda: rows.order))
        return inner.result()
