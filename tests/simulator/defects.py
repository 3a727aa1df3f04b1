"""Deliberate defects: the cores with one thing wrong in each, which the simulator has to find.

Each is a method or function that is replaced by one that is slightly wrong. To add one, write the
wrong version below, and a row in `DEFECTS`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from mql.ledger import Completeness, Exactness, Tally
from mql.wire.messages import Part
from publish_agent.capture import event_buffer as intake
from publish_agent.capture import under_way
from publish_agent.drain import partial_states as states
from publish_agent.drain import payloads as pack
from publish_agent.drain import subscription as running
from publish_agent.drain import tallies
from publish_agent.drain.accounting import Accounting
from publish_agent.protocol import agent_state as state
from publish_agent.protocol import clock_offset as offset
from publish_agent.protocol import source_job_link as link
from source_jobs.client import client_state
from source_jobs.client import pending_query as question
from source_jobs.protocol import agent_messages as from_agents
from source_jobs.protocol import delivery as subscribers
from source_jobs.protocol import registry as job_queries
from source_jobs.protocol import sessions
from source_jobs.query import ledger, reporters
from source_jobs.query import merge_buffer as merge
from source_jobs.query.execution import Execution

Wrong = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Defect:
    """Something wrong: `owner`'s attribute `name` becomes what `wrong` makes of it."""

    what: str
    owner: object
    name: str
    wrong: Callable[[Wrong], object]

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        """The cores with this defect."""
        right = vars(self.owner)[self.name]
        function = right.fget if isinstance(right, property) else right
        made = self.wrong(function)
        setattr(self.owner, self.name, property(made) if isinstance(right, property) else made)
        try:
            yield
        finally:
            setattr(self.owner, self.name, right)


def _returns(value: object) -> Callable[[Wrong], object]:
    return lambda _right: lambda *_args, **_more: value


def _nothing(_right: Wrong) -> object:
    return lambda *_args, **_more: None


# In agents


def _full_is_not_counted(right: Wrong) -> object:
    def keep(self: intake.Intake, event: object) -> intake.Status:
        before = self.full
        self.full = intake.Losses(intake.Status.DROPPED_BUFFER, lambda: 0, 0)
        try:
            return right(self, event)
        finally:
            self.full = before

    return keep


def _looking_counts(right: Wrong) -> object:
    def take(self: intake.Counter) -> int:
        return right(self) + (1 if self._left % 40 == 0 else 0)

    return take


def _drain_leaves_the_first(right: Wrong) -> object:
    def drain(self: intake.Intake) -> list[intake.Row]:
        rows = right(self)
        return rows[1:] if len(rows) > 8 else rows

    return drain


def _slot_is_lost(right: Wrong) -> object:
    def take(self: tallies.Tallies) -> tuple[Tally, ...]:
        taken = right(self)
        return taken[1:] if len(taken) > 1 else taken

    return take


def _is_booked_twice(_right: Wrong) -> object:
    def spread_to(self: Accounting, member: running.Running) -> None:
        place = self.places.get(member)
        unspread = self._groups.get((member.link, member.tallies.slot_ms))
        if place is not None and unspread is not None:
            self._spread_to(place, unspread)

    return spread_to


def _credit_costs_more(right: Wrong) -> object:
    def batches(self: link.Link, loads: list[pack.Load], *args: object) -> object:
        made = right(self, loads, *args)
        self.credit -= min(self.credit, 7 * len(loads))
        return made

    return batches


def _watermark_with_every_part(right: Wrong) -> object:
    def batches(self: link.Link, loads: list[pack.Load], due: object, watermark_ms: int) -> object:
        for load in loads:
            for share in load.shares:
                share.running.watermark_ms = max(share.running.watermark_ms, watermark_ms)
        return right(self, loads, due, watermark_ms + 40)

    return batches


def _states_twice(right: Wrong) -> object:
    def take(self: states.AgentStates) -> Iterator[states.StateLoad]:
        for load in list(right(self)):
            yield load
            if int(load.events.sum()) > 3:
                yield load

    return take


def _clocks_further_apart(right: Wrong) -> object:
    def value_ms(self: offset.ClockOffset) -> int:
        return right(self) + (60 if self.value_us else 0)

    return value_ms


def _sequence_skips(right: Wrong) -> object:
    def part(self: running.Running, *args: object, **more: object) -> object:
        if self.sequence == 4:
            self.sequence += 1
        return right(self, *args, **more)

    return part


def _watermark_does_not_wait(right: Wrong) -> object:
    def look(self: under_way.UnderWay, **more: bool) -> under_way.Look:
        return replace(right(self, **more), since_ns=None)

    return look


def _overdue_is_not_told(right: Wrong) -> object:
    def look(self: under_way.UnderWay, **more: bool) -> under_way.Look:
        return replace(right(self, **more), overdue=())

    return look


# In source jobs


def _lost_is_not_counted(right: Wrong) -> object:
    def take(self: reporters.Reporter, part: object, now_ms: int) -> int:
        right(self, part, now_ms)
        return 0

    return take


def _first_watermark(_right: Wrong) -> object:
    def watermark(self: reporters.Reporters, now_ms: int, grace_ms: int) -> int:
        oldest = now_ms - grace_ms
        marks = [r.watermark_ms for r in self.all.values() if r.reports]
        return max(max(marks, default=oldest), oldest)

    return watermark


def _missing_are_not_named(right: Wrong) -> object:
    def call(self: reporters.Reporters, *args: int | None) -> reporters.RollCall:
        made = right(self, *args)
        reported = made.reported + len(made.missing)
        return replace(made, reported=reported, missing=(), early=False)

    return call


def _forgotten_after_three_seconds(right: Wrong) -> object:
    def is_expected(self: reporters.Reporter, start_ms: int, end_ms: int) -> bool:
        is_silent = self.vanished_ms is not None and start_ms >= self.vanished_ms + 3_000
        return bool(right(self, start_ms, end_ms)) and not is_silent

    return is_expected


def _gone_is_not_told(right: Wrong) -> object:
    def call(self: reporters.Reporters, *args: int | None) -> reporters.RollCall:
        return replace(right(self, *args), gone=())

    return call


def _all_of_the_window_is_covered(right: Wrong) -> object:
    def call(self: reporters.Reporters, *args: int | None) -> reporters.RollCall:
        return replace(right(self, *args), covered_from_ms=args[0])

    return call


def _exact_with_nobody(right: Wrong) -> object:
    def exactness(self: Completeness) -> Exactness:
        return right(self) if self.expected else Exactness.EXACT  # type: ignore[no-any-return]

    return exactness


def _return_doubles(right: Wrong) -> object:
    returned: set[tuple[int, str, int]] = set()

    def take(
        self: Execution,
        part: Part,
        reporter: reporters.Reporter,
        shipment: Any,
        now_ms: int,
        *more: int,
    ) -> None:
        key = id(self), reporter.agent, part.source
        if reporter.start_ms is not None and reporter.watermark_ms < now_ms - 1_300:
            returned.add(key)
        right(self, part, reporter, shipment, now_ms, *more)
        if key in returned and shipment is not None and not shipment.holds_states:
            self._merge.add(shipment.rows(self._needs[part.source], part.rows), part.source, 1)

    return take


def _newest_first(right: Wrong) -> object:
    def take(self: merge.MergeBuffer, until_ms: int) -> pa.RecordBatch:
        rows = right(self, until_ms)
        return rows.take(pa.array(range(rows.num_rows - 1, -1, -1), pa.int64()))

    return take


def _slot_below_the_floor(right: Wrong) -> object:
    def add(self: ledger.Ledger, tally: Tally, at_ms: int) -> None:
        if self._slot(at_ms) >= self._floor_ms:
            right(self, tally, at_ms)

    return add


def _floor_too_high(right: Wrong) -> object:
    def forget_before(self: ledger.Ledger, time_ms: int) -> None:
        right(self, time_ms + self.slot_ms)

    return forget_before


def _large_payloads_are_forgotten(right: Wrong) -> object:
    def give_back(self: from_agents.AgentSide, agent: Any, size: int) -> None:
        if size < 600:
            right(self, agent, size)

    return give_back


def _given_up_is_not_counted(_right: Wrong) -> object:
    def give_up(self: subscribers.Subscriber, rows: int) -> None:
        self.lost_total += rows

    return give_up


def _queued_for_ever(right: Wrong) -> object:
    def send_next(self: subscribers.Subscriber, *args: object) -> int | None:
        size = right(self, *args)
        if size:
            self._queued_bytes += 1
        return size

    return send_next


def _all_of_a_group(_right: Wrong) -> object:
    def hear(self: subscribers.Audience, piece: Any, payload: Any) -> None:
        for member in self.members:
            member.offer(piece, payload)

    return hear


# In clients


def _little_is_given_back(_right: Wrong) -> object:
    def give_back(self: client_state.ClientState, size: int) -> list[object]:
        if not self.connected:
            return []
        self._returned += size if size < 560 else 0
        return self._grant() if self._returned >= self._hello.credit // 8 else []  # type: ignore[return-value]

    return give_back


def _gap_is_not_told(right: Wrong) -> object:
    def interrupted(self: question.Question) -> None:
        right(self)
        self._interrupted = False

    return interrupted


DEFECTS: tuple[Defect, ...] = (
    Defect("events that find the buffer full are not counted",
           intake.Intake, "keep", _full_is_not_counted),
    Defect("looking at a counter is counted now and then", intake.Counter, "take",
           _looking_counts),
    Defect("a large drain loses its first event", intake.Intake, "drain", _drain_leaves_the_first),
    Defect("of several slots the first is not told", tallies.Tallies, "take", _slot_is_lost),
    Defect("what was booked to a query is booked again", Accounting, "spread_to", _is_booked_twice),
    Defect("sending costs more credit than bytes", link.Link, "batches", _credit_costs_more),
    Defect("the watermark is ahead of the events", link.Link, "batches",
           _watermark_with_every_part),
    Defect("states of many events are sent twice", states.AgentStates, "take", _states_twice),
    Defect("clocks are taken to be 60 ms further apart", offset.ClockOffset, "value_ms",
           _clocks_further_apart),
    Defect("a sequence number is left out", running.Running, "part", _sequence_skips),
    Defect("credit for what could not be sent does not come back", state.AgentState, "unsent",
           _nothing),
    Defect("an agent forgets the queries of a source job at once", link.Link, "welcome",
           lambda right: lambda self, job, credit: right(self, job + "'", credit)),
    Defect("a watermark does not wait for calls that are under way", under_way.UnderWay, "look",
           _watermark_does_not_wait),
    Defect("calls that are waited for no longer are not told", under_way.UnderWay, "look",
           _overdue_is_not_told),
    Defect("gaps in the sequence are not counted", reporters.Reporter, "take",
           _lost_is_not_counted),
    Defect("a gap is held against no window", reporters.Reporter, "lacks", _returns(value=False)),
    Defect("a window closes when the first agent has come to its end",
           reporters.Reporters, "watermark", _first_watermark),
    Defect("missing agents are not named", reporters.Reporters, "call", _missing_are_not_named),
    Defect("an agent that joins in a window is not missing", reporters.Reporter, "began_late",
           _returns(value=False)),
    Defect("a query is said to have run in all of its first window", reporters.Reporters, "call",
           _all_of_the_window_is_covered),
    Defect("who is silent for three seconds is expected no more", reporters.Reporter,
           "is_expected", _forgotten_after_three_seconds),
    Defect("rows of an agent that returns count twice", Execution, "take", _return_doubles),
    Defect("who is gone is not named", reporters.Reporters, "call", _gone_is_not_told),
    Defect("an answer is exact with nobody expected", Completeness, "exactness",
           _exact_with_nobody),
    Defect("rows that come late are not counted", ledger.Ledger, "add_late", _nothing),
    Defect("the newest rows come first", merge.MergeBuffer, "_take", _newest_first),
    Defect("what is counted after its window has closed is lost", ledger.Ledger, "add",
           _slot_below_the_floor),
    Defect("a closed window takes a slot of the next along", ledger.Ledger, "forget_before",
           _floor_too_high),
    Defect("credit for large payloads is not given back", from_agents.AgentSide, "_give_back",
           _large_payloads_are_forgotten),
    Defect("rows given up are not told", subscribers.Subscriber, "give_up",
           _given_up_is_not_counted),
    Defect("a byte of each piece waits for ever", subscribers.Subscriber, "send_next",
           _queued_for_ever),
    Defect("each of a group gets all rows", subscribers.Audience, "hear", _all_of_a_group),
    Defect("silent clients are never gone", sessions.Sessions, "silent_since", _returns([])),
    Defect("a subscriber that leaves keeps its query", job_queries.Queries, "leave", _nothing),
    Defect("a client gives back too little credit", client_state.ClientState, "_give_back",
           _little_is_given_back),
    Defect("a client does not tell what it missed", question.Question, "interrupted",
           _gap_is_not_told),
    Defect("rows that a client gave up are not told", question.Question, "_give_up", _nothing),
)  # fmt: skip
