"""The protocol of readers: events go in, a batch comes out, and bad lines are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from mql.columnar.layout import Ints
from mql.events.lines import Chunk, Lines
from mql.events.times import TimeUnit
from mql.language.syntax import Property


@dataclass(slots=True)
class BadLines:
    """The lines that are not a JSON object: how many, and the first one's number and reason."""

    count: int = 0
    first: int | None = None
    reason: str = ""

    def add(self, line: int, reason: str) -> None:
        """Count a line, by its 1-based number."""
        self.count += 1
        if self.first is None:
            self.first, self.reason = line, reason


@dataclass(frozen=True, slots=True)
class TimeProperty:
    """The property that holds the event's time, and how it is written."""

    path: Property
    unit: TimeUnit


@dataclass(frozen=True, slots=True)
class Read:
    """Events that have been read: a batch, and the times of all, kept or not.

    `rows` says which of all events the batch holds (None: all of them). `lines` are what was read,
    if they are the events, one for one.
    """

    batch: pa.RecordBatch
    times: pa.Array
    rows: Ints | None = None
    lines: Lines | None = None


class Reader(Protocol):
    """Turns events into batches."""

    @property
    def bad(self) -> BadLines:
        """What could not be read so far."""

    @property
    def width(self) -> int:
        """How many columns are made of lines."""

    def from_lines(
        self, chunk: Chunk, now_ms: int | None = None, times: Sequence[int | None] | None = None
    ) -> Read:
        """The events of the next whole lines of NDJSON."""

    def from_events(
        self,
        events: Sequence[dict[str, object]],
        times: Sequence[int | None] | None = None,
        now_ms: int | None = None,
    ) -> Read:
        """Events that are Python dicts."""

    def needed(self, table: pa.RecordBatch) -> pa.RecordBatch:
        """The columns of a record batch that `from_table` reads."""

    def from_table(self, batches: Sequence[pa.RecordBatch]) -> Read:
        """The rows of record batches of one schema."""

    def pass_over_line(self, reason: str) -> None:
        """Count a line that was not even looked at."""
