"""STDDEV: the deviation of a sample, from states that merge without loss of digits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from mql.columnar.arrays import from_numpy
from mql.columnar.build import doubles_where
from mql.columnar.kinds import is_number
from mql.columnar.layout import Doubles, Ints
from mql.columnar.read import doubles_of
from mql.exec.aggregates.arrival_order import Order
from mql.exec.aggregates.group_keys import grown
from mql.exec.aggregates.protocol import DOUBLE, INT, Aggregator, Kinds, read_doubles, read_ints


class Deviation:
    """STDDEV (of the sample): count, mean and squared distances, merged pairwise.

    Source: Chan, Golub, LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing
    Sample Variances" (1979).
    """

    held = held_bytes = 0
    kinds: Kinds = (INT, DOUBLE, DOUBLE)

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
        """Multiply the weight of each event so far."""
        self._counts *= weight
        with np.errstate(over="ignore", invalid="ignore"):
            self._squares *= weight

    def result(self) -> pa.Array:
        """Doubles; null without two numbers."""
        n = self._size
        counts = self._counts[:n]
        with np.errstate(all="ignore"):
            values = np.sqrt(self._squares[:n] / np.maximum(counts - 1, 1))
        return doubles_where(values, counts > 1)

    def parts(self) -> list[pa.Array]:
        """Counts, means and squared distances."""
        return [from_numpy(a[: self._size]) for a in (self._counts, self._means, self._squares)]

    def fill(self, parts: Iterator[pa.Array], size: int) -> None:
        """Take counts, means and squared distances."""
        self._size = size
        self._counts = read_ints(next(parts))
        self._means, self._squares = read_doubles(next(parts)), read_doubles(next(parts))
