"""Tables on their way to a format that wants one schema for all of them.

A schema is only common once the last table is known, so tables wait in a temporary file (in
memory while small), as Arrow streams, one for each run of tables of one schema. Memory stays
bounded by a piece, whatever the output's size.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

import pyarrow as pa

from cli.output.schema import common_schema, conform, wide_columns

IN_MEMORY_BYTES = 16 << 20
"""What is kept in memory before a file is made."""

PIECE_ROWS = 1 << 16
PIECE_BYTES = 32 << 20
"""A piece is ended by whichever it reaches first."""


class Spool:
    """Takes tables, then gives them back with a common schema, in pieces of a good size.

    Large output waits in `folder`. Use it in a `with` block, which removes what is left.
    """

    def __init__(self, folder: Path | None = None) -> None:
        place = str(folder) if folder else None
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=place)  # noqa: SIM115
        self._offsets: list[int] = []
        self._schemas: list[pa.Schema] = []
        self._held = _Piece()
        self._wide: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._file.close()

    def add(self, table: pa.Table) -> None:
        """Keep a table."""
        if self._schemas and self._schemas[-1] != table.schema:
            self._write_held()
        if not self._held.tables:
            self._schemas.append(table.schema)
        self._wide |= wide_columns(table)
        self._held.add(table)
        if self._held.is_full:
            self._write_held()

    def schema(self, names: Sequence[str] = ()) -> pa.Schema:
        """The schema of all tables so far, `names` being columns that there are without any."""
        known = pa.schema([(name, pa.null()) for name in names])
        return common_schema([known, *self._schemas], self._wide)

    def pieces(self, schema: pa.Schema) -> Iterator[pa.Table]:
        """All rows, as tables of `schema`."""
        self._write_held()
        yield from _joined(self._tables(schema))

    def _write_held(self) -> None:
        """Write what is held as a stream of its own: one schema, one piece."""
        if not self._held.tables:
            return
        self._offsets.append(self._file.tell())
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_stream(self._file, self._schemas[-1], options=options) as writer:
            writer.write_table(self._held.table())
        self._held = _Piece()

    def _tables(self, schema: pa.Schema) -> Iterator[pa.Table]:
        for offset in self._offsets:
            self._file.seek(offset)
            yield conform(pa.ipc.open_stream(self._file).read_all(), schema)


class _Piece:
    """Tables of one schema that become one."""

    def __init__(self) -> None:
        self.tables: list[pa.Table] = []
        self._rows = self._bytes = 0

    @property
    def is_full(self) -> bool:
        return self._rows >= PIECE_ROWS or self._bytes >= PIECE_BYTES

    def add(self, table: pa.Table) -> None:
        self.tables.append(table)
        self._rows += table.num_rows
        self._bytes += table.nbytes

    def table(self) -> pa.Table:
        return pa.concat_tables(self.tables).combine_chunks()


def _joined(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Small tables joined to larger ones, as schemas that alternate leave many small ones."""
    piece = _Piece()
    for table in tables:
        piece.add(table)
        if piece.is_full:
            yield piece.table()
            piece = _Piece()
    if piece.tables:
        yield piece.table()
