"""Events to batches: from lines of JSON, from Python dicts, from Arrow.

A reader knows which fields are needed and decodes nothing else. It counts what it cannot read;
nothing that an event holds makes it raise.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa

from mql.columnar.arrays import from_numpy, ints
from mql.columnar.arrays import texts as text_column
from mql.columnar.build import column_of, list_column_of
from mql.columnar.layout import EVENT, TIME
from mql.events.lines import Chunk, Lines, null_infinite, tidy
from mql.events.native import Decoded, NativeDecoder
from mql.events.objects import Objects
from mql.events.reader import BadLines, Read, TimeProperty
from mql.events.table_columns import column_of_table, concat_tables, events_of_table
from mql.events.times import TimeUnit, recognize, to_milliseconds
from mql.language.format import format_property
from mql.language.syntax import AnyElement, Property
from mql.planner.fields import Fields, prefix_name
from mql.values.json_coercion import normalize
from mql.values.json_values import is_json, read_json, walk, write_json


class EventReader:
    """Turns events into batches of the needed columns."""

    def __init__(
        self, fields: Fields, time: TimeProperty | None = None, *, native: bool = True
    ) -> None:
        self._fields = fields
        self._time = time
        paths = fields.paths + ((time.path,) if time else ())
        self._paths = [(format_property(path), path) for path in dict.fromkeys(paths)]
        self._fits = native and not fields.prefixes
        self.bad = BadLines()
        self.lines = 0
        self.known: set[str] | None = None
        """The names of columns that have had a value, where somebody wants to know."""

    @property
    def width(self) -> int:
        """How many columns are made of lines."""
        return len(self._paths) + len(self._fields.prefixes) + self._fields.event

    @cached_property
    def _native(self) -> NativeDecoder | None:
        """What decodes lines, if compiled code can."""
        return NativeDecoder.of([path.steps for _, path in self._paths]) if self._fits else None

    @cached_property
    def _objects(self) -> Objects:
        """What decodes lines that compiled code does not take."""
        return Objects([path for _, path in self._paths])

    def pass_over_line(self, reason: str) -> None:
        """Count a line that was not even looked at."""
        self.lines += 1
        self.bad.add(self.lines, reason)

    def from_lines(
        self, chunk: Chunk, now_ms: int | None = None, times: Sequence[int | None] | None = None
    ) -> Read:
        """The events of the next whole lines of NDJSON; the last one may lack its newline.

        Without a time property an event's time is that of its line in `times`, or `now_ms`.
        """
        decoded = self._native.decode(chunk) if self._native is not None else None
        if decoded is None:
            chunk = tidied = null_infinite(tidy(bytes(chunk)))
            decoded = self._by_objects(tidied)
            if decoded is None:
                first, self.lines = self.lines + 1, self.lines + tidied.count(b"\n")
                return self._from_odd_lines(tidied, first, now_ms, times)
        lines = Lines(chunk, decoded.line_ends)
        self.lines += len(lines)
        columns = dict(zip((name for name, _ in self._paths), decoded.columns, strict=True))
        text = lines.texts() if self._fields.event else None
        given = None if times is None else ints(times)
        return self._read(columns, len(lines), text, now_ms, given, lines)

    def _by_objects(self, chunk: bytes) -> Decoded | None:
        """The columns of a chunk in which every line is an event, by way of Python objects."""
        lines = Lines(chunk)
        if not lines.are_objects or self._fields.prefixes:
            return None
        columns = self._objects.columns(chunk, len(lines))
        return None if columns is None else Decoded(columns, lines.ends)

    def _from_odd_lines(
        self,
        chunk: bytes,
        first_line: int,
        now_ms: int | None,
        times: Sequence[int | None] | None,
    ) -> Read:
        """Line by line: for chunks in which something is not as it should be."""
        events: list[dict[str, object]] = []
        texts: list[str] = []
        kept: list[int | None] = []
        for number, line in enumerate(chunk.split(b"\n"), first_line):
            if not line or line.isspace():
                continue
            try:
                event = read_json(line)
            except ValueError as error:
                self.bad.add(number, str(error))
                continue
            if isinstance(event, dict):
                events.append(event)
                kept.append(None if times is None else times[number - first_line])
                texts.append(line.decode().strip() if is_json(line) else write_json(event))
            else:
                self.bad.add(number, "it is JSON, but not an object")
        given = None if times is None else kept
        return self.from_events(events, given, now_ms, texts)

    def from_events(
        self,
        events: Sequence[dict[str, object]],
        times: Sequence[int | None] | None = None,
        now_ms: int | None = None,
        texts: Sequence[str] | None = None,
    ) -> Read:
        """Events that are Python dicts, with their times in ms if they have some."""
        columns = {name: _column_of_dicts(events, path) for name, path in self._paths}
        for prefix in self._fields.prefixes:
            columns[prefix_name(prefix)] = column_of([_starting(event, prefix) for event in events])
        text = None
        if self._fields.event:
            text = text_column(texts or [write_json(event) for event in events])
        given = None if times is None else ints(times)
        return self._read(columns, len(events), text, now_ms, given)

    def needed(self, table: pa.RecordBatch) -> pa.RecordBatch:
        """The columns of a record batch that `from_table` reads; itself, if all are needed."""
        if self._fields.event or self._fields.prefixes:
            return table
        keys = dict.fromkeys(path.steps[0] for _, path in self._paths)
        return table.select([key for key in table.schema.names if key in keys])

    def from_table(self, batches: Sequence[pa.RecordBatch]) -> Read:
        """The events of record batches of one schema; by the row only where a cell is nested."""
        table = concat_tables([self.needed(batch) for batch in batches])
        events = events_of_table(table) if self._fields.event else None
        if self._fields.prefixes or (self._fields.event and events is None):
            return self.from_events(table.to_pylist())
        columns = {}
        for name, path in self._paths:
            made = column_of_table(table, path)
            if made is None:
                return self.from_events(table.to_pylist())
            columns[name] = made
        return self._read(columns, table.num_rows, events, None)

    def _read(
        self,
        columns: dict[str, pa.Array],
        size: int,
        events: pa.Array | None,
        now_ms: int | None,
        times: pa.Array | None = None,
        lines: Lines | None = None,
    ) -> Read:
        if self.known is not None:
            self.known.update(name for name, column in columns.items() if _has_values(column))
        if self._time is not None:
            times = to_milliseconds(columns[format_property(self._time.path)], self._time.unit)
        if times is None:
            times = (
                pa.nulls(size, pa.int64()) if now_ms is None else from_numpy(np.full(size, now_ms))
            )
        columns = {TIME: times, **columns}
        if events is not None:
            columns[EVENT] = events
        batch = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
        return Read(batch, times, lines=lines)


def _has_values(column: pa.Array) -> bool:
    """Whether a column that was made of events has a type, or its elements have, from a value."""
    kind = column.type
    return not pa.types.is_null(kind.value_type if pa.types.is_list(kind) else kind)


def _column_of_dicts(events: Sequence[dict[str, object]], path: Property) -> pa.Array:
    if not path.has_any:
        return column_of([walk(event, path.steps) for event in events])
    at = path.steps.index(AnyElement.ANY)
    rows = []
    for event in events:
        many = walk(event, path.steps[:at])
        found = list(many.values()) if isinstance(many, dict) else many
        found = found if isinstance(found, list) else []
        rows.append([walk(element, path.steps[at + 1 :]) for element in found])
    return list_column_of(rows)


def _starting(event: dict[str, object], prefix: str) -> dict[str, object]:
    found = {k: normalize(v) for k, v in event.items() if str(k).startswith(prefix)}
    return {k: v for k, v in found.items() if v is not None}


def recognize_time(path: Property, events: Sequence[dict[str, object]]) -> TimeUnit | None:
    """How a property's times are written in the first events, or None if they are none."""
    return recognize(_column_of_dicts(events, path))
