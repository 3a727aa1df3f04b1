"""How far counts and sums that stand for more events than were seen may be off.

Where a service kept one event in k, at random and each by itself, an event x that was kept stands
for k, and sum(k·x) is what all would have given, on average (Horvitz and Thompson, "A
Generalization of Sampling Without Replacement From a Finite Universe", 1952). Its variance is
estimated by sum(k·(k - 1)·x²). Few events say little about it, so the bound is that of Wilson's
score interval for counts ("Probable Inference", 1927), its shift towards more added on both
sides. With z = 1.96, and L the greatest k - 1 times sum(k·(k - 1)·|x|³) / sum(k·(k - 1)·x²), by
which a sum of few large numbers is known less well than one of many small ones,

    error = z·sqrt(variance + (z·L/2)²) + z²·L/2
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from mql import kernels
from mql.arrays import from_numpy, to_numpy
from mql.batch import Doubles, Ints, Kind, doubles_of, is_null, kinds_of
from mql.exec.group import grown

_Z = 1.96
"""The true value is inside the bounds in 95 of 100 cases."""


class Spread:
    """Sums of squares and of cubes of groups; `weigh` makes them those of a sample."""

    columns = 2
    """How many `parts` there are."""

    def __init__(self) -> None:
        self._size = 0
        self._weight = 1
        self._squares = np.zeros(0)
        self._cubes = np.zeros(0)

    def resize(self, size: int) -> None:
        """Make room for groups up to `size`."""
        self._size = size
        self._squares = grown(self._squares, size, 0.0)
        self._cubes = grown(self._cubes, size, 0.0)

    def update(self, ids: Ints, column: pa.Array, *, counts: bool) -> None:
        """Take rows in: as many as have a value, if it `counts` them, else the numbers."""
        if counts:
            ids = ids[~is_null(column)]
            sizes = np.ones(len(ids))
        else:
            kinds = kinds_of(column)
            numbers = (kinds == Kind.INT) | (kinds == Kind.DOUBLE)
            ids, sizes = ids[numbers], np.abs(doubles_of(column)[numbers])
        with np.errstate(over="ignore"):
            np.add.at(self._squares, ids, sizes**2)
            np.add.at(self._cubes, ids, sizes**3)

    def weigh(self, weight: int) -> None:
        """Each event stands for so many."""
        with np.errstate(over="ignore", invalid="ignore"):
            self._squares *= weight * (weight - 1.0)
            self._cubes *= weight * (weight - 1.0)
        self._weight = weight

    def select(self, ids: Ints) -> Spread:
        """That of some groups."""
        part = Spread()
        part._size, part._weight = len(ids), self._weight
        part._squares, part._cubes = self._squares[ids], self._cubes[ids]
        return part

    def merge(self, other: Spread, ids: Ints) -> None:
        """Add another's; its group i goes into group ids[i]."""
        size = other._size
        self._weight = max(self._weight, other._weight)
        with np.errstate(over="ignore", invalid="ignore"):
            np.add.at(self._squares, ids, other._squares[:size])
            np.add.at(self._cubes, ids, other._cubes[:size])

    def errors(self) -> Doubles:
        """By how much the value of each group may be off, with a confidence of 95%."""
        squares, cubes = self._squares[: self._size], self._cubes[: self._size]
        with np.errstate(over="ignore", invalid="ignore"):
            size = (self._weight - 1) * cubes / np.where(squares > 0, squares, 1)
            return _Z * np.sqrt(squares + (_Z / 2 * size) ** 2) + _Z**2 / 2 * size

    def parts(self) -> list[pa.Array]:
        """The sums of squares and of cubes."""
        return [from_numpy(array[: self._size]) for array in (self._squares, self._cubes)]

    def fill(self, parts: Iterator[pa.Array], size: int) -> None:
        """Take what `parts` gave."""
        self._size = size
        self._squares, self._cubes = _amounts(next(parts)), _amounts(next(parts))


def least_error(weight: int) -> float:
    """By how much a count may be off of which no event at all was kept."""
    return _Z**2 * (weight - 1)


def _amounts(column: pa.Array) -> Doubles:
    """Doubles; what was infinite has come as null."""
    return np.array(to_numpy(kernels.fill_null(column, np.inf)))
