"""One generation of a stream's subscriptions: its intake, from its first event to its last drain.

A generation begins with a screen, and counts for those that join it. A drain takes what its intake
holds: the counts go to `accounting.py`, and the rows, each for the queries that may want it
(`candidates.py`), to `verify.py`. Once it has been replaced, a caller may still write into it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import numpy as np

from mql.columnar.dice import Dice
from mql.columnar.layout import Ints
from mql.language.syntax import Property
from publish_agent.capture.dated_events import Dated, Rows
from publish_agent.capture.event_buffer import Candidates, Intake, Place, Row
from publish_agent.capture.large_values import PATHS_MAX, LargeValues, Learned
from publish_agent.capture.native.binding import Steps
from publish_agent.capture.outcome import Outcome
from publish_agent.capture.under_way import Overdue
from publish_agent.capture.value_columns import Columns, Span, Taken
from publish_agent.drain.accounting import Accounting, Counts, OffsetOf
from publish_agent.drain.candidates import rows_by_place, rows_by_weight, union
from publish_agent.drain.decode import Decoder
from publish_agent.drain.sampling import Sampling
from publish_agent.drain.subscription import Running
from publish_agent.drain.tools import Tools
from publish_agent.drain.verify import (
    Catch,
    Verification,
    decode_needed,
    decode_texts,
    decode_values,
    hand_out,
)
from publish_agent.screen.screen import Screener
from publish_agent.screen.taker import Taker

_DROP_NS = 50
"""About what it takes to leave an event out of a sample, if nothing else is done with it."""

_OFTEN = 8
"""One event of so many without a property that the screen reads is often, if it is one of"""
_ENOUGH = 100
"""so many in a drain."""

_SPARE = 100
"""So many more may join than there were."""

_COPY_NS = 100
"""About what it takes to copy the values of an event."""

_TIMES, _OUTLYING = 64, 8
"""So many of the last times are known, and one that is so many times the median counts no more."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Batches of a drain, and how many events were seen, kept and dropped since the last one.

    Of some events it is `unsure` when they came between two times (ms). `has_lost` is whether some
    are gone, or not waited for, of which no query knows its own time.
    """

    catches: list[Catch]
    seen: int
    kept: int
    dropped: int
    unsure: tuple[Span, ...] = ()
    has_lost: bool = False


class Generation:
    """The subscriptions of a stream from one change of its code to the next."""

    def __init__(
        self,
        members: Sequence[Running],
        decoder: Decoder,
        tools: Tools,
        learned: dict[Property, Learned],
        screener: Screener,
        dice: Dice,
    ) -> None:
        self.members = list(members)
        self._most = 2 * len(members) + _SPARE
        self.drains = 0
        """Drains since it was replaced,"""
        self.replaced_ms = self.replaced_ns = 0
        """and when it was, by the wall clock and by that of events."""
        self.is_settled = False
        """Whether it has been drained since all had returned who may write into it, and are waited
        for."""
        self.screen = screener.screen([member.wanted for member in members])
        self.intake = Intake(
            self.screen.sort,
            tools.encode,
            tools.clock_ns,
            tools.cpu_ns,
            tools.room,
            tools.buffer_events,
            tools.epoch_ns,
        )
        self._columns: Columns | None = None
        if self.screen.needs is not None:
            self._columns = Columns(
                self.screen.needs, tools.clock_ns, tools.room, tools.buffer_events
            )
        self._careful = False
        self._dated = Dated(self.screen.sort, tools.encode, tools.room, tools.buffer_events)
        self.taker = self._taker(self._columns)
        """Takes the stream's events. An agent that samples keeps all of them as text."""
        self._epoch_ns = tools.epoch_ns
        self._budget = tools.budget
        self._keep_times: deque[int] = deque(maxlen=_TIMES)
        self._large = LargeValues(self._ways(), learned, tools.budget.weight)
        for place, member in enumerate(self.members):
            self._large.join(place, member.adds)
        self._sampling = Sampling(self.intake, self._large, tools.budget, dice)
        if self._sampling.renew(0):
            self._bind()
        self._verification = Verification(self.members, decoder, self._sampling, tools.clock_ns)
        self.accounting = Accounting(self.members)
        self._joined: dict[Running, Place] = {}
        """Those that do not count yet; if a new intake comes first, they never do in this one."""

    # Its queries

    def join(self, member: Running) -> bool:
        """Take one more in, if the screen can without other code; it counts from `begin` on."""
        place = len(self.members)
        if place >= self._most:
            return False  # so many that have left are still in its lists
        self.members.append(member)
        if not self.screen.join(member.wanted, place):
            self.members.pop()
            return False
        self._joined[member] = place
        self._large.join(place, member.adds)
        return True

    def begin(self, member: Running) -> None:
        """Count for one that has joined, from what was seen last on."""
        self.accounting.begin(member, self._joined.pop(member))

    def leave(self, member: Running) -> bool:
        """Let go of one, if the screen can without other code."""
        place = self.accounting.places.get(member, self._joined.get(member))
        return place is not None and self.screen.leave(member.wanted, place)

    @property
    def is_idle(self) -> bool:
        """Whether no event is to be expected in it, and none has come nevertheless."""
        came = self.intake.rows or (self._columns is not None and self._columns.values)
        return self.is_settled and not came

    def validate(self) -> None:
        """Check what always holds; for tests."""
        self.intake.validate()
        self.accounting.validate()

    # Its intake

    def _ways(self) -> dict[Property, Steps]:
        """Where the numbers are, in an event, that members add up."""
        paths = dict.fromkeys(path for member in self.members for path in member.adds)
        found = ((path, self.screen.way(path)) for path in paths)
        ways = {path: way for path, way in found if way is not None}
        return dict(islice(ways.items(), PATHS_MAX))

    def _bind(self) -> None:
        """Go over to other code: what an agent that samples keeps, it keeps as text."""
        self.taker = self._taker(None if self._sampling.is_on else self._columns)

    def _taker(self, columns: Columns | None) -> Taker:
        taker = self.screen.taker(self.intake, columns, careful=self._careful)
        return replace(taker, dated=self._dated)

    def _spend(self, kept: int, copied: int, sampled: int) -> None:
        """Tell the budget what callers' threads have spent."""
        self._keep_times.extend(_taken(self.intake.keep_times))
        keep_ns = _typical(self._keep_times)
        drop_ns = _mean(_taken(self.intake.drop_times), _DROP_NS)  # compiled code times none
        self._budget.spend(kept * keep_ns + copied * _COPY_NS, sampled * drop_ns)

    # Its drains

    def drain(self, now_ms: int, offset_of: OffsetOf, overdue: Sequence[Overdue] = ()) -> Drain:
        """Read the counters and the rows; verify the rows for each query that may want them.

        Events of the calls that are `overdue` may be missing when slots are told of.
        """
        taken = self._columns.take() if self._columns is not None else None
        rows = self.intake.drain()
        copied = int(taken.sizes.sum()) if taken else 0
        intake = self.intake
        sampled, vain = intake.sampled.take(), intake.vain.take()
        counts = Counts(
            total=intake.rejected.take() + vain + len(rows) + copied,
            sampled=sampled,
            weight=self._sampling.weight,
            full=intake.full.take(now_ms),
            failed=intake.failed.take(now_ms),
            lost=intake.take_lost(now_ms),
            overdue=[self._began(each) for each in overdue],
        )
        self.accounting.count(now_ms, offset_of, counts)
        full, failed = (sum(number for _, number in lost) for lost in (counts.full, counts.failed))
        self._spend(len(rows) + failed, copied, sampled)
        odd = len(rows) if self._columns is not None else vain
        if not self._careful and odd > max(counts.total // _OFTEN, _ENOUGH):
            self._careful = True
            self._bind()
        parts = [partial(self._sort_out, rows)] if rows else []
        if taken is not None:  # where order matters, what is kept as text came behind it
            place = 0 if self.screen.keeps_order else len(parts)
            parts.insert(place, partial(self._hand_on, taken))
        catches = [catch for part in parts for catch in part(now_ms, offset_of)]
        if self._sampling.renew(len(rows) + copied + sampled):
            self._bind()
        dropped = full + failed + sampled
        unsure = () if taken is None else tuple(map(self._span_ms, taken.unsure))
        has_lost = bool(full or failed or counts.lost or overdue)
        kept = len(rows) + copied
        return Drain(catches, counts.total + dropped, kept, dropped, unsure, has_lost)

    def _began(self, overdue: Overdue) -> tuple[int, int, int]:
        """How many calls are overdue, and between which ms they began."""
        return overdue.number, *self._span_ms((overdue.first_ns, overdue.last_ns))

    def _span_ms(self, span_ns: Span) -> Span:
        first_ns, last_ns = span_ns
        return (first_ns + self._epoch_ns) // 1_000_000, (last_ns + self._epoch_ns) // 1_000_000

    def _sort_out(self, rows: list[Row], now_ms: int, offset_of: OffsetOf) -> list[Catch]:
        """The rows of each query, decoded and verified, those of each weight by themselves."""
        clock_ns, candidates, texts, weights = zip(*rows, strict=True)
        shares = rows_by_weight(self._candidates(candidates), weights, self._large.adds)
        self._leave_out(shares.pop(0, {}), now_ms, offset_of)
        found = union(shares.values())
        if not found:
            return []
        decoded, passed = decode_texts(self._verification, texts, found)
        published = (np.array(clock_ns, np.int64) + self._epoch_ns) // 1_000_000
        catches = []
        for weight, share in sorted(shares.items()):
            self.accounting.book(share, now_ms, offset_of)
            catches.append(
                hand_out(self._verification, decoded, weight, share, published, offset_of, passed)
            )
        return catches

    def _leave_out(self, found: Mapping[Place, Ints], now_ms: int, offset_of: OffsetOf) -> None:
        """Book the large events that are no part of a query's sample as left out of it."""
        self.accounting.book(found, now_ms, offset_of)
        for place, numbers in found.items():
            member = self.members[place]
            slot = member.tallies.slot_of(now_ms + offset_of(member.link))
            member.tallies.add(slot, Outcome.BUDGET, len(numbers), self._sampling.weight)

    def _candidates(self, candidates: Sequence[Candidates]) -> dict[Place, Ints]:
        """The rows that may be for a query, for those that count, by their place."""
        members, places = self.members, self.accounting.places
        return rows_by_place(
            candidates, lambda place: members[place] in places and not members[place].ended
        )

    def _hand_on(self, taken: Taken, now_ms: int, offset_of: OffsetOf) -> list[Catch]:
        """The events of which a few values were kept, for those who may want them: that is all."""
        assert self.screen.needs is not None
        published = np.repeat((taken.times + self._epoch_ns) // 1_000_000, taken.sizes)
        every = np.arange(len(published))
        found = {p: every for member, p in self.accounting.places.items() if not member.ended}
        if not found:
            return []
        by, paths = self._verification, self.screen.needs.paths
        decoded, passed = decode_values(by, taken, paths, found, has_tests=self.screen.tests)
        self.accounting.book(found, now_ms, offset_of)
        return [hand_out(by, decoded, 1, found, published, offset_of, passed)]

    def drain_dated(self, ahead_of: OffsetOf) -> Drain:
        """Read the events that have times already; each query counts them by those.

        A query has those from when on it runs. `ahead_of` is by how much a link's clock is ahead of
        the one by which they have their times.
        """
        rows, losses = self._dated.take()
        lost = sum(number for _, place, number in losses if place is not Outcome.UPSTREAM)
        places = self.accounting.places
        running = [(m, m.start_ms) for m in places if not m.ended and m.start_ms is not None]
        for member, start_ms in running:
            ahead_ms = ahead_of(member.link)
            for time_ms, place, number in losses:
                if time_ms + ahead_ms >= start_ms:
                    slot = member.tallies.slot_of(time_ms + ahead_ms)
                    member.tallies.add(slot, place, number)
        if rows is None:
            return Drain([], lost, 0, lost)
        found = self._candidates(rows.candidates)
        for member, start_ms in running:
            times = rows.times + ahead_of(member.link)
            others = times >= start_ms
            numbers = found.pop(places[member], None)
            if numbers is not None:
                found[places[member]] = numbers[others[numbers]]
                others[numbers] = False
            member.tallies.add_times(times[others], Outcome.FILTERED_OUT)
            member.stopped += int(np.count_nonzero(others))
        catches = self._sort_out_dated(rows, {p: n for p, n in found.items() if len(n)}, ahead_of)
        return Drain(catches, len(rows.times) + lost, len(rows.times), lost)

    def _sort_out_dated(
        self, rows: Rows, found: Mapping[Place, Ints], ahead_of: OffsetOf
    ) -> list[Catch]:
        """The dated rows of each query, decoded and verified."""
        if not found:
            return []
        decoded, found, needed = decode_needed(self._verification, rows.texts, found)
        for place, numbers in found.items():
            self.members[place].candidates += len(numbers)
        times = rows.times[needed]
        return [hand_out(self._verification, decoded, 1, found, times, ahead_of)]


def _taken(times: deque[int]) -> list[int]:
    """What threads have noted meanwhile."""
    return [times.popleft() for _ in range(len(times))]


def _mean(times: Collection[int], otherwise: int) -> int:
    return sum(times) // len(times) if times else otherwise


def _typical(times: Collection[int]) -> int:
    """The mean of some times, of which a few may be far off: those were of something else."""
    if not times:
        return 0
    most = _OUTLYING * sorted(times)[len(times) // 2]
    return _mean([min(time, most) for time in times], 0)
