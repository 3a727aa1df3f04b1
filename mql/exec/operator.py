"""What flows between operators, and what an operator is.

Before the window step a block is events: a batch with a `*time` column, and how far time has
come. After it a block is panes: the rows of windows that have closed, in the windows' order,
with a `*window` column that says which of `windows` a row belongs to. A query without a window
step stays with events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import to_numpy
from mql.columnar.layout import Ints, Mask

WINDOW = "*window"

WEIGHT = "*weight"
"""The column that says for how many events one stands that was kept of a sample."""


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open range of time in ms; both ends None if the window is not one of time."""

    start_ms: int | None
    end_ms: int | None


@dataclass(frozen=True, slots=True)
class Times:
    """The times of events in order of arrival, in ms, and what was known before each.

    `seen[i]` is the greatest time before event i. `now_ms` is how far time has come after the
    last one, with or without an event.
    """

    times: Ints
    seen: Ints
    now_ms: int


@dataclass(frozen=True, slots=True)
class Block:
    """A batch, the windows it closes (None before the window step), and how far time has come.

    `times` are those of all events that were read for the block, whatever has been filtered out
    since, each with the greatest time before it; None where nothing needs them.
    """

    batch: pa.RecordBatch
    windows: tuple[Window, ...] | None = None
    times: Times | None = None

    def with_batch(self, batch: pa.RecordBatch) -> Block:
        """The same windows and times around other rows."""
        return Block(batch, self.windows, self.times)


class Operator(Protocol):
    """One step of a running query. It knows no other operator, no clock and no file."""

    done: bool
    """Set when no further block can change the answer."""

    @property
    def held_bytes(self) -> int:
        """About how much memory its state takes."""

    def push(self, block: Block) -> list[Block]:
        """Take a block; give what follows from it."""

    def finish(self, end_ms: int | None) -> list[Block]:
        """The input has ended, at `end_ms` if that is known; give what is left."""


@dataclass(slots=True)
class Counters:
    """What operators count for the one who asked. They only ever add.

    `errors` are, for each window that has closed, by how much the counts and sums that stand for
    more events than were seen may be off, at most, by column; whoever reads them takes them out.
    `last_window_events` is how many a last window of a number of events has that is not full.
    """

    late: int = 0
    without_time: int = 0
    sampled_out: int = 0
    gaps: int = 0
    last_window_events: int = 0
    errors: dict[Window, dict[str, float]] = field(default_factory=dict)


class PerBlock:
    """The base of operators that turn each block into one, and keep nothing for the end."""

    done = False
    held_bytes = 0

    def push(self, block: Block) -> list[Block]:
        """Take a block; give what follows from it."""
        return [self.apply(block)]

    def apply(self, block: Block) -> Block:
        """The block that follows from one."""
        raise NotImplementedError

    def finish(self, end_ms: int | None) -> list[Block]:  # noqa: ARG002 - the protocol's shape
        """Nothing is left."""
        return []


def keep(batch: pa.RecordBatch, mask: Mask) -> pa.RecordBatch:
    """The rows where the mask is true."""
    if mask.all():
        return batch
    return kernels.take(batch, np.flatnonzero(mask))


def window_index(block: Block) -> Ints:
    """Which of the block's windows each row belongs to."""
    index: Ints = to_numpy(block.batch.column(WINDOW))
    return index


def with_columns(batch: pa.RecordBatch, columns: dict[str, pa.Array]) -> pa.RecordBatch:
    """The batch with columns added or replaced."""
    merged = dict(zip(batch.schema.names, batch.columns, strict=True)) | columns
    return pa.RecordBatch.from_arrays(list(merged.values()), list(merged))
