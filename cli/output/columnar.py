"""CSV, Arrow and Parquet: the formats in which all rows share one schema.

Arrow and Parquet are written when the query ends, because types are known only then. CSV has
names but no types, so it is written as it comes, unless the query has `*` or a prefix, whose
columns are known only at the end too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from cli.engine import Chunk
from cli.output.destination import Stream
from cli.output.schema import conform, plain_text, storable
from cli.output.spool import Spool
from cli.output.writer import WINDOW_COLUMNS
from mql.columnar.arrays import ints


def stamped(chunk: Chunk) -> pa.Table:
    """The chunk's table, with the window's start and end (ms) first where it has them."""
    table: pa.Table = chunk.table
    if chunk.start_ms is None:
        return table
    bounds = zip(WINDOW_COLUMNS, (chunk.start_ms, chunk.end_ms), strict=True)
    for place, (name, time_ms) in enumerate(bounds):
        column = ints([time_ms] * table.num_rows)
        table = table.add_column(place, pa.field(name, pa.int64()), column)
    return table


class ArrowWriter:
    """An Arrow IPC stream, which pyarrow, polars and duckdb read."""

    def __init__(self, stream: Stream, names: Sequence[str] | None, spool: Spool) -> None:
        self._stream = stream
        self._names = names or ()
        self._spool = spool

    def write(self, chunk: Chunk) -> None:
        """Keep the rows."""
        if chunk.num_rows:
            self._spool.add(stamped(chunk))

    def finish(self) -> None:
        """Write them."""
        schema = self._spool.schema(self._names)
        with pa.ipc.new_stream(_file(self._stream), schema) as writer:
            for table in self._spool.pieces(schema):
                writer.write_table(table)


class ParquetWriter:
    """A Parquet file, compressed with zstd."""

    def __init__(self, stream: Stream, names: Sequence[str] | None, spool: Spool) -> None:
        self._stream = stream
        self._names = names or ()
        self._spool = spool

    def write(self, chunk: Chunk) -> None:
        """Keep the rows."""
        if chunk.num_rows:
            self._spool.add(stamped(chunk))

    def finish(self) -> None:
        """Write them."""
        schema = storable(self._spool.schema(self._names))
        sink = _file(self._stream)
        with pyarrow.parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
            for table in self._spool.pieces(schema):
                writer.write_table(table)


class CsvWriter:
    """CSV with a header; nested values are JSON text, null is empty, "" is an empty string.

    Written as it comes if the columns are known, else from a spool at the end.
    """

    def __init__(self, stream: Stream, names: Sequence[str] | None, spool: Spool) -> None:
        self._stream = stream
        self._spool = spool
        self._names = names
        self._has_header = False

    def write(self, chunk: Chunk) -> None:
        """Write or keep the rows."""
        if not chunk.num_rows:
            return
        if self._names is None:
            self._spool.add(stamped(chunk))
        else:
            self._write(_named(stamped(chunk), self._names))
            self._stream.flush()

    def finish(self) -> None:
        """Write what waits, or at least the header."""
        schema = self._spool.schema()
        for table in self._spool.pieces(schema):
            self._write(table)
        if not self._has_header and self._names:
            self._write(_named(pa.table({}), self._names))

    def _write(self, table: pa.Table) -> None:
        texts = pa.table([plain_text(c) for c in table.columns], names=table.schema.names)
        options = pyarrow.csv.WriteOptions(include_header=not self._has_header)
        buffer = pa.BufferOutputStream()
        pyarrow.csv.write_csv(texts, buffer, options)
        self._stream.write(buffer.getvalue().to_pybytes())
        self._has_header = True


def _named(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """The table with just these columns, null where it has none."""
    types = dict(zip(table.schema.names, table.schema.types, strict=True))
    return conform(table, pa.schema([(name, types.get(name, pa.null())) for name in names]))


def _file(stream: Stream) -> BinaryIO:
    """The stream as pyarrow wants it; binary formats never go to a terminal, so it is a file."""
    return cast("BinaryIO", stream)
