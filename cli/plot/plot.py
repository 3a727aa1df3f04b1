"""`--plot`: numbers per window as lines, redrawn as windows come; or bars, without windows.

On a terminal the picture is drawn over the last one, at most `REDRAWS_PER_S` times a second;
elsewhere once, at the end.
"""

from __future__ import annotations

import shutil
import time

from cli.engine import Chunk
from cli.output.cells import cell
from cli.output.destination import Destination
from cli.plot.chart import Bar, draw_bars, draw_lines
from cli.plot.series import WindowSeries, key_columns, label_of, number_of
from cli.printable import printable
from mql.language.syntax import Query

REDRAWS_PER_S = 5
MAX_PANELS = 4
MAX_BARS = 30
_LOWEST_PANEL = 8
_HIGHEST_PANEL = 20
_WIDEST = 160

_HINT = "mql run 'select count(*), status from s window 60 group by status' --time ts --plot"


class LinePlot:
    """A writer that draws a windowed aggregate query."""

    def __init__(self, destination: Destination, query: Query) -> None:
        self._out = destination
        self._series = WindowSeries(query)
        self._height = 0
        self._drawn_at = 0.0

    def write(self, chunk: Chunk) -> None:
        """Take a window, and draw if it is time."""
        self._series.add(chunk.start_ms, chunk.rows())
        now = time.monotonic()
        if self._out.is_terminal and now - self._drawn_at >= 1 / REDRAWS_PER_S:
            self._draw()
            self._drawn_at = now

    def finish(self) -> None:
        """Draw all of it."""
        self._draw()

    def _draw(self) -> None:
        text = self._picture()
        erase = f"\x1b[{self._height}A\x1b[J" if self._height else ""
        self._height = text.count("\n") if self._out.is_terminal else 0
        self._out.write_text(erase + text)

    def _picture(self) -> str:
        series = self._series
        if not series.panels:
            return "nothing to draw: no window has a number so far\n"
        size = shutil.get_terminal_size()
        columns = list(series.panels)[:MAX_PANELS]
        # One line is left for the cursor, or the terminal would scroll at each redraw.
        height = max(_LOWEST_PANEL, min(_HIGHEST_PANEL, (size.lines - 2) // len(columns)))
        text = ""
        for column in columns:
            title, lines = series.title(column), series.drawn(column)
            area = (min(size.columns, _WIDEST), height)
            text += draw_lines(title, lines, series.windows(), area, styled=self._out.styled)
        return text


class BarPlot:
    """A writer that draws rows without windows: a bar for each row's first number."""

    def __init__(self, destination: Destination, query: Query) -> None:
        self._out = destination
        self._keys = key_columns(query) if query.is_aggregate else frozenset()
        self._column: str | None = None
        self._bars: list[Bar] = []
        self._left_out = 0

    def write(self, chunk: Chunk) -> None:
        """Keep the rows that find room."""
        if len(self._bars) >= MAX_BARS:
            self._left_out += chunk.num_rows
            return
        for row in chunk.rows():
            self._keep(row)

    def _keep(self, row: dict[str, object]) -> None:
        if self._column is None:
            numbers = (
                n for n, v in row.items() if n not in self._keys and number_of(v) is not None
            )
            self._column = next(numbers, None)
        value = number_of(row.get(self._column or ""))
        if value is None:
            return
        if len(self._bars) >= MAX_BARS:
            self._left_out += 1
        else:
            self._bars.append(Bar(self._label(row), cell(row[self._column or ""]), value))

    def _label(self, row: dict[str, object]) -> str:
        if self._keys:
            return label_of(row, self._keys)
        return next((cell(value) for value in row.values() if isinstance(value, str)), "")

    def finish(self) -> None:
        """Draw."""
        if not self._bars:
            text = "nothing to draw: --plot needs a column of numbers, such as\n  " + _HINT + "\n"
        else:
            width = min(shutil.get_terminal_size().columns, _WIDEST)
            text = printable(self._column or "") + "\n" + draw_bars(self._bars, width)
        if self._left_out:
            text += f"… and {self._left_out:,} more rows\n"
        self._out.write_text(text)


def refusal(query: Query) -> str | None:
    """Why a query cannot be drawn, or None."""
    if query.window and not query.is_aggregate:
        return (
            "--plot draws a number for each window, and this query gives rows; "
            "select an aggregate, as in\n  " + _HINT
        )
    return None
