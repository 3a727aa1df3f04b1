"""Events that have a time already, since another source job has told of them.

They are kept as text, and counted by their own times. They are no part of a sample: they cost the
service that published them, and not this process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from mql.columnar.layout import Ints
from publish_agent.capture.event_buffer import MOST_LOST, ROW_BYTES, Candidates, Room, Status
from publish_agent.capture.outcome import Outcome

_LOSSES_MAX = 1_000
"""Losses that wait; further ones are put together."""
_TOGETHER_MS = 100
"""Losses of one such span are put together anyway."""

Loss = tuple[int, Outcome, int]
"""When how many events were lost, and where."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Events by their times, for whom each may be, and the text of those that are for somebody."""

    times: Ints
    candidates: list[Candidates]
    texts: list[bytes]


class Dated:
    """Keeps such events, and what is known to be lost. One thread adds, and another one takes."""

    __slots__ = ("_encode", "_limit", "_losses", "_room", "_rows", "_sort")

    def __init__(
        self,
        sort: Callable[[object], Candidates],
        encode: Callable[[object], bytes],
        room: Room,
        limit: int,
    ) -> None:
        self._sort = sort
        self._encode = encode
        self._room = room
        self._limit = limit
        self._rows: deque[tuple[int, Candidates, bytes]] = deque()
        self._losses: deque[Loss] = deque()

    def keep(self, event: object, time_ms: int) -> Status:
        """Take an event of a time. Never raises."""
        room = self._room
        if len(self._rows) >= self._limit or room.used >= room.limit:
            self.lose(time_ms, Outcome.BUFFER, 1)
            return Status.DROPPED_BUFFER
        candidates = self._sort(event)
        try:
            text = self._encode(event) if candidates else b""
        except Exception:  # noqa: BLE001 - whatever the caller's objects raise
            self.lose(time_ms, Outcome.FAILED, 1)
            return Status.DROPPED_UNREADABLE
        self._rows.append((time_ms, candidates, text))
        room.used += len(text) + ROW_BYTES
        return Status.ACCEPTED if candidates else Status.SKIPPED

    def lose(self, time_ms: int, outcome: Outcome, number: int) -> None:
        """Note that events of a time are lost. Never raises."""
        losses, loss = self._losses, (time_ms, outcome, number)
        with suppress(IndexError):  # the other thread has taken it
            if losses and (len(losses) >= _LOSSES_MAX or _are_alike(losses[-1], loss)):
                before_ms, outcome, before = losses.pop()
                loss = min(before_ms, time_ms), outcome, before + number
        losses.append((loss[0], loss[1], min(loss[2], MOST_LOST)))

    def take(self) -> tuple[Rows | None, list[Loss]]:
        """What has been kept and lost since the last time."""
        rows = [self._rows.popleft() for _ in range(len(self._rows))]
        losses: list[Loss] = []
        with suppress(IndexError):  # the other thread puts the last one together with another
            losses.extend(self._losses.popleft() for _ in range(len(self._losses)))
        if not rows:
            return None, losses
        times, candidates, texts = zip(*rows, strict=True)
        return Rows(np.array(times, np.int64), list(candidates), list(texts)), losses


def _are_alike(one: Loss, other: Loss) -> bool:
    return one[1] is other[1] and one[0] // _TOGETHER_MS == other[0] // _TOGETHER_MS
