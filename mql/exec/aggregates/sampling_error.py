"""How far counts and sums that stand for more events than were seen may be off.

Where a service kept one event in k, at random and each by itself, an event x that was kept stands
for k, and sum(k·x) is what all would have given, on average (Horvitz and Thompson, "A
Generalization of Sampling Without Replacement From a Finite Universe", 1952). Its variance is
estimated by sum(k·(k - 1)·x²). Few events say little about it, and nothing about large ones that
are so rare that none was kept. So the bound is that of Wilson's score interval ("Probable
Inference", 1927) for values that are all as large as the largest that the dice may leave out, its
shift towards more added on both sides. With z = 1.96, and L that value times the greatest k - 1,

    error = z·sqrt(variance + (z·L/2)²) + z²·L/2

Of a count that value is 1. Of a sum it is a limit, if the service kept all that is larger. Else it
is taken from what the query has seen so far, and nothing is said before that is much: no values
are more frequent than one in five hundred of which not one is among 1,500. Where the query itself
samples, with the chance p, k - p stands in the place of k - 1.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import from_numpy, to_numpy
from mql.columnar.kinds import is_null, is_number
from mql.columnar.layout import Doubles, Ints, Mask
from mql.columnar.read import doubles_of
from mql.exec.aggregates.group_keys import grown

_Z = 1.96
"""The true value is inside the bounds in 95 of 100 cases."""

_VALUES_MIN = 1_500
"""Of fewer values of a query nothing is said, where the largest is not known."""

_VALUES_MAX = 100_000
"""With more values the earlier ones count for half, so that a change is seen."""


class Tail:
    """What a query has seen of one column's values, where it is not known how large others are."""

    def __init__(self) -> None:
        self._number = self._squares = self._cubes = 0.0

    def add(self, number: float, squares: float, cubes: float) -> None:
        """Take in some values: how many, the sums of their squares and cubes."""
        if not np.isfinite(cubes):
            return
        self._number += number
        self._squares += squares
        self._cubes += cubes
        if self._number > _VALUES_MAX:
            self._number, self._squares, self._cubes = (
                part / 2 for part in (self._number, self._squares, self._cubes)
            )

    def learn(self, column: pa.Array) -> None:
        """Take in some values that stand for themselves: samples hold such, too."""
        _, sizes = magnitudes(column)
        with np.errstate(over="ignore"):
            self.add(len(sizes), float((sizes**2).sum()), float((sizes**3).sum()))

    @property
    def square(self) -> float:
        """The mean of the squares; infinite if few values were seen."""
        return self._squares / self._number if self._number >= _VALUES_MIN else np.inf

    @property
    def largest(self) -> float:
        """About how large those values are that make up the squares."""
        return self._cubes / self._squares if self._squares else 0.0


class Spread:
    """Sums of powers of groups' values; `weigh` makes them those of a sample.

    Beside them are how many there are, and which magnitude none of a sample exceeds. What `counts`
    has no value beyond 1.
    """

    parts_each = 2
    """How many `parts` there are."""
    tails_each = 2
    """How many `tails` there are, but of counts."""

    def __init__(self, *, counts: bool) -> None:
        self.counts = counts
        self._size = 0
        self._squares = np.zeros(0)
        self._cubes = np.zeros(0)
        self._number = np.zeros(0)
        self._limit = np.zeros(0)
        self._over = np.zeros(0)
        """The largest of what an event's being kept or not may change."""
        self._open = np.zeros(0)
        """What the mean square is multiplied with to give the variance, where no limit is known."""
        self._steps = np.zeros(0)
        """How many values more or fewer an event's being kept or not is, where none is known."""

    def _arrays(self) -> tuple[Doubles, ...]:
        number, limit = self._number, self._limit
        return self._squares, self._cubes, number, limit, self._over, self._open, self._steps

    def _set(self, arrays: tuple[Doubles, ...]) -> None:
        self._squares, self._cubes, self._number, self._limit, *rest = arrays
        self._over, self._open, self._steps = rest

    def resize(self, size: int) -> None:
        """Make room for groups up to `size`."""
        self._size = size
        self._set(tuple(grown(array, size, 0.0) for array in self._arrays()))

    def update(self, ids: Ints, column: pa.Array, limit: float = np.inf) -> None:
        """Take rows in, none of which is beyond a limit: those with a value, or the numbers."""
        if self.counts:
            ids = ids[~is_null(column)]
            sizes, limit = np.ones(len(ids)), 1.0
        else:
            numbers, sizes = magnitudes(column)
            ids = ids[numbers]
        with np.errstate(over="ignore"):
            np.add.at(self._squares, ids, sizes**2)
            np.add.at(self._cubes, ids, sizes**3)
            np.add.at(self._number, ids, 1.0)
        np.maximum.at(self._limit, ids, limit)

    def weigh(self, weight: int, share: float = 1.0) -> Spread:
        """Let each event stand for so many, of which the query itself kept a share."""
        step = weight - share
        with np.errstate(over="ignore", invalid="ignore"):
            self._squares *= weight * step
            self._cubes *= weight * step
            known = np.isfinite(self._limit)
            self._over = np.where(known, self._limit, 0.0) * step
            self._open = np.where(known, 0.0, self._number * weight * step)
        self._steps = np.where(known, 0.0, step)
        return self

    def select(self, ids: Ints) -> Spread:
        """That of some groups."""
        part = Spread(counts=self.counts)
        part._size = len(ids)
        part._set(tuple(array[ids] for array in self._arrays()))
        return part

    def merge(self, other: Spread, ids: Ints) -> None:
        """Add another's; its group i goes into group ids[i]."""
        size = other._size
        with np.errstate(over="ignore", invalid="ignore"):
            for mine, its in (
                (self._squares, other._squares),
                (self._cubes, other._cubes),
                (self._number, other._number),
                (self._open, other._open),
            ):
                np.add.at(mine, ids, its[:size])
        for mine, its in (
            (self._limit, other._limit),
            (self._over, other._over),
            (self._steps, other._steps),
        ):
            np.maximum.at(mine, ids, its[:size])

    def tell(self, tail: Tail) -> None:
        """Let a tail know the values, not weighed yet, of which the largest is not known."""
        rows = np.isinf(self._limit) & np.isfinite(self._number)
        if rows.any():
            parts = (self._number, self._squares, self._cubes)
            tail.add(*(float(part[rows].sum()) for part in parts))

    def errors(self, tail: Tail) -> Doubles:
        """By how much the value of each group may be off, with a confidence of 95%.

        It is not a number where nothing of a sample was seen.
        """
        squares, cubes, number, _, over, open_, steps = (a[: self._size] for a in self._arrays())
        with np.errstate(over="ignore", invalid="ignore"):
            largest = np.maximum(tail.largest, cubes / np.where(squares > 0, squares, 1))
            size = np.maximum(over, np.where(steps > 0, steps * largest, 0.0))
            variance = np.maximum(squares, np.where(open_ > 0, open_ * tail.square, 0.0))
            errors = _Z * np.sqrt(variance + (_Z / 2 * size) ** 2) + _Z**2 / 2 * size
            return np.where(number > 0, errors, np.nan)

    def parts(self) -> list[pa.Array]:
        """The sums of squares and of cubes."""
        return [from_numpy(array[: self._size]) for array in (self._squares, self._cubes)]

    def tails(self) -> list[pa.Array]:
        """How many values there are, and the magnitude that none exceeds; of no counts."""
        if self.counts:
            return []
        return [from_numpy(array[: self._size]) for array in (self._number, self._limit)]

    def fill(self, parts: Iterator[pa.Array], tails: Iterator[pa.Array], size: int) -> None:
        """Take what `parts` and `tails` gave; an older agent says nothing of tails."""
        self.resize(size)
        self._squares, self._cubes = _amounts(next(parts)), _amounts(next(parts))
        if self.counts:
            self._number, self._limit = self._squares.copy(), np.ones(size)
            return
        number, limit = next(tails, None), next(tails, None)
        unknown = np.full(size, np.inf)
        self._number = unknown if number is None else _amounts(number)
        self._limit = unknown if limit is None else _amounts(limit)

    def fill_counts(self, counts: Ints) -> None:
        """Take counts of which each is one; of sums nothing is known."""
        self.resize(len(counts))
        self._number[:] = counts if self.counts else np.inf
        self._limit[:] = 1.0 if self.counts else np.inf
        if self.counts:
            self._squares[:] = self._cubes[:] = counts


def magnitudes(column: pa.Array) -> tuple[Mask, Doubles]:
    """Which of some values are numbers, and how large those are."""
    numbers = is_number(column)
    return numbers, np.abs(doubles_of(column)[numbers])


def least_error(weight: int, share: float = 1.0) -> float:
    """By how much a count may be off of which no event at all was kept."""
    return _Z**2 * (weight - share)


def _amounts(column: pa.Array) -> Doubles:
    """Doubles; what was infinite has come as null."""
    return np.array(to_numpy(kernels.fill_null(column, np.inf)))
