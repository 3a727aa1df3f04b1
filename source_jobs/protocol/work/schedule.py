"""When running queries go on: for a turn at a time, by owner, what takes long beside the thread.

The processor time that a query takes is measured by a function that is passed, and charged to its
owner. Who takes more than there is falls back, and waits longer; others do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from source_jobs.protocol.shared_query import Running
from source_jobs.protocol.work.aside import Aside, Done
from source_jobs.protocol.work.work_line import WorkLine

_TURN_US = 10_000
"""So long queries go on before messages have their turn; one step may take longer."""
_STEPS_US = 2_000
"""So long one query does before the next has its turn."""
BEHIND_MS = 10_000
"""A query that has waited so long for its turn cannot be kept up with."""
_LOOK_MS = 1_000
"""So often that is looked at: with one query less the others may be kept up with."""


@dataclass(slots=True)
class Schedule:
    """Whose turn it is; `worker` does one thing at a time beside the thread."""

    worker: Aside[tuple[object, int]]
    meter_us: Callable[[], int]
    _line: WorkLine[Running] = field(default_factory=WorkLine)
    _large: WorkLine[Running] = field(default_factory=WorkLine)
    _working: Running | None = None
    _looked_ms: int = 0

    def __bool__(self) -> bool:
        """Whether some query has something to do now."""
        return bool(self._line)

    def add(self, running: Running, now_ms: int) -> None:
        """A query goes on, after what it is about to do."""
        running.is_due = True
        if running.since_ms is None:
            running.since_ms = now_ms
        if running.beside is None:
            self._line.add(running, running.share)

    def remove(self, running: Running) -> None:
        """A query has nothing to do, or is over."""
        running.since_ms = None
        self._line.remove(running)
        self._large.remove(running)

    def go_on(self, step: Callable[[Running], bool]) -> None:
        """Let queries go on for a turn: `step` does a little, and says whether there is more."""
        began_us = self.meter_us()
        self._have_done()
        while (running := self._line.next()) is not None:
            self.let(running, step)
            if self.meter_us() - began_us >= _TURN_US:
                return

    def let(self, running: Running, step: Callable[[Running], bool]) -> None:
        """Let a query go on for a little, if it is not done beside."""
        began_us = now_us = self.meter_us()
        share = running.share
        while running in self._line and now_us - began_us <= _STEPS_US:
            if not step(running):
                self.remove(running)
            elif running.is_beside:
                self._line.remove(running)
                self._large.add(running, share)
                self._have_done()
            now_us = self.meter_us()
        self._line.charge(share, self.meter_us() - began_us)

    def behind(self, now_ms: int) -> Running | None:
        """The query that is to be given up, if some have waited long: of their owner's the newest.

        Now and then, while others that wait may still be kept up with.
        """
        if now_ms < self._looked_ms + _LOOK_MS:
            return None
        self._looked_ms = now_ms
        waiting: list[Running] = [*self._line, *self._large]
        if self._working is not None and self._working.since_ms is not None:
            waiting.append(self._working)
        first = min(waiting, key=_since_ms, default=None)
        if first is None or now_ms - _since_ms(first) < BEHIND_MS:
            return None
        return max((w for w in waiting if w.share == first.share), key=_number)

    def excuse(self, queries: Iterable[Running], slept_ms: int) -> None:
        """The job itself was away: no query has waited in that time."""
        for running in queries:
            if running.since_ms is not None:
                running.since_ms += slept_ms

    def _have_done(self) -> None:
        """Take what was done beside, and have the next thing done."""
        while True:
            if self._working is not None:
                outcome = self.worker.take()
                if outcome is None:
                    return
                self._take(self._working, outcome)
                self._working = None
            running = self._large.next()
            if running is None:
                return
            self._large.remove(running)
            assert running.beside is not None
            self._working = running
            self.worker.begin(partial(_measured, running.beside.work, self.meter_us))

    def _take(self, running: Running, outcome: Done[tuple[object, int]]) -> None:
        running.beside = None
        if outcome.error is not None:
            running.done = Done(error=outcome.error)
        else:
            value, taken_us = outcome.get()
            running.done = Done(value)
            self._large.charge(running.share, taken_us)
        if running.since_ms is not None:  # it is not over
            self._line.add(running, running.share)


def _measured(work: Callable[[], object], meter_us: Callable[[], int]) -> tuple[object, int]:
    """The value of some work, and the time that it took."""
    began_us = meter_us()
    value = work()
    return value, meter_us() - began_us


def _since_ms(running: Running) -> int:
    assert running.since_ms is not None
    return running.since_ms


def _number(running: Running) -> int:
    return running.execution.number
