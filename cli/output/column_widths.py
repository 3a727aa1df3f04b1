"""Which columns of a table are shown how wide, in the columns that a terminal has.

Pure: names, kinds and widths in, widths out. Numbers are never cut, text is, and columns at the
end are left out when even that does not help.
"""

from __future__ import annotations

from dataclasses import dataclass

from cli.output.cells import width_of

GAP = 2
"""Blanks between columns."""

_NARROWEST = 8
"""A text column is not cut below this."""


@dataclass(slots=True)
class Column:
    """A column as known so far. `right` (numbers) holds until a value that is no number comes."""

    name: str
    label: str
    natural: int = 0
    right: bool | None = None

    def __post_init__(self) -> None:
        self.natural = width_of(self.label)

    def see(self, text: str, value: object) -> None:
        """Make room for a cell."""
        self.natural = max(self.natural, width_of(text))
        if value is not None:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            self.right = number and self.right is not False


def fit_columns(columns: list[Column], width: int | None) -> list[int]:
    """The width of each column that is shown; the list ends where columns are left out.

    >>> fit_columns([Column("a", "x" * 30), Column("b", "count", right=True)], 20)
    [13, 5]
    """
    widths = [column.natural for column in columns]
    if width is None:
        return widths
    shown = len(widths)
    while shown > 1 and _least(columns[:shown]) > _room(width, shown, len(widths)):
        shown -= 1
    room = _room(width, shown, len(widths))
    widths = _shrink(columns[:shown], widths[:shown], room)
    # A single column wider than the terminal is cut, whatever it holds.
    return [min(w, max(1, room)) for w in widths] if shown == 1 else widths


def _room(width: int, shown: int, total: int) -> int:
    """What is left for values beside the gaps, and the mark that columns are missing."""
    mark = GAP + len(left_out(total - shown)) if shown < total else 0
    return width - GAP * (shown - 1) - mark


def left_out(count: int) -> str:
    """What stands in the header for columns that found no room."""
    return f"(+{count})" if count else ""


def _least(columns: list[Column]) -> int:
    return sum(c.natural if c.right else min(c.natural, _NARROWEST) for c in columns)


def _shrink(columns: list[Column], widths: list[int], room: int) -> list[int]:
    """Cut the widest text columns, all to one width, until the row fits."""
    excess = sum(widths) - room
    texts = [i for i, column in enumerate(columns) if not column.right]
    if excess <= 0 or not texts:
        return widths
    low, high = 1, max(widths[i] for i in texts)
    while low < high:
        middle = (low + high + 1) // 2
        saved = sum(max(0, widths[i] - middle) for i in texts)
        low, high = (middle, high) if saved >= excess else (low, middle - 1)
    return [min(w, low) if i in texts else w for i, w in enumerate(widths)]
