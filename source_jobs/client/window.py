"""A piece of a live answer: a window, some rows, a second's completeness, or a gap."""

from __future__ import annotations

from copy import copy

import pyarrow as pa

from mql.columnar.layout import EVENT, TIME
from mql.exec.operator import WINDOW, Window
from mql.language.format import format_property
from mql.language.syntax import Property
from mql.layout import RowLayout
from mql.ledger import Completeness
from mql.planner.fields import prefix_name
from mql.result import Chunk
from mql.wire.codec import ProtocolError
from mql.wire.messages import Answer
from mql.wire.payload import read_batch
from source_jobs.client.actions import Gap, Piece


class LiveWindow(Chunk):
    """The rows of a window that has closed, or some rows of a query without windows.

    `completeness` says how complete they are; of a query without windows it comes once a second,
    without rows. `closes` is whether this ends a window. `gap` is set where something is missing
    before this; a lost connection makes one without rows.
    """

    def __init__(
        self,
        layout: RowLayout,
        batch: pa.RecordBatch | None,
        answer: Answer | None = None,
        gap: Gap | None = None,
    ) -> None:
        window = Window(None, None)
        if answer is not None and layout.timed:
            window = Window(answer.start_ms, answer.end_ms)
        super().__init__(layout, batch, window)
        self.completeness: Completeness | None = answer.completeness if answer else None
        self.closes = answer is not None and answer.closes
        self.wait_ms = answer.wait_ms if answer else 0
        """How long after the end of a span its `completeness` comes at the latest; 0: unknown."""
        self.gap = gap

    @property
    def batch(self) -> pa.RecordBatch | None:
        """The rows as they came, in the engine's own columns; None where only their lack did."""
        return self._batch

    def times_ms(self) -> list[int | None]:
        """When each row's event was, by the source job's clock, where rows are events."""
        if self._batch is None or TIME not in self._batch.schema.names:
            return [None] * self.num_rows
        times: list[int | None] = self._batch.column(TIME).to_pylist()
        return times

    def head(self, count: int) -> LiveWindow:
        """The same with the first rows only."""
        made = copy(self)
        made._batch = None if self._batch is None else self._batch.slice(0, count)  # noqa: SLF001
        return made


def read_piece(layout: RowLayout, piece: Piece) -> LiveWindow:
    """A piece of an answer as its reader gets it. Raises ProtocolError."""
    batch = None
    if piece.payload:
        batch = read_batch(piece.payload)
        missing = [name for name in _columns(layout) if name not in batch.schema.names]
        if missing:
            raise ProtocolError(f"an answer without the column {missing[0]}")
    gap = Gap(None, piece.answer.start_ms, piece.missed) if piece.missed else None
    return LiveWindow(layout, batch, piece.answer, gap)


def _columns(layout: RowLayout) -> list[str]:
    """The columns that the layout reads."""
    return [
        *(format_property(Property(path)) for path in layout.paths),
        *map(prefix_name, layout.prefixes),
        *[EVENT] * layout.everything,
        *[WINDOW] * layout.timed,
    ]
