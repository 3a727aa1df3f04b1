"""What was said lately, for readers who come again or are slow. Pure, and bounded.

Pieces are numbered from 1. Of those that had to go only the numbers of pieces and rows are known,
which is what a reader who wanted them is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Generic, TypeVar

from source_jobs.shares import Room

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Entry(Generic[_T]):
    """A numbered piece, before which `missed` never came; `rows_until` counts rows to its end."""

    number: int
    item: _T
    size: int
    rows: int
    rows_until: int
    missed: int = 0
    came_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader has come; `rows` is None where it only knows a number from before."""

    number: int = 0
    rows: int | None = 0


@dataclass(frozen=True, slots=True)
class Missed:
    """Pieces, and rows if that is known, that are gone."""

    pieces: int
    rows: int | None


class Replay(Generic[_T]):
    """The newest pieces, but always the last: at most so many, so many bytes, and so old.

    Of all replays' `room` it takes no more than it leaves to others.
    """

    def __init__(self, most_pieces: int, most_bytes: int, most_s: float, room: Room) -> None:
        self._most_pieces, self._most_bytes, self._most_s = most_pieces, most_bytes, most_s
        self._room = room
        self._kept: deque[Entry[_T]] = deque()
        self.size = 0
        self.number = 0
        self.rows = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, item: _T, size: int, rows: int, now_s: float, *, missed: int = 0) -> None:
        """Take a piece, before which `missed` ones never came."""
        self.number += missed + 1
        self.rows += rows
        self._kept.append(Entry(self.number, item, size, rows, self.rows, missed, now_s))
        self._grow(size)
        while len(self._kept) > 1 and self._has_too_much(now_s):
            self._grow(-self._kept.popleft().size)

    def clear(self) -> None:
        """Keep nothing more."""
        self._kept.clear()
        self._grow(-self.size)

    def _grow(self, size: int) -> None:
        self.size += size
        self._room.used += size

    def _has_too_much(self, now_s: float) -> bool:
        return (
            len(self._kept) > self._most_pieces
            or self.size > min(self._most_bytes, max(0, self._room.free))
            or now_s - self._kept[0].came_s > self._most_s
        )

    def after(self, cursor: Cursor, most: int) -> tuple[Missed | None, Sequence[Entry[_T]]]:
        """What a reader at a cursor gets next: `most` pieces, and what is gone before them.

        A cursor from another life, ahead of all there is, begins anew.
        """
        number = cursor.number if cursor.number <= self.number else 0
        newer = list(takewhile(lambda entry: entry.number > number, reversed(self._kept)))
        newer.reverse()
        missed = None
        if newer and newer[0] is self._kept[0]:
            missed = _missed(newer[0], number, cursor.rows)
        return missed, newer[:most]


def _missed(first: Entry[_T], number: int, rows: int | None) -> Missed | None:
    """What is gone between a reader's number and the first piece that is left."""
    pieces = first.number - first.missed - number - 1
    if pieces <= 0:
        return None
    return Missed(pieces, None if rows is None else first.rows_until - first.rows - rows)
