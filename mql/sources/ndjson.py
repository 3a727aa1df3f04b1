"""NDJSON from files and pipes, plain or compressed, in whole lines and bounded memory."""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import pyarrow as pa

from mql.errors import InputError
from mql.events.profile import ProfileBuilder
from mql.events.reader import Read, Reader
from mql.sources.sampling.event_sample import LineSample
from mql.sources.slices import Slice, joined, whole_lines
from mql.values.json_values import read_json

if TYPE_CHECKING:
    from mql.sources.prefilter import Prefilter

CHUNK = 1 << 24
"""Bytes decoded at once: larger ones take more memory, smaller ones cost more calls."""

SEARCHED = 1 << 20
"""Bytes read at once while text is searched for: so many stay in a core's own cache meanwhile."""

MAX_LINE = 1 << 24
"""A longer line (in bytes) is passed over and counted as not JSON."""

_WIDTH_BYTES = 1 << 26
"""Bytes decoded at once times the columns that are made of them, at most."""

_LEAST = 1 << 18
"""But so many bytes are decoded at once, however many columns there are."""

_DECOMPRESSED = 1 << 20
"""Bytes decompressed at once: what comes before a break in the stream should not be lost in it."""

_FIRST = 1 << 18
_FIRST_LINES = 100
_SILENCE_S = 0.05
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


class _LineCounter(Protocol):
    """What is told of a line that is passed over."""

    def pass_over_line(self, reason: str) -> None:
        """Count a line that was not even looked at."""


class LineSource:
    """Lines of JSON from a binary stream; with a `prefilter`, those that may pass."""

    def __init__(
        self,
        stream: BinaryIO,
        name: str,
        *,
        chunk_bytes: int = CHUNK,
        max_line_bytes: int = MAX_LINE,
    ) -> None:
        self._raw = stream
        self._chunk_bytes = chunk_bytes
        self._max_line_bytes = max_line_bytes
        self._name = name
        self.bytes_read = 0
        self.bytes_total = _size(stream)
        self.arrives = self.bytes_total is None
        self._read_ahead = b""
        self._compressed: pa.CompressedInputStream | None = None
        self._opened = False
        self.prefilter: Prefilter | None = None
        self._sample: LineSample | None = None

    @classmethod
    def open(cls, path: Path) -> LineSource:
        """Open a file. Raises InputError."""
        try:
            return cls(path.open("rb", buffering=0), str(path))
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from None

    def first_events(self) -> list[dict[str, object]]:
        """The events in the first lines."""
        self._open()
        while len(self._read_ahead) < _FIRST and b"\n" not in self._read_ahead[-_FIRST:]:
            more = self._read(wait=True)
            if not more:
                break
            self._read_ahead += more
        lines = self._read_ahead.split(b"\n", _FIRST_LINES)
        events = []
        for line in lines[:_FIRST_LINES]:
            try:
                event = read_json(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                events.append(event)
        return events

    def batches(self, reader: Reader) -> Iterator[Read | None]:
        """The lines as batches; None while a pipe is silent."""
        self._chunk_bytes = min(
            self._chunk_bytes, max(_LEAST, _WIDTH_BYTES // max(1, reader.width))
        )
        while self.arrives and not self._opened and not _ready(self._raw):
            yield None
        self._open()
        if self.prefilter is not None:
            slices = self._sampled(self._slices(self.prefilter))
            yield from self.prefilter.batches(slices, reader, arrives=self.arrives)
            return
        for some in self._sampled(self._slices(reader)):
            if some is None:
                yield None
                continue
            now_ms = time.time_ns() // 1_000_000 if self.arrives else None
            yield reader.from_lines(joined(some), now_ms)

    def watch(self, builder: ProfileBuilder) -> LineSample:
        """Have a sample of the lines counted, those too that a prefilter passes over."""
        self._sample = LineSample(builder)
        return self._sample

    def close(self) -> None:
        """Close the stream."""
        self._raw.close()

    def _sampled(self, slices: Iterator[list[Slice] | None]) -> Iterator[list[Slice] | None]:
        """The same, and some of the lines are taken for the sample."""
        for some in slices:
            if self._sample is not None and some:
                for lines in some:
                    self._sample.add(lines)
                self._sample.has_ended = self._is_at_end
            yield some

    @property
    def _is_at_end(self) -> bool:
        """Whether all bytes have been read; what is no whole line was put back, if it can be."""
        return self._compressed is None and self.bytes_read == self.bytes_total

    def _slices(self, counter: _LineCounter) -> Iterator[list[Slice] | None]:
        """Whole lines, as many at once as have come."""
        pending, self._read_ahead = [self._read_ahead], b""
        size = len(pending[0])
        if b"\n" in pending[0]:
            slices, rest = whole_lines(pending)
            yield slices
            pending = self._put_back(rest)
            size = sum(map(len, pending))
        while (more := self._read(wait=False)) != b"":
            if more is None:
                yield None
                continue
            end = more.find(b"\n")
            if end >= 0 and size + end > self._max_line_bytes:
                self._count_as_long(counter)
                pending, size, more = [], 0, more[end + 1 :]
            pending.append(more)
            size += len(more)
            if b"\n" in more:
                slices, rest = whole_lines(pending)
                yield slices
                pending = self._put_back(rest)
                size = sum(map(len, pending))
            elif size > self._max_line_bytes:
                yield from self._pass_over(counter)
                pending, size = [self._read_ahead], len(self._read_ahead)
        last = b"".join(pending)
        if last:
            yield [Slice(last, 0, len(last))]

    def _put_back(self, rest: bytes) -> list[bytes]:
        """What has to be put before the next bytes: of a file nothing, its line is read again."""
        if self.bytes_total is None or self._compressed is not None or not rest:
            return [rest]
        self._raw.seek(-len(rest), os.SEEK_CUR)
        self.bytes_read -= len(rest)
        return []

    def _pass_over(self, counter: _LineCounter) -> Iterator[None]:
        """Skip to the end of a line that is too long."""
        self._count_as_long(counter)
        self._read_ahead = b""
        while (more := self._read(wait=False)) != b"":
            if more is None:
                yield None
            elif b"\n" in more:
                self._read_ahead = more[more.index(b"\n") + 1 :]
                return

    def _count_as_long(self, counter: _LineCounter) -> None:
        counter.pass_over_line(f"it is longer than {self._max_line_bytes:,} bytes")

    def _open(self) -> None:
        """Look at the first bytes: a compressed stream says so."""
        if self._opened:
            return
        self._opened = True
        start = self._read_raw(min(self._read_size, SEARCHED))
        kind = next((k for magic, k in _MAGIC.items() if start.startswith(magic)), None)
        if kind is None:
            self._read_ahead = start.removeprefix(_BYTE_ORDER_MARK)
            return
        prefixed = _Prefixed(start, self._read_raw)
        self._compressed = pa.CompressedInputStream(pa.PythonFile(prefixed, mode="r"), kind)

    def _read(self, *, wait: bool) -> bytes | None:
        """Some bytes; empty at the end; None if a pipe has been silent for a moment."""
        if self._compressed is not None:
            try:
                data: bytes = self._compressed.read(min(self._chunk_bytes, _DECOMPRESSED))
            except (OSError, pa.ArrowException) as error:
                raise InputError(f"cannot read {self._name}: {error}") from None
            return data
        if self.arrives and not wait and not _ready(self._raw):
            return None
        return self._read_raw(self._read_size)

    @property
    def _read_size(self) -> int:
        searched = self.prefilter is not None and self.prefilter.searching
        return min(self._chunk_bytes, SEARCHED) if searched else self._chunk_bytes

    def _read_raw(self, size: int) -> bytes:
        try:
            data = _read_some(self._raw, size)
        except OSError as error:
            raise InputError(f"cannot read {self._name}: {error.strerror or error}") from None
        self.bytes_read += len(data)
        return data


class _Prefixed:
    """A readable file: some bytes already read, then the rest."""

    closed = False

    def __init__(self, start: bytes, read: Callable[[int], bytes]) -> None:
        self._start = start
        self._rest = read

    def read(self, size: int = CHUNK) -> bytes:
        """Up to `size` bytes."""
        if self._start:
            data, self._start = self._start[:size], self._start[size:]
            return data
        return self._rest(size)

    def readable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """The owner closes the stream."""


def _size(stream: BinaryIO) -> int | None:
    """The size of a regular file, None for a pipe, a terminal or a socket."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, AttributeError, ValueError):
        return _rest_of(stream)
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _rest_of(stream: BinaryIO) -> int | None:
    """The size of a stream in memory."""
    try:
        here = stream.tell()
        end = stream.seek(0, os.SEEK_END)
        stream.seek(here)
    except (OSError, AttributeError, ValueError):
        return None
    return end - here


def _ready(stream: BinaryIO) -> bool:
    """Whether a read would give something at once, after waiting for a moment."""
    try:
        return bool(select.select([stream.fileno()], [], [], _SILENCE_S)[0])
    except (OSError, AttributeError, ValueError):
        return True


def _read_some(stream: BinaryIO, size: int) -> bytes:
    """What there is, without waiting for more."""
    try:
        return os.read(stream.fileno(), size)
    except (AttributeError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
    return stream.read(size)
