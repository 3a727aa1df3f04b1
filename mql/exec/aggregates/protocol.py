"""The protocol of aggregate functions: one object holds the states of all groups, as arrays.

`ids` number the group of each row. A state can be updated from rows, cut down to some groups
(`select`), added to another (`merge`), and read (`result`). Nothing depends on how the rows were
cut into updates. Some states travel, as columns with a row for each group.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import to_numpy
from mql.columnar.layout import Doubles, Ints, Mask
from mql.exec.aggregates.arrival_order import Order


class Aggregator(Protocol):
    """The states of one aggregate for `size` groups; `held` counts the values kept one by one."""

    @property
    def held(self) -> int:
        """How many values are kept."""

    @property
    def held_bytes(self) -> int:
        """How much memory those take, and texts."""

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
INT, DOUBLE, FLAG, TEXT = pa.int64(), pa.float64(), pa.bool_(), pa.string()


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
        """Multiply the weight of each event so far."""


def read_ints(column: pa.Array) -> Ints:
    """A column of integers, copied. Raises ValueError if it is another, or has nulls."""
    return _checked(column, INT)


def read_doubles(column: pa.Array, missing: float = np.nan) -> Doubles:
    """A column of doubles, copied; nulls become `missing`: no column of a peer holds infinities."""
    known = kernels.fill_null(column, missing) if column.null_count else column
    return _checked(known, DOUBLE)


def read_flags(column: pa.Array) -> Mask:
    """A column of booleans, copied. Raises ValueError if it is another, or has nulls."""
    return _checked(column, FLAG)


def _checked(column: pa.Array, kind: pa.DataType) -> np.ndarray:
    if column.type != kind or column.null_count:
        raise ValueError(f"a column of {kind} without nulls, not {column.type}")
    return np.array(to_numpy(column))
