"""The kinds of value that an event has, in the order of `order by`."""

from __future__ import annotations

from enum import IntEnum


class Kind(IntEnum):
    """The kind of a value; null is one, too."""

    NULL = 0
    BOOL = 1
    INT = 2
    DOUBLE = 3
    STRING = 4
    LIST = 5
    OBJECT = 6
