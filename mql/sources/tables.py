"""Events from tables: CSV, Parquet and Arrow IPC files, and record batches, through pyarrow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from mql.errors import InputError
from mql.events.profile import ProfileBuilder
from mql.events.reader import Read, Reader
from mql.sources.plain_columns import plain
from mql.sources.portions import BYTES, ROWS, portions, size_of_rows
from mql.sources.sampling.event_sample import RowSample

_CSV_ROW_BYTES_MAX = 1 << 20
"""A file of CSV is read in blocks of so much, of which each holds whole rows."""


class TableSource:
    """Record batches, one event a row. A null cell is a null property."""

    def __init__(
        self,
        batches: pa.Table | Iterable[pa.RecordBatch],
        total: int | None = None,
        name: str = "the batches",
    ) -> None:
        self._is_table = isinstance(batches, pa.Table)
        self._rows = batches.num_rows if isinstance(batches, pa.Table) else None
        self._batches = iter(batches.to_batches() if isinstance(batches, pa.Table) else batches)
        self._name = name
        self._first: pa.RecordBatch | None = None
        self._sample: RowSample | None = None
        self.bytes_read = 0
        self.bytes_total = total
        self.arrives = False

    @classmethod
    def open(cls, path: Path) -> TableSource:
        """Open a file by its suffix. Raises InputError."""
        try:
            total = path.stat().st_size
            return cls(_OPENERS[path.suffix.lower()](path), total, str(path))
        except _UNREADABLE as error:
            raise InputError(f"cannot read {path}: {_reason(error)}") from None

    def first_events(self) -> list[dict[str, object]]:
        """The first rows."""
        if self._first is None:
            self._first = self._next()
        if self._first is None:
            return []
        with self._blamed():
            few = next(portions(self._first), self._first).slice(0, 100)
            rows: list[dict[str, object]] = plain(few).to_pylist()
        return rows

    def batches(self, reader: Reader) -> Iterator[Read | None]:
        """The rows as batches of the needed columns."""
        for together in self._together(reader):
            with self._blamed():
                batches = list(map(plain, together))
                if self._sample is not None:
                    for batch in batches:
                        self._sample.add(batch)
                    self._sample.has_ended = self._sample.seen == self._rows
                read = reader.from_table(batches)
            yield read

    def watch(self, builder: ProfileBuilder) -> RowSample:
        """Have a sample of the rows counted."""
        self._sample = RowSample(builder)
        return self._sample

    def close(self) -> None:
        """Nothing to let go of."""

    def _together(self, reader: Reader) -> Iterator[list[pa.RecordBatch]]:
        """The batches, cut where they are long; those of a table, which are there, some at once."""
        if not self._is_table:
            yield from ([part] for part in self._parts(reader))
            return
        waiting: list[pa.RecordBatch] = []
        rows = size = 0
        for part in self._parts(reader):
            rows, size = rows + part.num_rows, size + size_of_rows(part)
            if (rows > ROWS or size > BYTES) and waiting:
                yield waiting
                waiting, rows, size = [], part.num_rows, size_of_rows(part)
            waiting.append(part)
        if waiting:
            yield waiting

    def _parts(self, reader: Reader) -> Iterator[pa.RecordBatch]:
        batch, self._first = self._first or self._next(), None
        while batch is not None:
            if self._sample is not None:
                self._sample.add_schema(batch.schema)
            if not self._is_table:  # else nothing is read
                self.bytes_read += batch.nbytes
            with self._blamed():
                yield from portions(reader.needed(batch))
            batch = self._next()

    def _next(self) -> pa.RecordBatch | None:
        with self._blamed():
            return next(self._batches, None)

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """Name the input in what is wrong with it."""
        try:
            yield
        except InputError as error:
            raise InputError(f"cannot read {self._name}: {error}") from None
        except _UNREADABLE as error:
            raise InputError(f"cannot read {self._name}: {_reason(error)}") from None


def _read_csv(path: Path) -> Iterable[pa.RecordBatch]:
    from pyarrow import csv  # noqa: PLC0415 - only CSV files pay for it

    read = csv.ReadOptions(block_size=_CSV_ROW_BYTES_MAX)
    convert = csv.ConvertOptions(strings_can_be_null=True, null_values=[""])
    return csv.open_csv(path, read, convert_options=convert)  # type: ignore[no-any-return]


def _read_parquet(path: Path) -> Iterable[pa.RecordBatch]:
    from mql.sources.parquet import read_parquet  # noqa: PLC0415 - only Parquet files pay for it

    return read_parquet(path)


def _read_ipc(path: Path) -> Iterable[pa.RecordBatch]:
    source = pa.OSFile(str(path))
    try:
        file = pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        return _checked(pa.ipc.open_stream(source))
    return _checked(file.get_batch(i) for i in range(file.num_record_batches))


def _checked(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches of a file, each checked through: what Arrow reads as they are may lie."""
    for batch in batches:
        batch.validate(full=True)
        yield batch


_OPENERS: dict[str, Callable[[Path], Iterable[pa.RecordBatch]]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".arrow": _read_ipc,
    ".arrows": _read_ipc,
    ".feather": _read_ipc,
    ".ipc": _read_ipc,
}

SUFFIXES = frozenset(_OPENERS)


_UNREADABLE = (OSError, ValueError, EOFError, MemoryError, pa.ArrowException)
"""How pyarrow says that a file is none of its kind, or asks for more than there is."""


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"it asks for more memory than there is ({str(error) or 'for its values'})"
    if "straddles two block boundaries" in str(error):
        return f"a row has more than {_CSV_ROW_BYTES_MAX:,} bytes"
    return getattr(error, "strerror", None) or str(error).split("\n")[0]
