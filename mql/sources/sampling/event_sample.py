"""A sample of what a source reads: the first events, and then one in a thousand.

It is looked at for warnings about the query, whatever becomes of the events: also those that a
filter drops, and lines that are passed over unread, are among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.events.names import names_of_schema
from mql.events.profile import ProfileBuilder
from mql.sources.sampling.name_search import NameSearch
from mql.sources.slices import Slice

FIRST = 1_000
"""So many events from the start are looked at."""
EVERY = 1_000
"""Then one of so many is."""
_FIRST_BYTES_MAX = 1 << 25
"""But no more of the first events than take so many bytes."""
_PORTION_BYTES = 1 << 20
"""Lines are counted when they are so much: it costs a hundred calls."""
_LEARNED_BYTES = 1 << 16
"""So much of the lines says which bytes are rare."""
_NEWLINE = b"\n"


class EventSample(Protocol):
    """The sample of one source. `has_ended` is set where it is known that no more events come."""

    has_ended: bool

    @property
    def is_whole(self) -> bool:
        """Whether no event has been left out so far."""

    def settle(self) -> None:
        """Count what has been taken and not been counted."""


class LineSample:
    """A sample of lines of JSON.

    After the first lines it is taken by bytes: one line in as many as FIRST lines took.
    """

    def __init__(self, builder: ProfileBuilder) -> None:
        self._builder = builder
        self._lines: list[bytes] = []
        self._bytes = 0
        self._seen = 0  # of the first lines, or of all that come one by one
        self._first_bytes = 0
        self._stride = 0
        self._skip = 0  # bytes to be left out before the next line
        self._search: NameSearch | None = None
        self.is_whole = True
        self.has_ended = False

    def add(self, lines: Slice) -> None:
        """Take some of the next lines of a text."""
        data, place, end = lines
        if not self._stride:
            place = self._add_first(lines)
        if place >= end:
            return
        self.is_whole = False
        self._look(Slice(data, place, end))
        at = place + self._skip
        while at < end:
            if at > place:  # the line that begins at this byte, or after it
                place = data.find(_NEWLINE, at - 1, end) + 1
                if place in {0, end}:
                    at = end
                    break
            stop = data.find(_NEWLINE, place, end) + 1 or end
            self._take(data[place:stop])
            place, at = stop, stop + self._stride
        self._skip = at - end

    def add_texts(self, lines: Sequence[str], text: bytes) -> None:
        """Take some of the next lines, which come one by one; `text` are all of them."""
        rows = sampled_rows(self._seen, len(lines))
        self._seen += len(lines)
        for row in rows:
            self._take(lines[row].encode() + _NEWLINE)
        if len(rows) < len(lines):
            self.is_whole = False
            self._look(Slice(text, 0, len(text)))

    def _look(self, lines: Slice) -> None:
        """Look for names that none of the first events has."""
        if self._search is None:
            self.settle()
            data, start, end = lines
            self._search = NameSearch(self._builder, data[start : min(end, start + _LEARNED_BYTES)])
        self._search.look(lines)

    def settle(self) -> None:
        """Count what has been taken and not been counted."""
        lines, self._lines, self._bytes = self._lines, [], 0
        if lines:
            self._builder.add_lines(b"".join(lines))

    def _add_first(self, lines: Slice) -> int:
        """Take lines until there are enough; where the others begin."""
        data, start, end = lines
        place = start
        while place < end and self._seen < FIRST and self._first_bytes < _FIRST_BYTES_MAX:
            stop = data.find(_NEWLINE, place, end) + 1 or end
            self._seen += 1
            self._first_bytes += stop - place
            place = stop
        if start < place:
            self._take(data[start:place])
        if self._seen >= FIRST or self._first_bytes >= _FIRST_BYTES_MAX:
            self._stride = self._skip = EVERY * self._first_bytes // self._seen
        return place

    def _take(self, lines: bytes) -> None:
        self._lines.append(lines if lines.endswith(_NEWLINE) else lines + _NEWLINE)
        self._bytes += len(lines)
        if self._bytes >= _PORTION_BYTES:
            self.settle()


class RowSample:
    """A sample of the rows of tables, of which `seen` have come so far."""

    def __init__(self, builder: ProfileBuilder) -> None:
        self._builder = builder
        self.seen = 0
        self._schema: pa.Schema | None = None
        self.is_whole = True
        self.has_ended = False

    def add_schema(self, schema: pa.Schema) -> None:
        """Take the names that the next rows have, those too that the query does not read."""
        if self._schema is None or not schema.equals(self._schema):
            self._schema = schema
            self._builder.add_names(names_of_schema(schema))

    def add(self, batch: pa.RecordBatch) -> None:
        """Take some of the next rows."""
        rows = sampled_rows(self.seen, batch.num_rows)
        self.seen += batch.num_rows
        first = next((i for i, row in enumerate(rows) if i != row), len(rows))
        if first:
            self._builder.add_rows(batch.slice(0, first))
        if first < len(rows):
            self._builder.add_rows(kernels.take(batch, np.array(rows[first:])))
        self.is_whole = self.is_whole and len(rows) == batch.num_rows

    def settle(self) -> None:
        """Nothing waits."""


def sampled_rows(before: int, size: int) -> list[int]:
    """The rows, counted from 0, that are taken of the next ones after so many.

    >>> sampled_rows(998, 5_000)
    [0, 1, 2, 1002, 2002, 3002, 4002]
    """
    first = range(max(min(FIRST - before, size), 0))
    later = range(max(FIRST, -(-before // EVERY) * EVERY), before + size, EVERY)
    return [*first, *(number - before for number in later)]
