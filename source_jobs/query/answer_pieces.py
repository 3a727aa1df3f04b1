"""Pieces of an answer: rows in messages of about a fitting size, and what closes a window."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from mql.columnar.layout import EVENT, TIME
from mql.exec.operator import WINDOW
from mql.language.format import format_property
from mql.language.syntax import Property
from mql.layout import RowLayout
from mql.ledger import Completeness
from mql.planner.fields import prefix_name

_PIECE_BYTES = 1 << 20
_VALUE_BYTES = 16
"""A value takes as much where it is written out, whatever it takes as a part of a column."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an answer: rows, of a window if it has bounds; what is known of a span of time.

    `closes` is whether it is the last piece of its window. What is known of a span comes at the
    latest `wait_ms` after its end.
    """

    batch: pa.RecordBatch | None
    start_ms: int | None = None
    end_ms: int | None = None
    closes: bool = False
    completeness: Completeness | None = None
    wait_ms: int = 0

    @property
    def num_rows(self) -> int:
        """How many rows."""
        return 0 if self.batch is None else int(self.batch.num_rows)


def columns_of(layout: RowLayout) -> list[str]:
    """The columns of which rows are made, and those that say when and in which window."""
    names = [format_property(Property(path)) for path in layout.paths]
    prefixes = [prefix_name(prefix) for prefix in layout.prefixes]
    names = [TIME, WINDOW, *prefixes, *[EVENT] * layout.everything, *names]
    return list(dict.fromkeys(names))


def cut(batch: pa.RecordBatch) -> list[pa.RecordBatch]:
    """The rows in parts of about a size that fits a message; none if there are none.

    They fit one as columns, and as rows that name each value.
    """
    if not batch.num_rows:
        return []
    size = max(batch.nbytes, _written(batch))
    parts = min(batch.num_rows, -(-size // _PIECE_BYTES) or 1)
    if parts == 1:
        return [batch]
    bounds = np.linspace(0, batch.num_rows, parts + 1).astype(int).tolist()
    return [batch.slice(a, b - a) for a, b in pairwise(bounds)]


def _written(batch: pa.RecordBatch) -> int:
    """About how many bytes the rows take at least as text: nulls in columns take none."""
    row = sum(len(name) + _VALUE_BYTES for name in batch.schema.names)
    lists = (column for column in batch.columns if pa.types.is_list(column.type))
    values = sum(len(each.flatten()) for each in lists)
    return int(batch.num_rows) * row + _VALUE_BYTES * values
