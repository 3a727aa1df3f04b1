"""What a job source tells of another source job's answer: rows with their times, and what it lacks.

All times are in ms by the clock of that job.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from msgspec.structs import replace

from mql.layout import END, START
from mql.ledger import Completeness
from mql.wire.upstream import Feed, Told, silence, told_by
from source_jobs.client.actions import Gap, SourceJobError
from source_jobs.client.clock import JobClock
from source_jobs.client.window import LiveWindow
from source_jobs.query.live_query import SECOND_MS, Question
from source_jobs.sources.cycle import find_circle

Row = dict[str, object]

SLACK_MS = 2_500
"""So much longer than the other source job at most does whoever asks further on wait for it: it may
have stood still for a moment. One that cannot be reached is not waited for."""

_WAIT_MS = 1_000
"""How long an older source job waits, which does not say."""


class CircleError(SourceJobError):
    """What a source job answers would flow back into it."""


@dataclass(slots=True)
class Taken:
    """What a job source has done: rows published, and what it knows to be missing.

    `lost` are the events and rows that the ledger says the answer lacks; `pieces` of it never
    came; and in `gaps` the other source job could not be reached, for `gap_ms` together.
    """

    rows: int = 0
    lost: int = 0
    pieces: int = 0
    gaps: int = 0
    gap_ms: int = 0


class Known(Protocol):
    """What a client knows of its source job."""

    @property
    def reachable(self) -> bool:
        """Whether there is a connection, and it answers."""

    @property
    def job(self) -> str:
        """Its random name."""

    @property
    def shown(self) -> str:
        """What people know it by."""

    @property
    def feeds(self) -> tuple[Feed, ...]:
        """The source jobs upstream of it."""

    @property
    def clock(self) -> JobClock:
        """What is known of its clock."""


class Relay(Protocol):
    """Where rows go, and what is told of them; the `Upstream` of an agent."""

    step_ms: int
    due_ms: int
    wait_ms: int
    uncertain_ms: int
    feeds: tuple[Feed, ...]

    def publish(self, row: Row, time_ms: int) -> object:
        """Take a row of a time."""

    def lose(self, number: int, time_ms: int) -> None:
        """Hear that events of a time are lost."""

    def tell(self, told: Told) -> None:
        """Hear what was told of the time that follows what was told before."""

    def set_clock(self, ahead_us: int, uncertain_us: int) -> None:
        """Hear by how much that job's clock is ahead of the monotonic one of this process."""

    def jobs(self) -> Collection[str]:
        """The random names of the source jobs into which the rows go."""

    def fall_silent(self) -> None:
        """Hear that the other source job cannot be reached."""

    def end(self) -> None:
        """Hear that nothing more will come."""


@runtime_checkable
class Relaying(Protocol):
    """An agent, as far as it matters here."""

    def relay(self, stream: str, name: str) -> Relay:
        """Let a stream be the answer of another source job, which is missing by a name."""


class WithoutTime:
    """Hands rows to a function that knows no times, and loses to another one."""

    step_ms = 1
    due_ms = wait_ms = uncertain_ms = 0
    feeds: tuple[Feed, ...] = ()

    def __init__(
        self,
        stream: str,
        publish: Callable[[str, Row], object],
        lose: Callable[[str, int], object] | None,
    ) -> None:
        self._stream = stream
        self._publish = publish
        self._lose = lose

    def publish(self, row: Row, time_ms: int) -> object:  # noqa: ARG002 - as in Relay
        """Hand on a row."""
        return self._publish(self._stream, row)

    def lose(self, number: int, time_ms: int) -> None:  # noqa: ARG002 - as in Relay
        """Hand on a number of lost events."""
        if self._lose is not None and number:
            self._lose(self._stream, number)

    def tell(self, told: Told) -> None:
        """Lose one event at least where somebody is missing."""
        if told.start_ms and told.reported < told.expected and not told.lost:
            self.lose(1, told.end_ms)

    def set_clock(self, ahead_us: int, uncertain_us: int) -> None:
        """Nothing depends on it."""

    def jobs(self) -> Collection[str]:
        """Nobody knows."""
        return ()

    def fall_silent(self) -> None:
        """Nobody waits for it."""

    def end(self) -> None:
        """Nothing is left to do."""


class Teller:
    """Reads pieces of an answer, and tells a relay what they say. `name` is the other job's."""

    def __init__(self, name: str, question: Question, relay: Relay) -> None:
        self.taken = Taken()
        self._name = name
        self._relay = relay
        self._is_windowed = question.window is not None
        self._scales = question.weighs
        self._step_ms = SECOND_MS if question.window is None else question.window.shift_ms
        self._told_ms = 0
        self._doubtful = 0
        """Of so many further spans it is not known which rows never came."""
        relay.step_ms = question.window.shift_ms if question.window else 1

    def look(self, client: Known) -> None:
        """See what is known of the other source job. Raises CircleError."""
        if not client.reachable:
            self._relay.fall_silent()
        circle = find_circle(self._relay.jobs(), client.job, client.shown, client.feeds)
        if circle is not None:
            raise CircleError(f"a circle of source jobs: {' → '.join(circle)}")
        self._relay.feeds = (Feed(client.job, client.shown), *client.feeds)
        clock = client.clock
        if clock.ahead_us is not None:
            self._relay.set_clock(clock.ahead_us, clock.uncertain_us)

    def take(self, window: LiveWindow, start_ms: int) -> None:
        """Pass on a piece of the answer, which began at a time: before that nothing is known."""
        if not self._told_ms:
            self._tell(silence(self._name, 0, start_ms))
        if window.gap is not None:
            self._miss(window.gap)
        self.taken.rows += self._publish(window)
        if window.completeness is not None:
            self.taken.lost += self._tell_of(window.completeness, window.wait_ms)

    def _miss(self, gap: Gap) -> None:
        """Something never came: the answer of some time, or pieces before this one."""
        taken = self.taken
        taken.pieces += gap.pieces
        if gap.from_ms is not None and gap.to_ms is not None:
            taken.gaps += 1
            taken.gap_ms += gap.to_ms - gap.from_ms
        if gap.pieces:
            self._doubt()
        if gap.to_ms is not None and gap.to_ms > self._told_ms:
            self._tell(silence(self._name, self._told_ms, gap.to_ms))

    def _publish(self, window: LiveWindow) -> int:
        """Publish the rows of a piece, each with its time; returns how many there are."""
        rows, times = window.rows(), window.times_ms()
        for row, row_ms in zip(rows, times, strict=True):
            if window.start_ms is not None and window.end_ms is not None:
                placed = {START: window.start_ms, END: window.end_ms, **row}
                self._relay.publish(placed, window.end_ms - 1)
            else:
                self._relay.publish(row, self._told_ms if row_ms is None else row_ms)
        return len(rows)

    def _tell_of(self, known: Completeness, wait_ms: int) -> int:
        """Tell how complete the answer is up to a time; returns how many events it has lost."""
        lost = known.lost + known.subscriber
        if known.rate < 1 and not self._scales:
            lost += known.tally.budget  # rows do not tell for how many they stand
        if known.subscriber:
            self._doubt()
        self._relay.lose(lost, known.end_ms - 1)
        if known.end_ms <= self._told_ms:
            return lost
        told = told_by(self._name, known, self._told_ms, lost)
        if self._doubtful:
            self._doubtful -= 1
            told = silence(self._name, told.start_ms, told.end_ms)
        told = replace(told, clock_ms=told.clock_ms + self._relay.uncertain_ms)
        self._relay.wait_ms = (wait_ms or _WAIT_MS) + SLACK_MS
        self._relay.due_ms = known.end_ms + self._step_ms + self._relay.wait_ms
        self._tell(told)
        return lost

    def _tell(self, told: Told) -> None:
        self._told_ms = told.end_ms
        self._relay.tell(told)

    def _doubt(self) -> None:
        """Rows of windows come before the end of theirs; others may be of the next second, too."""
        self._doubtful = 1 if self._is_windowed else 2
