"""Lines and bars as text: pure, numbers in, text out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotext

from cli.output.cells import fit, width_of
from cli.output.table import utc
from cli.plot.series import Place, Series
from cli.printable import printable

_COLORS = (6, 5, 3, 2, 1, 4, 14, 13)
"""Numbers in the terminal's own palette, which suits its background."""

_MARKS = "*o+x#@%&"
"""What tells lines apart where there are no colors."""

_DAY_MS = 86_400_000
_TICK_WIDTH = 18
_LONGEST_LABEL = 32


def draw_lines(
    title: str,
    lines: Sequence[Series],
    windows: Sequence[Place],
    size: tuple[int, int],
    *,
    styled: bool,
) -> str:
    """A panel: a line for each series over the windows, and a legend if there are groups.

    `size` is columns and rows. A line is broken where a window has no value.
    """
    width, height = size
    legend = _legend(lines, width, styled=styled)
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(width, height - legend.count("\n"))
    plotext.title(printable(title))
    for place, series in enumerate(lines):
        mark = "braille" if styled else _MARKS[place]
        for places, values in _unbroken(series, windows):
            plotext.plot(places, values, marker=mark, color=_COLORS[place])
    positions, labels = _ticks(windows, width)
    plotext.xticks(positions, labels)
    drawn: str = plotext.build() if styled else plotext.uncolorize(plotext.build())
    return drawn.rstrip("\n") + "\n" + legend


def _unbroken(series: Series, windows: Sequence[Place]) -> list[tuple[list[int], list[float]]]:
    """The runs of windows that have a value.

    Windows are counted, not timed, along x: they are equally far apart, and times of 13 digits
    would cost the axis its precision.
    """
    runs: list[tuple[list[int], list[float]]] = []
    for window in windows:
        number = window.number
        if number not in series.values:
            continue
        if not runs or runs[-1][0][-1] != number - 1:
            runs.append(([], []))
        runs[-1][0].append(number)
        runs[-1][1].append(series.values[number])
    return runs


def _legend(lines: Sequence[Series], width: int, *, styled: bool) -> str:
    """Lines of `mark name`, or nothing for a single unnamed line."""
    entries = []
    for place, series in enumerate(lines):
        name = fit(series.name, min(width_of(series.name), _LONGEST_LABEL))
        if name:
            mark = f"\x1b[38;5;{_COLORS[place]}m━━\x1b[0m" if styled else _MARKS[place] * 2
            entries.append((mark + " " + name, 3 + width_of(name)))
    text, used = "", 0
    for entry, length in entries:
        if used and used + 3 + length > width:
            text, used = text + "\n", 0
        text += ("   " if used else "") + entry
        used += length + (3 if used else 0)
    return text + "\n" if text else ""


def _ticks(windows: Sequence[Place], width: int) -> tuple[list[int], list[str]]:
    """Places and texts under the x axis: times, with dates where there is more than a day."""
    count = max(1, min(len(windows), width // _TICK_WIDTH))
    last = len(windows) - 1
    chosen = [
        windows[i] for i in sorted({round(i * last / max(1, count - 1)) for i in range(count)})
    ]
    first_ms, last_ms = windows[0].start_ms, windows[-1].start_ms
    days = first_ms is not None and last_ms is not None and last_ms - first_ms >= _DAY_MS
    pattern = "%m-%d %H:%M" if days else "%H:%M:%S"
    labels = [str(w.number) if w.start_ms is None else utc(w.start_ms, pattern) for w in chosen]
    return [window.number for window in chosen], labels


@dataclass(frozen=True, slots=True)
class Bar:
    """A label, the number as text, and the number."""

    label: str
    text: str
    value: float


def draw_bars(bars: Sequence[Bar], width: int) -> str:
    """A line for each bar: label, number, and blocks in proportion; `▒` for what is below zero.

    >>> print(draw_bars([Bar("a", "4", 4.0), Bar("bb", "1", 1.0)], 15), end="")
    a   4  ██████████
    bb  1  ██▌
    """
    widest = max(_LONGEST_LABEL, width // 3)
    label_width = min(max(width_of(bar.label) for bar in bars), widest)
    number_width = max(len(bar.text) for bar in bars)
    room = max(10, width - label_width - number_width - 4)
    largest = max(abs(bar.value) for bar in bars) or 1.0
    text = ""
    for bar in bars:
        head = f"{fit(bar.label, label_width)}  {bar.text:>{number_width}}"
        text += f"{head}  {_blocks(bar.value / largest, room)}".rstrip() + "\n"
    return text


def _blocks(share: float, room: int) -> str:
    """Blocks, to an eighth of a column."""
    if share < 0:
        return "▒" * max(1, round(-share * room))
    whole, eighths = divmod(round(share * room * 8), 8)
    return "█" * whole + " ▏▎▍▌▋▊▉"[eighths].strip()
