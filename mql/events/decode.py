"""Events to batches: from lines of JSON, from Python dicts, from Arrow.

A reader knows which fields are needed and decodes nothing else. It counts what it cannot read;
nothing that an event holds makes it raise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mql import kernels
from mql.arrays import from_numpy, ints
from mql.arrays import texts as text_column
from mql.batch import EVENT, TIME, Ints, column_of, finite, list_column_of
from mql.events.native import Decoded, NativeDecoder
from mql.events.objects import Objects
from mql.events.times import TimeUnit, recognize, to_milliseconds
from mql.format import format_property
from mql.odd import normalize
from mql.planner.fields import Fields, prefix_name
from mql.syntax import AnyElement, Property
from mql.values import is_json, read_json, walk, write_json

_NEWLINE, _OPENING, _CLOSING = map(ord, "\n{}")
_BYTE_OF_BIT, _LAST_BYTE = np.uint64(0x0001020304050607), np.uint64(56)
"""A word with one bit, the first of byte k, times this has k in its last byte."""

Chunk = bytes | memoryview


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

    def from_table(self, batches: Sequence[pa.RecordBatch]) -> Read:
        """The rows of record batches of one schema."""

    def pass_over_line(self, reason: str) -> None:
        """Count a line that was not even looked at."""


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
            chunk = tidied = _tidy(bytes(chunk))
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
        table = _together([self.needed(batch) for batch in batches])
        events = _events_of_table(table) if self._fields.event else None
        if self._fields.prefixes or (self._fields.event and events is None):
            return self.from_events(table.to_pylist())
        columns = {}
        for name, path in self._paths:
            made = _column_of_table(table, path)
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


def _column_of_table(table: pa.RecordBatch, path: Property) -> pa.Array | None:
    """The column of a path from a table of plain cells, or None if that needs its rows."""
    key = path.steps[0]
    assert isinstance(key, str)
    index = table.schema.get_field_index(key)
    if index < 0:
        return pa.nulls(table.num_rows) if not path.has_any else None
    cells = table.column(index)
    if len(path.steps) > 1 or pa.types.is_nested(cells.type):
        return None
    if pa.types.is_floating(cells.type):
        return finite(kernels.cast(cells, pa.float64()))
    if pa.types.is_integer(cells.type) and cells.type != pa.uint64():
        return kernels.cast(cells, pa.int64())
    if pa.types.is_boolean(cells.type) or pa.types.is_null(cells.type):
        return cells
    if pa.types.is_large_string(cells.type) or pa.types.is_string(cells.type):
        return kernels.cast(cells, pa.string())
    return None


def _events_of_table(table: pa.RecordBatch) -> pa.StructArray | None:
    """The rows as whole events, or None if a cell may be more than a plain value."""
    names = table.schema.names
    columns = [_column_of_table(table, Property((name,))) for name in names]
    if not names or len(set(names)) < len(names) or any(column is None for column in columns):
        return None
    return pa.StructArray.from_arrays(columns, names)


def _together(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Record batches of one schema as one; the only one as it is."""
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


class Lines:
    """Where the lines of a chunk are; the chunk ends with a newline."""

    def __init__(self, chunk: Chunk, ends: Ints | None = None) -> None:
        self._chunk = chunk
        self.ends = _newlines(np.frombuffer(chunk, np.uint8)) if ends is None else ends

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def are_objects(self) -> bool:
        """Whether each line begins with `{` and ends with `}`.

        Then a chunk of as many JSON values as lines has one on each: a value that went on over a
        newline would have a `}` before it or a `{` after it, never both.
        """
        data = np.frombuffer(self._chunk, np.uint8)
        opened = data[0] == _OPENING and (data[self.ends[:-1] + 1] == _OPENING).all()
        return bool(opened and (data[self.ends - 1] == _CLOSING).all())

    def texts(self) -> pa.Array:
        """The lines as strings, each with its newline, without copying them."""
        offsets = np.zeros(len(self) + 1, np.int32)
        offsets[1:] = self.ends + 1
        buffers = (pa.py_buffer(offsets), pa.py_buffer(self._chunk))
        return pa.StringArray.from_buffers(len(self), *buffers)


def _newlines(data: npt.NDArray[np.uint8]) -> Ints:
    """Where the newlines are. Few words of eight bytes have one, so look at words first."""
    words = np.empty(-(-len(data) // 8), "<u8")
    words[-1] = 0
    mask = words.view(np.bool_)[: len(data)]
    np.equal(data, _NEWLINE, out=mask)
    at = np.flatnonzero(words != 0)
    bits = words[at]
    if (bits & (bits - 1)).any():  # two newlines in a word
        return np.flatnonzero(mask)
    return at * 8 + (bits * _BYTE_OF_BIT >> _LAST_BYTE).astype(np.int64)


def _tidy(chunk: bytes) -> bytes:
    """The chunk with a newline at its end, and with what is not valid UTF-8 replaced by U+FFFD."""
    if not chunk.isascii():
        try:
            chunk.decode()
        except UnicodeDecodeError:
            chunk = chunk.decode("utf-8", "replace").encode()
    return chunk if chunk.endswith(b"\n") else chunk + b"\n"


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
