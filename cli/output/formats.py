"""The formats of output, and the choice of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli.output.destination import Destination, TerminalSafe
from cli.output.json_lines import JsonLinesWriter
from cli.output.writer import WINDOW_COLUMNS, Writer

if TYPE_CHECKING:
    from cli.output.spool import Spool

BINARY = ("arrow", "parquet")

_SUFFIXES = {
    "": "jsonl",
    ".txt": "table",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".ipc": "arrow",
    ".parquet": "parquet",
}


def choose_format(wanted: str | None, out: Path | None, *, to_terminal: bool) -> str:
    """The format asked for, or that of the file's suffix, or a table for people, or NDJSON.

    Raises ValueError, which says what to do.

    >>> choose_format(None, Path("busy.csv"), to_terminal=True)
    'csv'
    """
    if out is not None:
        return wanted or _by_suffix(out)
    if to_terminal and wanted in BINARY:
        reason = f"{wanted} is binary and would garble the terminal; add --out FILE or pipe it on"
        raise ValueError(reason)
    return wanted or ("table" if to_terminal else "jsonl")


def _by_suffix(out: Path) -> str:
    # What is no file (/dev/stdout, a named pipe) has no suffix that means anything.
    suffix = out.suffix.lower() if out.is_file() or not out.exists() else ""
    if suffix not in _SUFFIXES:
        known = ", ".join(filter(None, _SUFFIXES))
        raise ValueError(f"{suffix} names no format; use one of {known}, or add --output")
    return _SUFFIXES[suffix]


def make_writer(
    kind: str,
    destination: Destination,
    columns: Sequence[str] | None,
    spool: Spool,
    *,
    timed: bool,
) -> Writer:
    """The writer of a format.

    `columns` are those of the rows if they are known; `spool` is where rows may wait for the end;
    `timed` says whether rows have the time of a window.
    """
    # Imported here, as rich and pyarrow's formats take their time.
    if kind == "table":
        from cli.output.table import TableWriter  # noqa: PLC0415

        return TableWriter(destination, columns or ())
    stream = TerminalSafe(destination.stream) if destination.is_terminal else destination.stream
    if kind == "jsonl":
        return JsonLinesWriter(stream)
    from cli.output.columnar import ArrowWriter, CsvWriter, ParquetWriter  # noqa: PLC0415

    if columns is not None and timed:
        columns = (*WINDOW_COLUMNS, *columns)
    match kind:
        case "csv":
            return CsvWriter(stream, columns, spool)
        case "arrow":
            return ArrowWriter(stream, columns, spool)
        case "parquet":
            return ParquetWriter(stream, columns, spool)
        case _:
            raise ValueError(f"unknown format {kind!r}")
