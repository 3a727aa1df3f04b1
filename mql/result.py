"""The answer of a query over recorded events: windows, rows, an Arrow table."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from mql.columnar.arrays import from_numpy, to_numpy
from mql.columnar.concat import concat_batches
from mql.events.reader import BadLines
from mql.exec.operator import WINDOW, Block, Counters, Window
from mql.layout import RowLayout
from mql.warnings.record import QueryWarning


@dataclass(slots=True)
class Statistics:
    """What has been read, left out and found so far; counts only grow.

    `bytes_total` is None where the input has no known end. `unread` of the `events` are lines
    that lack a text which `where` makes necessary: that they are JSON has not been checked.
    `notes` are facts in words.
    """

    bytes_read: int = 0
    bytes_total: int | None = None
    events: int = 0
    unread: int = 0
    rows: int = 0
    counters: Counters = field(default_factory=Counters)
    bad: BadLines = field(default_factory=BadLines)
    notes: list[str] = field(default_factory=list)

    @property
    def bad_lines(self) -> int:
        """Lines that are not a JSON object."""
        return self.bad.count

    @property
    def first_bad_line(self) -> int | None:
        """The number of the first of them."""
        return self.bad.first

    @property
    def late(self) -> int:
        """Events that came after their windows had closed."""
        return self.counters.late

    @property
    def without_time(self) -> int:
        """Events that have no time and so belong to no window."""
        return self.counters.without_time


class Chunk:
    """A piece of the answer: the rows of one window, or some rows of a query without windows."""

    def __init__(self, layout: RowLayout, batch: pa.RecordBatch | None, window: Window) -> None:
        self._layout = layout
        self._batch = batch
        self._window = window
        self.start_ms = window.start_ms
        self.end_ms = window.end_ms

    @property
    def num_rows(self) -> int:
        """How many rows."""
        return self._batch.num_rows if self._batch is not None else 0

    @property
    def table(self) -> pa.Table:
        """The rows as an Arrow table, without the window's bounds."""
        return pa.table({}) if self._batch is None else self._layout.table(self._batch)

    def rows(self) -> list[dict[str, object]]:
        """The rows as nested dicts."""
        return [] if self._batch is None else self._layout.rows(self._batch)

    def json_lines(self) -> bytes:
        """The rows as NDJSON, with `_window_start` and `_window_end` in windows of time."""
        if self._batch is None or not self._batch.num_rows:
            return b""
        return self._layout.json_lines(_renumbered(self._batch), (self._window,))


class Result:
    """An answer, computed while it is read. It can be read once, unless it is kept as a table."""

    def __init__(
        self,
        layout: RowLayout,
        blocks: Generator[Block],
        statistics: Statistics,
        stop: Callable[[], None],
        warnings: Sequence[QueryWarning] = (),
    ) -> None:
        self._layout = layout
        self._blocks = blocks
        self._stop = stop
        self._warnings = warnings
        self._kept: tuple[pa.RecordBatch | None, tuple[Window, ...]] | None = None
        self.statistics = statistics

    @property
    def has_windows(self) -> bool:
        """Whether the query has a `window`."""
        return self._layout.windowed

    @property
    def warnings(self) -> tuple[QueryWarning, ...]:
        """What the query likely does not mean, as far as is known: all, once the answer is read.

        They stop nothing. Each is there once, and stays.
        """
        return tuple(self._warnings)

    def chunks(self) -> Iterator[Chunk]:
        """Pieces of the answer as they come, an empty one now and then in between."""
        for block in self._blocks:
            self.statistics.rows += block.batch.num_rows
            yield from self._chunks_of(block)

    def __iter__(self) -> Iterator[Chunk]:
        """The windows, each when it closes; of a query without windows one, at the end."""
        if not self._layout.windowed:
            batch, _ = self._keep()
            yield Chunk(self._layout, batch, Window(None, None))
            return
        if self._kept is not None:
            yield from self._chunks_of(Block(*self._kept)) if self._kept[0] is not None else ()
            return
        for block in self._blocks:
            self.statistics.rows += block.batch.num_rows
            if block.windows:
                yield from self._chunks_of(block)

    def to_table(self) -> pa.Table:
        """The whole answer as one Arrow table; `_window_start` and `_window_end` come first."""
        batch, windows = self._keep()
        return pa.table({}) if batch is None else self._layout.table(batch, windows)

    def rows(self) -> list[dict[str, object]]:
        """The whole answer as dicts."""
        batch, _ = self._keep()
        return [] if batch is None else self._layout.rows(batch)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The Arrow PyCapsule interface: pandas, polars and DuckDB take a result as it is."""
        return self.to_table().__arrow_c_stream__(requested_schema)

    def stop_reading(self) -> None:
        """Act as if the input ended here: the answer ends with what there is. Signal-safe."""
        self._stop()

    def close(self) -> None:
        """Stop, and let go of the inputs; the rest of the answer is not computed."""
        self._blocks.close()

    def __repr__(self) -> str:
        """The first rows, aligned."""
        return _readable(self.to_table())

    def _repr_html_(self) -> str:
        """The first rows, for notebooks."""
        return _html(self.to_table())

    def _keep(self) -> tuple[pa.RecordBatch | None, tuple[Window, ...]]:
        """Read to the end, and keep it."""
        if self._kept is None:
            batches: list[pa.RecordBatch] = []
            windows: list[Window] = []
            for block in self._blocks:
                self.statistics.rows += block.batch.num_rows
                batches.append(_renumbered(block.batch, len(windows)))
                windows += block.windows or ()
            filled = [batch for batch in batches if batch.num_rows] or batches[:1]
            self._kept = (concat_batches(filled) if filled else None), tuple(windows)
        return self._kept

    def _chunks_of(self, block: Block) -> Iterator[Chunk]:
        if block.windows is None or not self._layout.windowed:
            yield Chunk(self._layout, block.batch, Window(None, None))
            return
        index = to_numpy(block.batch.column(WINDOW))
        for number, window in enumerate(block.windows):
            start, end = index.searchsorted([number, number + 1])
            yield Chunk(self._layout, block.batch.slice(start, end - start), window)
        if not block.windows:
            yield Chunk(self._layout, None, Window(None, None))


def _renumbered(batch: pa.RecordBatch, before: int | None = None) -> pa.RecordBatch:
    """The batch with its windows counted on from `before`, or, for one window, as number 0."""
    place = batch.schema.get_field_index(WINDOW)
    if place < 0:
        return batch
    index = to_numpy(batch.column(place))
    index = index + before if before is not None else index * 0
    return batch.set_column(place, WINDOW, from_numpy(index))


_SHOWN = 20
_WIDTH = 40


def _cells(table: pa.Table) -> tuple[Sequence[str], list[list[str]]]:
    shown = table.slice(0, _SHOWN).to_pylist()
    return table.column_names, [[_cell(row[name]) for name in table.column_names] for row in shown]


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    text = "".join(c if c.isprintable() else "·" for c in text)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def _readable(table: pa.Table) -> str:
    names, rows = _cells(table)
    if not names:
        return _count(table.num_rows)
    widths = [max(len(n), *(len(r[i]) for r in rows), 1) for i, n in enumerate(names)]
    lines = [list(names), ["─" * width for width in widths], *rows]
    text = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    return f"{text}\n({_count(table.num_rows)})"


def _count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _html(table: pa.Table) -> str:
    from html import escape  # noqa: PLC0415 - only notebooks pay for it

    names, rows = _cells(table)
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in r) + "</tr>" for r in rows)
    caption = f"<caption>{_count(table.num_rows)}</caption>"
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
