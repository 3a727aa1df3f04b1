"""Which numbers of a result make lines or bars: pure, rows in, series out.

In an aggregate query the properties beside the aggregates tell the groups apart, so they name
lines; the aggregates are what is drawn.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from cli.output.cells import cell
from cli.printable import printable
from mql.language.syntax import Item, Property, Query

MAX_WINDOWS = 5_000
"""Only so many windows, the last ones, are kept."""

MAX_SERIES = 8
"""Only so many lines, the largest, are drawn in one panel."""

MAX_GROUPS = 1_000
"""Of more groups, the smallest half is forgotten."""


@dataclass(slots=True)
class Series:
    """A line: its name, and y by the window's place. A window without a value is a gap."""

    name: str
    values: dict[int, float] = field(default_factory=dict)

    @property
    def size(self) -> float:
        """What makes a line worth drawing."""
        return sum(map(abs, self.values.values()))


@dataclass(frozen=True, slots=True)
class Place:
    """A window: its place in the row of all windows, and its start, if it is one of time."""

    number: int
    start_ms: int | None


class WindowSeries:
    """Collects a windowed aggregate's numbers: a panel for each column, a line for each group."""

    def __init__(self, query: Query) -> None:
        self._keys = key_columns(query)
        self._pruned: set[str] = set()
        self._windows: deque[Place] = deque(maxlen=MAX_WINDOWS)
        self.panels: dict[str, dict[str, Series]] = {}

    def windows(self) -> Sequence[Place]:
        """The windows that are kept, in order."""
        return tuple(self._windows)

    def add(self, start_ms: int | None, rows: list[dict[str, object]]) -> None:
        """Take a window."""
        number = self._windows[-1].number + 1 if self._windows else 1
        if len(self._windows) == MAX_WINDOWS:
            self._forget(self._windows[0].number)
        self._windows.append(Place(number, start_ms))
        for row in rows:
            group = label_of(row, self._keys)
            for column, value in row.items():
                if column not in self._keys and (y := number_of(value)) is not None:
                    lines = self.panels.setdefault(column, {})
                    lines.setdefault(group, Series(group)).values[number] = y
        for column, lines in self.panels.items():
            if len(lines) > MAX_GROUPS:
                self.panels[column] = {s.name: s for s in _by_size(lines)[: MAX_GROUPS // 2]}
                self._pruned.add(column)

    def _forget(self, number: int) -> None:
        for lines in self.panels.values():
            for group in list(lines):
                lines[group].values.pop(number, None)
                if not lines[group].values:
                    del lines[group]

    def drawn(self, column: str) -> list[Series]:
        """The largest lines of a panel, in the order, and so the colors, of the first."""
        first = next(iter(self.panels.values()))
        rank = {series.name: place for place, series in enumerate(_by_size(first))}
        lines = _by_size(self.panels[column])[:MAX_SERIES]
        return sorted(lines, key=lambda series: rank.get(series.name, len(rank)))

    def title(self, column: str) -> str:
        """The column's name, and what of it is not drawn."""
        title, count = printable(column), len(self.panels[column])
        if count > MAX_SERIES:
            many = f"more than {MAX_GROUPS:,}" if column in self._pruned else f"{count:,}"
            title += f", the largest {MAX_SERIES} of {many}"
        if len(self._windows) == MAX_WINDOWS:
            title += f", the last {MAX_WINDOWS:,} windows"
        return title


def _by_size(lines: dict[str, Series]) -> list[Series]:
    return sorted(lines.values(), key=lambda series: -series.size)


def key_columns(query: Query) -> frozenset[str]:
    """The columns of an aggregate query that are properties, not aggregates."""
    return frozenset(
        _name(item, item.value) for item in query.items if isinstance(item.value, Property)
    )


def _name(item: Item, value: Property) -> str:
    return item.alias or ".".join(map(str, value.steps))


def label_of(row: dict[str, object], keys: frozenset[str]) -> str:
    """The group of a row, as text; empty if there are no groups."""
    return ", ".join(cell(value) or "(none)" for name, value in row.items() if name in keys)


def number_of(value: object) -> float | None:
    """A value as a number that can be drawn, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
