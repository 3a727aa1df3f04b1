"""Pieces of an answer: rows in messages of about a fitting size, and what closes a window."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from mql.batch import EVENT, TIME
from mql.exec.operator import WINDOW
from mql.format import format_property
from mql.layout import RowLayout
from mql.ledger import Completeness
from mql.planner.fields import prefix_name
from mql.syntax import Property

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an answer: rows, of a window if it has bounds; what is known of a span of time.

    `closes` is whether it is the last piece of its window.
    """

    batch: pa.RecordBatch | None
    start_ms: int | None = None
    end_ms: int | None = None
    closes: bool = False
    completeness: Completeness | None = None

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
    """The rows in parts of about a size that fits a message; none if there are none."""
    if not batch.num_rows:
        return []
    parts = min(batch.num_rows, -(-batch.nbytes // _PIECE_BYTES) or 1)
    if parts == 1:
        return [batch]
    bounds = np.linspace(0, batch.num_rows, parts + 1).astype(int).tolist()
    return [batch.slice(a, b - a) for a, b in pairwise(bounds)]
