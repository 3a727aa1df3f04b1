"""Events from tables: CSV, Parquet and Arrow IPC files, and record batches, through pyarrow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from mql.errors import InputError
from mql.events.decode import Read, Reader
from mql.sources.plain import plain

ROWS = 65_536
"""Rows of a batch, at most."""


class TableSource:
    """Record batches, one event a row. A null cell is a null property."""

    def __init__(
        self,
        batches: pa.Table | Iterable[pa.RecordBatch],
        total: int | None = None,
        name: str = "the batches",
    ) -> None:
        self._is_table = isinstance(batches, pa.Table)
        self._batches = iter(batches.to_batches() if isinstance(batches, pa.Table) else batches)
        self._name = name
        self._first: pa.RecordBatch | None = None
        self.bytes_read = 0
        self.bytes_total = total
        self.arrives = False

    @classmethod
    def open(cls, path: Path) -> TableSource:
        """Open a file by its suffix. Raises InputError."""
        try:
            total = path.stat().st_size
            return cls(_OPENERS[path.suffix.lower()](path), total, str(path))
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"cannot read {path}: {_reason(error)}") from None

    def first_events(self) -> list[dict[str, object]]:
        """The first rows."""
        if self._first is None:
            self._first = self._next()
        if self._first is None:
            return []
        rows: list[dict[str, object]] = plain(self._first.slice(0, 100)).to_pylist()
        return rows

    def batches(self, reader: Reader) -> Iterator[Read | None]:
        """The rows as batches of the needed columns."""
        for together in self._together():
            yield reader.from_table(list(map(plain, together)))

    def close(self) -> None:
        """Nothing to let go of."""

    def _together(self) -> Iterator[list[pa.RecordBatch]]:
        """The batches, cut where they are long; those of a table, which are there, some at once."""
        waiting: list[pa.RecordBatch] = []
        rows = 0
        for part in self._parts():
            if rows + part.num_rows > ROWS and waiting:
                yield waiting
                waiting, rows = [], 0
            waiting.append(part)
            rows += part.num_rows
            if not self._is_table:
                yield waiting
                waiting, rows = [], 0
        if waiting:
            yield waiting

    def _parts(self) -> Iterator[pa.RecordBatch]:
        batch, self._first = self._first or self._next(), None
        while batch is not None:
            if not self._is_table:  # else nothing is read
                self.bytes_read += batch.nbytes
            for start in range(0, batch.num_rows, ROWS):
                yield batch.slice(start, ROWS) if batch.num_rows > ROWS else batch
            batch = self._next()

    def _next(self) -> pa.RecordBatch | None:
        try:
            return next(self._batches, None)
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"cannot read {self._name}: {_reason(error)}") from None


def _read_csv(path: Path) -> Iterable[pa.RecordBatch]:
    from pyarrow import csv  # noqa: PLC0415 - only CSV files pay for it

    convert = csv.ConvertOptions(strings_can_be_null=True, null_values=[""])
    return csv.open_csv(path, convert_options=convert)  # type: ignore[no-any-return]


def _read_parquet(path: Path) -> Iterable[pa.RecordBatch]:
    from pyarrow import parquet  # noqa: PLC0415 - only Parquet files pay for it

    return parquet.ParquetFile(path).iter_batches(batch_size=65_536)  # type: ignore[no-any-return]


def _read_ipc(path: Path) -> Iterable[pa.RecordBatch]:
    source = pa.OSFile(str(path))
    try:
        file = pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        return pa.ipc.open_stream(source)  # type: ignore[no-any-return]
    return (file.get_batch(i) for i in range(file.num_record_batches))


_OPENERS: dict[str, Callable[[Path], Iterable[pa.RecordBatch]]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".arrow": _read_ipc,
    ".feather": _read_ipc,
    ".ipc": _read_ipc,
}

SUFFIXES = frozenset(_OPENERS)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error).split("\n")[0]
