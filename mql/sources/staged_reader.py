"""Reading with a filter in mind: decode what the filter needs, then the rest of what it passes.

Where few lines pass, most are never decoded beyond the filter's fields, and their text is never
copied. The answer is the same as that of reading everything and filtering then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.layout import Ints
from mql.events.decode import EventReader
from mql.events.lines import Chunk
from mql.events.reader import BadLines, Read, TimeProperty
from mql.exec.operators.filter import FilterOperator
from mql.language.syntax import Condition
from mql.planner.fields import Fields, condition_fields

DENSE = 0.5
"""From this share of lines that pass, everything is decoded at once the next time."""


class ScreeningReader:
    """Reads events that pass a filter: the first condition's fields of all, the rest of the few."""

    def __init__(
        self,
        fields: Fields,
        conditions: tuple[Condition, ...],
        time: TimeProperty | None,
        now_ms: Callable[[], int],
    ) -> None:
        screen, every = condition_fields(conditions[:1]), condition_fields(conditions)
        first = tuple(c for c in conditions if condition_fields((c,)) <= screen)
        others = tuple(c for c in conditions if c not in first)
        self._first = FilterOperator(first, now_ms)
        self._others = FilterOperator(others, now_ms)
        self._all = FilterOperator(conditions, now_ms)
        self._narrow = EventReader(screen, time)
        self._rest = EventReader(fields | condition_fields(others), time)
        self._full = EventReader(fields | every, time)
        self._again = EventReader(fields | every, time)
        self._enough = (fields | condition_fields(others)) <= screen
        self._nothing = self._rest.from_events([]).batch
        self._dense = False

    @property
    def bad(self) -> BadLines:
        """What could not be read so far."""
        return self._narrow.bad

    @bad.setter
    def bad(self, bad: BadLines) -> None:
        self._narrow.bad = self._full.bad = bad

    @property
    def known(self) -> set[str] | None:
        """The names of columns that have had a value, where somebody wants to know."""
        return self._narrow.known

    @known.setter
    def known(self, known: set[str] | None) -> None:
        for reader in (self._narrow, self._rest, self._full, self._again):
            reader.known = known

    @property
    def width(self) -> int:
        """How many columns are made of lines."""
        return self._full.width

    def pass_over_line(self, reason: str) -> None:
        """Count a line that was not even looked at."""
        self._narrow.pass_over_line(reason)
        self._full.lines = self._narrow.lines

    def from_lines(
        self, chunk: Chunk, now_ms: int | None = None, times: Sequence[int | None] | None = None
    ) -> Read:
        """The events of the next whole lines that pass."""
        if self._dense and not self._enough:
            read = self._screened(self._full.from_lines(chunk, now_ms, times))
            self._narrow.lines = self._full.lines
        else:
            read = self._two_steps(chunk, now_ms, times)
            self._full.lines = self._narrow.lines
        assert read.rows is not None
        self._dense = len(read.rows) > DENSE * len(read.times)
        return read

    def _two_steps(
        self, chunk: Chunk, now_ms: int | None, times: Sequence[int | None] | None
    ) -> Read:
        narrow = self._narrow.from_lines(chunk, now_ms, times)
        rows = np.flatnonzero(self._first.mask(narrow.batch))
        if self._enough:
            return Read(kernels.take(narrow.batch, rows), narrow.times, rows)
        if not len(rows):
            return Read(self._nothing, narrow.times, rows)
        if narrow.lines is None:
            return self._screened(self._again.from_lines(chunk, now_ms, times))
        passed = "".join(kernels.take(narrow.lines.texts(), rows).to_pylist())
        theirs = None if times is None else [times[row] for row in rows.tolist()]
        rest = self._rest.from_lines(passed.encode(), now_ms, theirs).batch
        kept = np.flatnonzero(self._others.mask(rest))
        return Read(kernels.take(rest, kept), narrow.times, rows[kept])

    def from_events(
        self,
        events: Sequence[dict[str, object]],
        times: Sequence[int | None] | None = None,
        now_ms: int | None = None,
    ) -> Read:
        """Those of some dicts that pass."""
        return self._screened(self._full.from_events(events, times, now_ms))

    def needed(self, table: pa.RecordBatch) -> pa.RecordBatch:
        """The columns of a record batch that `from_table` reads."""
        return self._full.needed(table)

    def from_table(self, batches: Sequence[pa.RecordBatch]) -> Read:
        """Those rows of record batches of one schema that pass."""
        if self._dense and not self._enough:
            read = self._screened(self._full.from_table(batches))
        else:
            read = self._table_in_two_steps(batches)
        assert read.rows is not None
        self._dense = len(read.rows) > DENSE * len(read.times)
        return read

    def _table_in_two_steps(self, batches: Sequence[pa.RecordBatch]) -> Read:
        narrow = self._narrow.from_table(batches)
        rows = np.flatnonzero(self._first.mask(narrow.batch))
        if self._enough:
            return Read(kernels.take(narrow.batch, rows), narrow.times, rows)
        if not len(rows):
            return Read(self._nothing, narrow.times, rows)
        needed = [self._rest.needed(batch) for batch in batches]
        rest = self._rest.from_table(_rows_of(needed, rows)).batch
        kept = np.flatnonzero(self._others.mask(rest))
        return Read(kernels.take(rest, kept), narrow.times, rows[kept])

    def _screened(self, read: Read) -> Read:
        rows: Ints = np.flatnonzero(self._all.mask(read.batch))
        return Read(kernels.take(read.batch, rows), read.times, rows)


def _rows_of(batches: Sequence[pa.RecordBatch], rows: Ints) -> list[pa.RecordBatch]:
    """Those of the rows, numbered through all batches, that each of those has."""
    ends = np.cumsum([batch.num_rows for batch in batches])
    parts = np.split(rows, np.searchsorted(rows, ends[:-1]))
    starts = ends - [batch.num_rows for batch in batches]
    each = zip(batches, parts, starts, strict=True)
    return [kernels.take(batch, part - start) for batch, part, start in each if len(part)]
