"""An aligned table that grows window by window, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from cli.engine import Chunk
from cli.output.cells import cell, fit
from cli.output.column_widths import GAP, Column, fit_columns, left_out
from cli.output.destination import Destination
from cli.printable import printable

WINDOW = "window (UTC)"

_SLICE = 1_000
"""Rows that are measured, then written, at a time."""

_SLACK = 3
"""Columns may grow by so much, all together, before the header is repeated."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TableWriter:
    """Writes rows under a header, and the header again when the columns have changed.

    The first column of a windowed query is the window's start, its date on a line of its own.
    `names` are the columns that are known beforehand, in their order.
    """

    def __init__(self, destination: Destination, names: Sequence[str] = ()) -> None:
        self._out = destination
        self._names = names
        self._columns: dict[str, Column] = {}
        self._widths: list[int] = []
        self._header_widths: list[int] = []
        self._header_shape = (0, 0)
        self._date = ""
        self._count = 0

    def write(self, chunk: Chunk) -> None:
        """Write the rows of a chunk."""
        if not chunk.num_rows:
            return
        window = self._window(chunk.start_ms)
        for rows in _slices(chunk.rows()):
            self._measure(rows, window)
            self._lay_out()
            self._write_date(chunk.start_ms)
            lines = [self._line(row, window) for row in rows]
            self._out.write_text("".join(lines))
            self._count += len(rows)

    def finish(self) -> None:
        """Write how many rows there were."""
        text = {0: "(no rows)", 1: "(1 row)"}.get(self._count, f"({self._count:,} rows)")
        self._out.write_text(f"{text}\n")

    def _window(self, start_ms: int | None) -> str | None:
        if start_ms is None:
            return None
        pattern = "%H:%M:%S.%f" if start_ms % 1000 else "%H:%M:%S"
        return utc(start_ms, pattern)[:12]

    def _measure(self, rows: list[dict[str, object]], window: str | None) -> None:
        if window is not None:
            self._column(WINDOW, WINDOW).see(window, window)
        for name in self._names:
            self._column("=" + name, printable(name))
        for row in rows:
            for name, value in row.items():
                self._column("=" + name, printable(name)).see(cell(value), value)

    def _column(self, key: str, label: str) -> Column:
        """A column by its key, which sets the window's column apart from one named like it."""
        return self._columns.setdefault(key, Column(key, label))

    def _lay_out(self) -> None:
        columns = list(self._columns.values())
        self._widths = fit_columns(columns, self._out.width)
        shape = (len(columns), len(self._widths))
        moved = sum(abs(a - b) for a, b in zip(self._widths, self._header_widths, strict=False))
        if columns and (shape != self._header_shape or moved > _SLACK):
            self._write_header(columns)
            self._header_shape, self._header_widths = shape, self._widths

    def _write_header(self, columns: list[Column]) -> None:
        cells = [
            fit(column.label, width, right=bool(column.right))
            for column, width in zip(columns, self._widths, strict=False)
        ]
        head = _joined([*cells, left_out(len(columns) - len(self._widths))])
        rule = _joined(["-" * width for width in self._widths])
        if self._out.styled:
            head = f"\x1b[1m{head}\x1b[0m"
        gap = "\n" if self._header_widths else ""
        self._out.write_text(f"{gap}{head}\n{rule}\n")

    def _write_date(self, start_ms: int | None) -> None:
        if start_ms is None:
            return
        date = utc(start_ms, "%Y-%m-%d")
        if date != self._date:
            self._date = date
            self._out.write_text(f"{date}\n")

    def _line(self, row: dict[str, object], window: str | None) -> str:
        cells = []
        for column, width in zip(self._columns.values(), self._widths, strict=False):
            is_window = column.name == WINDOW
            text = (window or "") if is_window else cell(row.get(column.name[1:]))
            cells.append(fit(text, width, right=bool(column.right)))
        return _joined(cells) + "\n"


def _joined(cells: list[str]) -> str:
    return (" " * GAP).join(cells).rstrip()


def _slices(rows: list[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    for start in range(0, len(rows), _SLICE):
        yield rows[start : start + _SLICE]


def utc(time_ms: int, pattern: str) -> str:
    """A time as text; beyond the calendar (year 9999), the number itself."""
    try:
        return (_EPOCH + timedelta(milliseconds=time_ms)).strftime(pattern)
    except OverflowError:
        return str(time_ms)
