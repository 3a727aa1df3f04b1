"""What conditions ask of a frame; frames ask conditions in turn, for `if`."""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa

from mql.columnar.layout import Ints
from mql.language.syntax import Property, Value


class Rows(Protocol):
    """Some rows, and the values of expressions on them."""

    @property
    def size(self) -> int:
        """How many rows there are."""

    def evaluate(self, value: Value) -> pa.Array:
        """The column of a value, `size` long."""

    def elements(self, path: Property) -> Elements | None:
        """What a path with `[*]` leads to as rows; None if these are such rows."""


class Elements(Rows, Protocol):
    """The elements of a `[*]` path as rows; element i is of row `rows[i]` of the outer ones."""

    @property
    def rows(self) -> Ints:
        """The row of each element."""
