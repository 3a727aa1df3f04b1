"""Finding text in bytes at the speed of memory; the one place that knows the library for it.

`bytes.find` takes ten times as long where the characters of the text are common ones.
"""

from __future__ import annotations

import stringzilla


def find(data: bytes, text: bytes, start: int, end: int) -> int:
    """Where the text is first found between two places, or -1."""
    place: int = stringzilla.find(data, text, start, end)
    return place


def count(data: bytes, text: bytes, start: int, end: int) -> int:
    """How often the text stands between two places."""
    found: int = stringzilla.count(data, text, start, end)
    return found
