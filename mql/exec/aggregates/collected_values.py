"""Values kept for groups: all, the numbers, the distinct ones, or one of each group.

Rows are appended as they come and thinned out each time they have doubled, so that memory
follows what has to be kept, and the work stays a small multiple of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from math import ceil as ceiling

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import from_numpy, to_numpy
from mql.columnar.build import column_of, null_where
from mql.columnar.concat import concat
from mql.columnar.kinds import is_null, is_number
from mql.columnar.layout import Ints, Mask
from mql.columnar.read import doubles_of, rests_of, to_python
from mql.exec.aggregates.arrival_order import Order
from mql.exec.aggregates.group_keys import combine, encode, grown

_DENOMINATOR_MAX = 1_000_000
"""With a smaller one 64 bits hold the place among any number of values that can be held."""
_SLACK = 65_536
"""Rows that may pile up before they are first thinned out."""
_NOWHERE = np.iinfo(np.int64).max
"""Behind all places in the order of arrival."""

_NUMBERS = (pa.int64(), pa.float64())
_PLAIN = (*_NUMBERS, pa.string(), pa.bool_())


class Keep(Enum):
    """Which of a group's values stay."""

    ALL = "all"
    NUMBERS = "numbers"
    DISTINCT = "the first of equal ones"
    FIRST = "the first"
    LAST = "the last"
    LEAST = "the least string"
    GREATEST = "the greatest string"


@dataclass(frozen=True, slots=True)
class Rows:
    """Values with their group and their place in the order of arrival; no nulls."""

    ids: Ints
    order: Ints
    column: pa.Array

    @property
    def nbytes(self) -> int:
        """How much memory they take."""
        return self.ids.nbytes + self.order.nbytes + self.column.nbytes

    def take(self, rows: Ints) -> Rows:
        """Some of the rows, in this order."""
        return Rows(self.ids[rows], self.order[rows], kernels.take(self.column, rows))


_NONE = Rows(np.zeros(0, np.int64), np.zeros(0, np.int64), pa.nulls(0))


class Collected:
    """The kept values of `size` groups."""

    def __init__(self, keep: Keep) -> None:
        self.keep = keep
        self.size = 0
        self._chunks: list[Rows] = []
        self._pending = 0
        self._settled = 0
        self.held_bytes = 0
        self._lowest: Ints = np.zeros(0, np.int64)
        """Of each group the place of its first value; that of nothing yet is behind all places."""

    @property
    def held(self) -> int:
        """How many values are kept, equal ones that have not been thinned out among them."""
        return self._pending + self._settled

    def resize(self, size: int) -> None:
        """Make room for groups up to `size`."""
        self.size = size
        if self.keep is Keep.FIRST:
            self._lowest = grown(self._lowest, size, fill=_NOWHERE)

    def update(self, ids: Ints, column: pa.Array, order: Order) -> None:
        """Append the rows that have a value (a number, for NUMBERS), in order of arrival."""
        rows = Rows(ids, order.places, column)
        wanted = _wanted(self.keep, column)
        if wanted is not None:
            rows = rows.take(np.flatnonzero(wanted))
        if self.keep is Keep.FIRST:
            rows = self._first_ones(rows)
        elif self.keep is Keep.LAST:
            rows = _thin(rows, self.keep)
        self._append(rows)

    def fill(self, column: pa.Array, order: Ints) -> None:
        """Become the values of as many groups, one each where there is one."""
        rows = Rows(np.arange(len(column)), order, column)
        wanted = _wanted(self.keep, column)
        if wanted is not None:
            rows = rows.take(np.flatnonzero(wanted))
        self.resize(len(column))
        if self.keep is Keep.FIRST:
            self._lowest[rows.ids] = rows.order
        self._append(rows)

    def _first_ones(self, rows: Rows) -> Rows:
        """The first row of each group in which it comes before the value that is there."""
        new = np.flatnonzero(rows.order < self._lowest[rows.ids])
        if not len(new):
            return _NONE
        _, first = np.unique(rows.ids[new], return_index=True)
        found = rows.take(new[np.sort(first)])
        self._lowest[found.ids] = found.order
        return found

    def _append(self, rows: Rows) -> None:
        if not len(rows.ids):
            return
        self._chunks.append(rows)
        self._pending += len(rows.ids)
        self.held_bytes += rows.nbytes
        grows = self.keep in (Keep.ALL, Keep.NUMBERS)
        if not grows and self._pending > self._settled + _SLACK:
            self.rows()

    def rows(self) -> Rows:
        """All kept rows, thinned out, in order of arrival."""
        if not self._chunks:
            return _NONE
        joined = self._chunks[0]
        if len(self._chunks) > 1:
            joined = Rows(
                np.concatenate([c.ids for c in self._chunks]),
                np.concatenate([c.order for c in self._chunks]),
                concat([c.column for c in self._chunks]),
            )
        if (np.diff(joined.order) < 0).any():
            joined = joined.take(np.argsort(joined.order, kind="stable"))
        kept = _thin(joined, self.keep)
        self._chunks, self._pending, self._settled = [kept], 0, len(kept.ids)
        self.held_bytes = kept.nbytes
        return kept

    def select(self, ids: Ints) -> Collected:
        """The values of some groups, renumbered."""
        part = Collected(self.keep)
        part.resize(len(ids))
        if self.keep is Keep.FIRST:
            part._lowest = self._lowest[ids]
        number = np.full(self.size, -1, np.int64)
        number[ids] = np.arange(len(ids))
        for chunk in self._chunks:
            renumbered = number[chunk.ids]
            mine = renumbered >= 0
            rows = Rows(renumbered, chunk.order, chunk.column)
            part._append(rows if mine.all() else rows.take(np.flatnonzero(mine)))
        return part

    def merge(self, other: Collected, ids: Ints) -> None:
        """Take another's rows in; its group i goes into group ids[i]."""
        for chunk in other._chunks:
            rows = Rows(ids[chunk.ids], chunk.order, chunk.column)
            if self.keep is Keep.FIRST:
                np.minimum.at(self._lowest, rows.ids, rows.order)
            self._append(rows)

    def one_each(self) -> tuple[pa.Array, Mask]:
        """The value of each group, where one is kept, and which groups have one."""
        rows = self.rows()
        has = np.zeros(self.size, np.bool_)
        if not len(rows.ids):
            return pa.nulls(self.size, pa.string()), has
        place = np.zeros(self.size, np.int64)
        place[rows.ids] = np.arange(len(rows.ids))
        has[rows.ids] = True
        return null_where(kernels.take(rows.column, place), ~has), has

    def order_each(self) -> Ints:
        """The place in the order of arrival of the value of each group, 0 where none is kept."""
        rows = self.rows()
        order = np.zeros(self.size, np.int64)
        order[rows.ids] = rows.order
        return order

    def lists(self) -> pa.Array:
        """A list value of each group, null where it is empty."""
        rows = self.rows()
        lists: list[list[object] | None] = [None] * self.size
        for group, value in zip(rows.ids.tolist(), to_python(rows.column), strict=True):
            held = lists[group]
            if held is None:
                lists[group] = [value]
            else:
                held.append(value)
        return column_of(list(lists))

    def at_quantile(self, quantile: Fraction) -> pa.Array:
        """The number of each group at min(ceil(q·n), n - 1) of its n sorted ones."""
        rows = self.rows()
        if not len(rows.ids):
            return pa.nulls(self.size)
        order = _sorted_by_group(rows)
        counts = np.bincount(rows.ids, minlength=self.size)
        starts = np.cumsum(counts) - counts
        if quantile.denominator < _DENOMINATOR_MAX:
            ceil = -(-counts * quantile.numerator // quantile.denominator)
        else:
            exact = (ceiling(quantile * count) for count in counts.tolist())
            ceil = np.fromiter(exact, np.int64, len(counts))
        position = starts + np.minimum(ceil, counts - 1)
        empty = counts == 0
        picked = order[np.where(empty, 0, position)]
        return null_where(kernels.take(rows.column, picked), empty)


def _wanted(keep: Keep, column: pa.Array) -> Mask | None:
    """Which rows have a value that is kept; None if all have."""
    numbers = keep is Keep.NUMBERS
    if column.type in (_NUMBERS if numbers else _PLAIN) and not column.null_count:
        return None
    return is_number(column) if numbers else ~is_null(column)


def _thin(rows: Rows, keep: Keep) -> Rows:
    """The rows that stay, in the order they are in."""
    match keep:
        case Keep.ALL | Keep.NUMBERS:
            return rows
        case Keep.FIRST:
            return rows.take(np.sort(np.unique(rows.ids, return_index=True)[1]))
        case Keep.LAST:
            backwards = np.unique(rows.ids[::-1], return_index=True)[1]
            return rows.take(np.sort(len(rows.ids) - 1 - backwards))
        case Keep.DISTINCT:
            codes, values = encode(rows.column)
            sizes = [int(rows.ids.max(initial=0)) + 1, len(values)]
            _, first = combine([rows.ids, codes], sizes)
            return rows if len(first) == len(codes) else rows.take(first)
        case Keep.LEAST | Keep.GREATEST:
            direction = "ascending" if keep is Keep.LEAST else "descending"
            table = pa.table({"id": from_numpy(rows.ids), "text": rows.column})
            keys = [("id", "ascending"), ("text", direction)]
            order = to_numpy(kernels.sort_indices(table, keys))
            first = np.unique(rows.ids[order], return_index=True)[1]
            return rows.take(np.sort(order[first].astype(np.int64)))


def _sorted_by_group(rows: Rows) -> Ints:
    """Row numbers, by group and then by number; exact beyond 2^53, and of equal ones in order."""
    doubles = doubles_of(rows.column)
    keys = [doubles, rows.ids]
    is_plain = rows.column.type in _NUMBERS
    if rows.column.type != pa.float64() and (rests := rests_of(rows.column)).any():
        keys.insert(0, rests)
    if len(keys) == 2 and rows.ids.max(initial=0) < 2**15:  # noqa: PLR2004 - a radix sort then
        by_number = np.argsort(doubles, kind=None if is_plain else "stable")
        small = rows.ids.astype(np.int16)[by_number]
        return by_number[np.argsort(small, kind="stable")]
    order: Ints = np.lexsort(keys)
    return order
