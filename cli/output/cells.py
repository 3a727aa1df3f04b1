"""Values as text for a person: short, on one line, and harmless."""

from __future__ import annotations

import math

from rich.cells import cell_len, set_cell_size

from cli.printable import printable
from mql.values.json_values import write_json

MAX_CHARACTERS = 1_000
"""More of a value is not shown in a cell, however wide the terminal."""

_SMALLEST, _LARGEST = 1e-4, 1e15
"""Outside of this a float is written with an exponent."""


def cell(value: object) -> str:
    """A value as the text of a table's cell; null is empty, as psql shows it.

    >>> [cell(v) for v in (None, True, 12, 0.1 + 0.2, 2.0, "a", {"b": [1]})]
    ['', 'true', '12', '0.3', '2.0', 'a', '{"b":[1]}']
    """
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return short_float(value)
        case str():
            return _bounded(value)
        case list() | dict():
            return _bounded(write_json(value))
        case _:
            return _bounded(str(value))


def _bounded(text: str) -> str:
    if len(text) > MAX_CHARACTERS:
        text = text[:MAX_CHARACTERS] + "…"
    return printable(text)


def short_float(value: float) -> str:
    """A float with six digits that matter, and never fewer than its whole part has.

    >>> [short_float(v) for v in (1431857.26, 123.456789, 0.00001234, 1e300, 3.0)]
    ['1431857.3', '123.457', '1.234e-05', '1e+300', '3.0']
    """
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size and not _SMALLEST <= size < _LARGEST:
        return f"{value:.6g}"
    whole_digits = len(str(int(size))) if size >= 1 else 0
    text = f"{value:.{max(1, 6 - whole_digits)}f}".rstrip("0")
    return text + "0" if text.endswith(".") else text


def width_of(text: str) -> int:
    """Columns that a printable text takes on a terminal.

    >>> width_of("a日")
    3
    """
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """The text in exactly `width` columns, cut with `…` where it is longer.

    >>> fit("abcdef", 4), fit("12", 4, right=True)
    ('abc…', '  12')
    """
    length = width_of(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…"
    padding = " " * (width - length)
    return padding + text if right else text + padding
