"""Up to when all events of a stream have come, since `publish` may take long.

A value's own code may take long, and a thread may wait long for the interpreter. `publish` counts
by epochs who is under way, and the background thread begins the epochs. An event's time is not
before the epoch in which its `publish` began, so the watermark waits for that epoch. It waits
250 ms from the look that ended the epoch; then it goes on, and the ledger says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from publish_agent.capture.native.binding import EPOCHS, Publisher

WAIT_MAX_NS = 250_000_000
_EPOCH_MIN_NS = 5_000_000
"""Of shorter ones, more than `EPOCHS` could be waited for."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """Calls of `publish` that are waited for no longer, and between which times they began."""

    number: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Look:
    """Since when calls are waited for (None: all have returned), and those that no longer are."""

    since_ns: int | None
    overdue: tuple[Overdue, ...]


class UnderWay:
    """The calls of a stream's `publish` that are under way, but for those before this was made."""

    def __init__(self, publisher: Publisher, clock_ns: Callable[[], int]) -> None:
        self._publisher = publisher
        self._clock_ns = clock_ns
        self._begun: deque[int] = deque(maxlen=EPOCHS)
        """When the present epoch began, and those before it that are waited for, newest first."""
        self.begin_anew()

    def begin_anew(self) -> None:
        """Wait for none of those that are under way now."""
        self._begun.clear()
        self._begin(self._clock_ns())

    def look(self, *, final: bool = False) -> Look:
        """Who is under way; to be asked before a drain. After the final one nobody is waited for.

        All that had returned before this was asked is in that drain.
        """
        begun, now_ns = self._begun, self._clock_ns()
        if final or now_ns - begun[0] >= _EPOCH_MIN_NS:
            self._begin(now_ns)
        numbers = self._publisher.under_way()  # of past epochs, these can only become less
        overdue: list[Overdue] = []
        while len(begun) > 1:
            first_ns, last_ns = begun[-1], begun[-2]
            number = numbers[len(begun) - 1] if numbers else 0
            if number and not final and now_ns - last_ns < WAIT_MAX_NS:
                break
            begun.pop()
            if number:
                overdue.append(Overdue(number, first_ns, last_ns))
        if numbers and numbers[len(begun) - 1]:
            return Look(begun[-1], tuple(overdue))
        begun[0] = now_ns  # who comes now, comes later than that
        return Look(None, tuple(overdue))

    def _begin(self, now_ns: int) -> None:
        self._publisher.begin_epoch()  # after the clock was read: all that comes in it is later
        self._begun.appendleft(now_ns)
