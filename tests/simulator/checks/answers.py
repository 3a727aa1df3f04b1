"""One answer beside the events that it is about: what came, and what was published in its time."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mql.exec.operator import Window
from mql.ledger import Completeness, Exactness
from mql.result import Chunk
from mql.wire.payload import read_batch
from publish_agent.drain.subscription import Running
from source_jobs.client.actions import Piece
from tests.oracle.cases import Row
from tests.oracle.interpreter import answer
from tests.simulator.checks.placed import Placed, RowOfTime, Sourced
from tests.simulator.records import (
    AgentRecord,
    Episode,
    Failure,
    Published,
    Subscription,
    job_skew_us,
)

if TYPE_CHECKING:
    from tests.simulator.world import World

GONE_MS = 3_000
"""So long after its last word a client is taken for gone."""
_EXPECTED_MS = 60_000
"""So long after its last word an agent that did not say goodbye is still expected."""
_SLACK_MS = 3
_EVER_MS = 1 << 62
_NEAR_MS = 15
"""So near to the bound of a window it is not known on which side of it an event is."""

Offered = tuple[str, str]
"""An agent by its name, and a stream of its."""


@dataclass(frozen=True, slots=True)
class Span:
    """A window that has closed, with its rows; or a second, and the rows that came in it.

    `missed` is whether pieces of it were given up on their way to the program.
    """

    start_ms: int
    end_ms: int
    rows: list[Row]
    known: Completeness
    missed: bool

    @property
    def is_exact(self) -> bool:
        return self.known.exactness is Exactness.EXACT and not self.missed

    def __str__(self) -> str:
        return f"the time from {self.start_ms} to {self.end_ms}"


@dataclass(frozen=True, slots=True)
class Members:
    """The events of a span, and those agents' streams that are not expected in it.

    It is not `certain` if nobody can say of an event whether it is in the span.
    """

    events: Sourced
    optional: frozenset[Offered]
    certain: bool


class Answer:
    """One answer to a subscription."""

    def __init__(self, world: World, subscription: Subscription, episode: Episode) -> None:
        self.world, self.subscription, self.episode = world, subscription, episode
        self.asked = subscription.asked
        self.job = world.known.jobs[episode.job]
        self.job_number = world.job_of(subscription.client)

    def fail(self, kind: str, text: str) -> Failure:
        """Something does not hold for this answer."""
        who = f"{self.subscription.client.name}, query {self.episode.started.query} of "
        return Failure(kind, f"{who}{self.episode.job} ({self.asked.text!r}): {text}")

    # What came

    @cached_property
    def spans(self) -> list[Span]:
        """What it has told, one after the other."""
        return list(self._spans())

    @cached_property
    def rows(self) -> list[Row]:
        """All rows that came."""
        return [row for piece in self.episode.pieces for row in self._rows(piece)]

    def _spans(self) -> Iterator[Span]:
        rows: list[Row] = []
        missed = False
        for piece in self.episode.pieces:
            rows += self._rows(piece)
            missed |= piece.missed > 0
            known = piece.answer.completeness
            if known is not None:
                yield Span(known.start_ms, known.end_ms, rows, known, missed)
                rows, missed = [], False
            elif piece.answer.closes and self.asked.window is not None:
                raise self.fail("windows", "a window closed without its ledger")

    def _rows(self, piece: Piece) -> list[Row]:
        if not piece.payload:
            return []
        batch = read_batch(piece.payload)
        window = Window(piece.answer.start_ms, piece.answer.end_ms)
        return Chunk(self.asked.layout, batch, window).rows()  # type: ignore[return-value]

    # What was published

    @cached_property
    def placed(self) -> Sourced:
        """All events of its streams."""
        return {
            stream: [self._place(record, event) for record, event in events]
            for stream, events in self.world.known.events_of(self.asked.streams).items()
        }

    def members(self, span: Span) -> Members:
        """The events of a span."""
        found: Sourced = {}
        optional: set[Offered] = set()
        certain = True
        for stream, row in self._rows_of_time.items():
            near = row.near(span.start_ms, span.end_ms)
            certain = certain and not any(self._is_doubtful(each, span) for each in near)
            found[stream] = [p for p in near if span.start_ms <= p.time_ms < span.end_ms]
            for record in {placed.record for placed in found[stream]}:
                if not self._is_expected(record, stream, span):
                    optional.add((record.name, stream))
        return Members(found, frozenset(optional), certain)

    def expected(self, members: Members, span: Span, without: Collection[Offered]) -> list[Row]:
        """The rows that the interpreter gives for the events of a span."""
        streams = {
            stream: sorted(
                (
                    (each.time_ms, each.event.event | {"_agent": each.record.provenance})
                    for each in events
                    if (each.record.name, stream) not in without and not each.event.is_dropped
                ),
                key=lambda pair: pair[0],
            )
            for stream, events in members.events.items()
        }
        windows = answer(
            self.asked.tree,
            streams,  # type: ignore[arg-type]
            start_ms=span.start_ms,
            end_ms=span.end_ms,
        )
        return windows[0] if windows else []

    def covered(self, members: Members, first_ms: int) -> Members:
        """The events from a time on, of agents that are expected."""
        events = {
            stream: [
                placed
                for placed in found
                if placed.time_ms >= first_ms + _NEAR_MS
                and (placed.record.name, stream) not in members.optional
            ]
            for stream, found in members.events.items()
        }
        return Members(events, frozenset(), members.certain)

    @cached_property
    def _rows_of_time(self) -> dict[str, RowOfTime]:
        return {stream: RowOfTime(placed) for stream, placed in self.placed.items()}

    def _place(self, record: AgentRecord, event: Published) -> Placed:
        link = self._link(event, record)
        true_ms = (event.true_us + job_skew_us(self.job_number)) // 1000
        if self.asked.time:
            time_ms = int(str(event.event[self.asked.time]))
            return Placed(record, event, link, time_ms, true_ms, time_ms, time_ms)
        time_ms = true_ms if link is None else event.claimed_ms[link]
        first_ms, last_ms = min(time_ms, true_ms) - _NEAR_MS, max(time_ms, true_ms) + _NEAR_MS
        return Placed(record, event, link, time_ms, true_ms, first_ms, last_ms)

    def _link(self, event: Published, record: AgentRecord) -> int | None:
        for running in event.queries:
            asked_by, query = record.jobs_of[running], running.message.query
            if (asked_by, query) == (self.episode.job, self.episode.started.query):
                return running.link
        return None

    def has_run(self, record: AgentRecord) -> bool:
        """Whether the source job has heard that an agent ran the query."""
        query = self.episode.started.query
        return any((q, name) == (query, record.name) for q, _, name in self.job.started_ms)

    def is_gone(self, record: AgentRecord, span: Span) -> bool:
        """Whether an agent was silent for the minute before a span and all of it, and more."""
        since_ms = span.start_ms - _EXPECTED_MS - _SLACK_MS
        if record.name in self.job.left_ms or self.job.was_heard(record.name, since_ms, _EVER_MS):
            return False
        heard = self.job.heard_ms.get(record.name)
        return bool(heard) and self.episode.started.start_ms < heard[-1]

    def _is_expected(self, record: AgentRecord, stream: str, span: Span) -> bool:
        """Whether a span has to tell of an agent: reached or not, it was welcomed and is not gone.

        One that said goodbye before is not; one that fell silent is, for a minute.
        """
        left_ms = self.job.left_ms.get(record.name)
        if left_ms is not None and left_ms <= span.start_ms:
            return False
        end_ms = span.end_ms - _SLACK_MS
        since_ms = span.start_ms - _EXPECTED_MS + _SLACK_MS
        known = self.job.knows(record.name, stream, end_ms)
        return known and self.job.was_heard(record.name, since_ms, end_ms)

    def _is_doubtful(self, placed: Placed, span: Span) -> bool:
        """Whether an event may count in this span or another one.

        It counts no later than it came, by the source job's clock; so one whose agent takes its
        clock for too late may be moved over a boundary. Of one that was published before the agent
        ran the query only the true time is known.
        """
        if self.asked.time or placed.first_ms >= span.end_ms or placed.last_ms < span.start_ms:
            return False
        time_ms, true_ms = placed.time_ms, placed.true_ms
        event, record = placed.event, placed.record
        if event.shaken or record.clock_was_set:
            return True
        if placed.link is None:
            if any(each.start_ms <= true_ms for each in self._begun_after(event, record)):
                return True  # its agent takes its clock for too early, and so where it began
            return not span.start_ms <= placed.first_ms <= placed.last_ms < span.end_ms
        slot_ms = self.asked.question.slot_ms
        return time_ms > true_ms and time_ms // slot_ms != true_ms // slot_ms

    def _begun_after(self, event: Published, record: AgentRecord) -> Iterator[Running]:
        """The runs of this query that its agent began after an event."""
        asked = self.episode.job, self.episode.started.query
        for running, begun_us in record.begun_us.items():
            is_of_it = (record.jobs_of[running], running.message.query) == asked
            if is_of_it and begun_us > event.true_us:
                yield running
