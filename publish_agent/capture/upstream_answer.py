"""A stream that is another source job's answer: what that job has told of it, and up to when.

The thread that reads the answer publishes rows, and then says of the time up to some moment that
all is told; the agent's thread takes what has been told before it drains the rows. So nothing is
claimed whose rows are not there. Times are in ms by the clock of that job.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from mql.wire.upstream import Feed, Told, add, silence
from publish_agent.capture.event_buffer import Status
from publish_agent.capture.outcome import Outcome

_SPANS_MAX = 10
"""So many different spans wait for a query's next part."""
_STEADY_MS = 10
"""Clocks that drift apart by less are read as before: no row leaves its window by that."""
_LEAST_US = 2_000
"""Clocks that are less apart count as the same: the measure is no better."""
_WAITING_MAX = 1_000
"""So many spans wait for the agent's thread; it misses older ones, and says so."""


class Entry(Protocol):
    """The stream, as the reader of the other job's answer sees it."""

    def keep(self, row: object, time_ms: int) -> Status:
        """Offer an event of a time. Never blocks or raises."""

    def lose(self, time_ms: int, outcome: Outcome, number: int) -> None:
        """Note that events of a time are lost. Never blocks or raises."""


class Relayed:
    """What a query has yet to pass on of what was told, by the clock of its source job."""

    __slots__ = ("_told", "due_ms", "is_due", "name", "until_ms", "wait_ms")

    def __init__(self, name: str) -> None:
        self.name = name
        self.until_ms = self.due_ms = self.wait_ms = 0
        self.is_due = False
        self._told: list[Told] = []

    def hear(self, told: Sequence[Told], ahead_ms: int) -> None:
        """Take some spans; the clock is ahead of the one by which they are told."""
        for each in told:
            start_ms = max(each.start_ms + ahead_ms, 0)
            end_ms = max(each.end_ms + ahead_ms, start_ms)
            add(self._told, each.of(start_ms, end_ms), _SPANS_MAX)
            self.until_ms = max(self.until_ms, end_ms)
        self.is_due |= bool(told)

    def take(self) -> tuple[Told, ...]:
        """What has not been passed on; the next part does."""
        told, self._told, self.is_due = tuple(self._told), [], False
        return told


class Upstream:
    """The books of such a stream; made by `Agent.relay`.

    `clock_ms` is by how much the other job's clock is ahead of this process's, but for
    `uncertain_ms`, and `step_ms` how far apart its windows begin: rows of windows are moved by
    whole ones, or they would lie in the next. `name` stands for that job where it is missing.
    """

    def __init__(
        self,
        entry: Entry,
        name: str,
        wake: Callable[[], None],
        jobs: Callable[[], frozenset[str]],
        epoch_us: int,
    ) -> None:
        self.name = name
        self.clock_ms = self.uncertain_ms = 0
        self.step_ms = 1
        self.due_ms = self.wait_ms = 0
        self.feeds: tuple[Feed, ...] = ()
        self._entry = entry
        self._wake = wake
        self._epoch_us = epoch_us
        self.jobs = jobs
        """The random names of the source jobs to which the agent has come."""
        self._told: deque[Told] = deque(maxlen=_WAITING_MAX)
        self._newest_ms = 0
        self._ahead_ms: dict[int, int] = {}

    # For the thread that reads the answer

    def publish(self, row: object, time_ms: int) -> Status:
        """Offer a row of a time to the queries that run now. Never blocks or raises."""
        self._newest_ms = max(self._newest_ms, time_ms)
        return self._entry.keep(row, time_ms)

    def lose(self, number: int, time_ms: int) -> None:
        """Say that events of a time are lost upstream. Never blocks or raises."""
        self._entry.lose(time_ms, Outcome.UPSTREAM, number)

    def tell(self, told: Told) -> None:
        """Say what the upstream told of the time that follows what was told before."""
        self._told.append(told)
        self._wake()

    def fall_silent(self) -> None:
        """Say that the upstream cannot be reached: nobody need wait for it."""
        if self.due_ms:
            self.due_ms = 0
            self._wake()

    def end(self) -> None:
        """Say that nothing more will come."""
        self.feeds = ()
        self.fall_silent()

    def set_clock(self, ahead_us: int, uncertain_us: int) -> None:
        """Say by how much the other job's clock is ahead of this process's monotonic one.

        Clocks of which that is not certain count as the same.
        """
        away_us = ahead_us - self._epoch_us
        if abs(away_us) <= max(uncertain_us, _LEAST_US):
            self.clock_ms = self.uncertain_ms = 0
        else:
            self.clock_ms, self.uncertain_ms = away_us // 1000, -(-uncertain_us // 1000)

    # For the agent's thread

    def take(self) -> list[Told]:
        """What was told since the last time."""
        return [self._told.popleft() for _ in range(len(self._told))]

    def ahead_ms(self, link: int, offset_ms: int) -> int:
        """By how much a link's clock is ahead of the upstream's, in whole steps."""
        return round(self._steady_ms(link, offset_ms) / self.step_ms) * self.step_ms

    def begin(self, link: int, offset_ms: int, start_ms: int) -> Relayed:
        """A query begins at a time: it has missed rows of later times that came before it."""
        relayed = Relayed(self.name)
        missed_ms = self._newest_ms + self.ahead_ms(link, offset_ms) + 1
        if missed_ms > start_ms:
            relayed.hear([silence(self.name, start_ms, missed_ms)], 0)
            relayed.until_ms = 0
        return relayed

    def pass_on(
        self, relayed: Relayed, told: Sequence[Told], link: int, offset_ms: int, start_ms: int
    ) -> None:
        """Give a query what was told of the time since it began."""
        ahead_ms = self.ahead_ms(link, offset_ms)
        relayed.hear([each for each in told if each.end_ms + ahead_ms > start_ms], ahead_ms)
        due_ms = self.due_ms and max(self.due_ms + self._steady_ms(link, offset_ms), 0)
        relayed.is_due |= due_ms == 0 < relayed.due_ms
        relayed.due_ms, relayed.wait_ms = due_ms, self.wait_ms

    def _steady_ms(self, link: int, offset_ms: int) -> int:
        ahead_ms = offset_ms - self.clock_ms
        kept_ms = self._ahead_ms.get(link, ahead_ms)
        if abs(ahead_ms - kept_ms) > _STEADY_MS:
            kept_ms = ahead_ms
        self._ahead_ms[link] = kept_ms
        return kept_ms
