"""One query's ledger: tallies by slot until their span of time closes, and their sums.

What is counted after its span has closed goes to the next one, so that the spans add up to the
total, whatever came when.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from operator import add, sub

import msgspec

from mql.ledger import Completeness, Tally
from mql.wire.codec import ProtocolError
from mql.wire.messages import MAX_WEIGHT
from source_jobs.query.reporters import RollCall
from source_jobs.shares import Room

COUNT_MAX = 2**40
_FULL = 2**62
"""Nothing is added to a larger sum: it came from somebody who makes up numbers."""

_SLOTS = 200_000
"""More slots of a query are not told apart."""
SLOTS_MAX = 1_000_000
"""Slots of all queries together, about 300 bytes each."""
_NOTHING = Tally(0)


def check_tally(tally: Tally) -> None:
    """Raise ProtocolError if a count is negative or absurd."""
    if not (
        0 <= tally.sampled_out <= COUNT_MAX
        and 0 <= tally.filtered_out <= COUNT_MAX
        and 0 <= tally.shipped <= COUNT_MAX
        and 0 <= tally.buffer <= COUNT_MAX
        and 0 <= tally.budget <= COUNT_MAX
        and 0 <= tally.credit <= COUNT_MAX
        and 0 <= tally.failed <= COUNT_MAX
        and 0 <= tally.upstream <= COUNT_MAX
        and 0 <= tally.under_way <= COUNT_MAX
    ):
        raise ProtocolError("a count that cannot be")
    check_weight(tally.weight)


def check_weight(weight: int) -> None:
    """Raise ProtocolError if an event cannot stand for so many."""
    if not 1 <= weight <= MAX_WEIGHT:
        raise ProtocolError(f"a weight of {weight}")


@dataclass(frozen=True, slots=True)
class Lost:
    """Events that are in no row, by the source job's own account rather than an agent's."""

    transit: int = 0
    late: int = 0
    no_time: int = 0
    unseen: int = 0

    @property
    def parts(self) -> tuple[int, ...]:
        """All of them, in order."""
        return self.transit, self.late, self.no_time, self.unseen

    def __add__(self, other: Lost) -> Lost:
        """The sums."""
        return Lost(*map(add, self.parts, other.parts))

    def __sub__(self, other: Lost) -> Lost:
        """The differences."""
        return Lost(*map(sub, self.parts, other.parts))


_NONE = Lost()


@dataclass(frozen=True, slots=True)
class Totals:
    """What a query has counted up to some moment."""

    tally: Tally = _NOTHING
    lost: Lost = _NONE

    def since(self, before: Totals) -> Totals:
        """What has been added since an earlier moment."""
        return Totals(_minus(self.tally, before.tally), self.lost - before.lost)


class Ledger:
    """Counts by slots of `slot_ms`; those before `floor_ms` have been told of.

    It has no more slots than it leaves to others in the `room` of all.
    """

    def __init__(
        self, slot_ms: int, floor_ms: int, rate: float = 1.0, room: Room | None = None
    ) -> None:
        self.slot_ms = slot_ms
        self._room = room or Room(SLOTS_MAX)
        self._floor_ms = self._slot(floor_ms)
        self._rate = rate
        self._tallies: dict[int, Tally] = {}
        self._lost: dict[int, Lost] = {}
        self.totals = Totals()

    def add(self, tally: Tally, at_ms: int) -> None:
        """Count what an agent has counted, as of a time."""
        if self.totals.tally.seen > _FULL:
            return
        slot = self._open_slot(at_ms)
        before = self._tallies.get(slot)
        if before is not None:
            self._tallies[slot] = before + tally
        else:
            self._room.used += 1
            self._tallies[slot] = tally if tally.slot_ms == slot else Tally(slot) + tally
        self.totals = Totals(self.totals.tally + tally, self.totals.lost)

    def add_transit(self, lost: int, at_ms: int) -> None:
        """Count events that got lost on the way, after a time."""
        if self.totals.lost.transit <= _FULL:
            self._lose(Lost(transit=lost), at_ms)

    def add_late(self, late: int, at_ms: int) -> None:
        """Count rows of a time that came too late for a window of it, or have no window."""
        self._lose(Lost(late=late), at_ms)

    def add_no_time(self, rows: int, at_ms: int) -> None:
        """Count rows that came before a time, and have no readable one of their own."""
        self._lose(Lost(no_time=rows), at_ms)

    def add_unseen(self, events: int, at_ms: int) -> None:
        """Count events that a new process published before its agent ran the query."""
        if self.totals.lost.unseen <= _FULL:
            self._lose(Lost(unseen=events), at_ms)

    def _lose(self, lost: Lost, at_ms: int) -> None:
        if lost != _NONE:
            slot = self._open_slot(at_ms)
            self._lost[slot] = self._lost.get(slot, _NONE) + lost
            self.totals = Totals(self.totals.tally, self.totals.lost + lost)

    def close(
        self,
        start_ms: int,
        end_ms: int,
        call: RollCall,
        *,
        cut_ms: int | None = None,
        lateness_ms: int = 0,
    ) -> Completeness:
        """What is known of a span of time that has closed, or was cut off.

        Where events may be late, some of those that were lost after its end may be of it: they are
        counted as under way here, and as lost where they are.
        """
        inside = self._slots(self._tallies, start_ms, end_ms)
        tally = sum((self._tallies[slot] for slot in inside), Tally(start_ms))
        if lateness_ms:
            after = self._slots(self._tallies, end_ms, end_ms + lateness_ms)
            doubtful = sum(_undated(self._tallies[slot]) for slot in after)
            tally = msgspec.structs.replace(tally, under_way=tally.under_way + doubtful)
        lost = sum((self._lost[s] for s in self._slots(self._lost, start_ms, end_ms)), _NONE)
        until_ms = end_ms if cut_ms is None else min(cut_ms, end_ms)
        covered_ms = max(until_ms - max(call.covered_from_ms, start_ms), 0)
        return self._completeness(start_ms, end_ms, Totals(tally, lost), call, covered_ms)

    def forget_before(self, time_ms: int) -> None:
        """All spans that begin before a time have closed."""
        before, self._floor_ms = self._floor_ms, max(self._floor_ms, -self._slot(-time_ms))
        for slot in self._slots(self._tallies, before, self._floor_ms):
            del self._tallies[slot]
            self._room.used -= 1
        for slot in self._slots(self._lost, before, self._floor_ms):
            del self._lost[slot]

    def leave_out_from(self, time_ms: int) -> None:
        """Take what was counted from a time on out of the sums: no span of the answer has it."""
        tally, lost = self.totals.tally, self.totals.lost
        for slot in [slot for slot in self._tallies if slot >= time_ms]:
            tally = _minus(tally, self._tallies.pop(slot))
            self._room.used -= 1
        for slot in [slot for slot in self._lost if slot >= time_ms]:
            lost -= self._lost.pop(slot)
        self.totals = Totals(tally, lost)

    def total(self, start_ms: int, end_ms: int, since: Totals, call: RollCall) -> Completeness:
        """All that was counted since some moment; it covers the time in which the query ran."""
        counts = self.totals.since(since)
        covered_ms = max(end_ms - max(call.covered_from_ms, start_ms), 0)
        return self._completeness(start_ms, end_ms, counts, call, covered_ms)

    def let_go(self) -> None:
        """Give the room back: the query is over."""
        self._room.used -= len(self._tallies)
        self._tallies = {}

    @property
    def slots(self) -> int:
        """Its share of the room."""
        return len(self._tallies)

    def validate(self) -> None:
        """Check what always holds; for tests."""
        assert len(self._tallies) <= _SLOTS + 1
        for tally in (self.totals.tally, *self._tallies.values()):
            check_tally(tally)
        slots = [*self._tallies, *self._lost]
        assert min([self._floor_ms, *slots]) == self._floor_ms
        assert sum(tally.seen for tally in self._tallies.values()) <= self.totals.tally.seen
        held, total = sum(self._lost.values(), _NONE), self.totals.lost
        assert all(0 <= part <= whole for part, whole in zip(held.parts, total.parts, strict=True))

    def _completeness(
        self, start_ms: int, end_ms: int, counts: Totals, call: RollCall, covered_ms: int
    ) -> Completeness:
        seen, sampled, weight = counts.tally.seen, counts.tally.sampled_out, counts.tally.weight
        partial = covered_ms < end_ms - start_ms
        return Completeness(
            start_ms,
            end_ms,
            expected=call.expected,
            reported=call.reported,
            missing=call.missing,
            refused=call.refused,
            tally=counts.tally,
            transit=counts.lost.transit,
            late=counts.lost.late,
            no_time=counts.lost.no_time,
            unseen=counts.lost.unseen,
            rate=min(self._rate, (seen - sampled) / seen if seen else 1.0, call.rate) / weight,
            partial=partial,
            covered_ms=covered_ms if partial else None,
            early=call.early,
            clock_ms=call.clock_ms,
            gone=call.gone,
            gone_more=call.gone_more,
            waiting=call.waiting,
        )

    def _slots(self, slots: Collection[int], start_ms: int, end_ms: int) -> list[int]:
        if (end_ms - start_ms) // self.slot_ms < len(slots):
            first = -self._slot(-start_ms)
            return [slot for slot in range(first, end_ms, self.slot_ms) if slot in slots]
        return [slot for slot in slots if start_ms <= slot < end_ms]

    def _slot(self, time_ms: int) -> int:
        return time_ms // self.slot_ms * self.slot_ms

    def _open_slot(self, time_ms: int) -> int:
        slot = max(self._slot(time_ms), self._floor_ms)
        if slot in self._tallies or len(self._tallies) < min(_SLOTS, self._room.free):
            return slot
        return self._floor_ms


def _undated(tally: Tally) -> int:
    """Events that are gone, or were not waited for, and whose own times are not known."""
    return tally.buffer + tally.failed + tally.upstream + tally.under_way


def _minus(tally: Tally, before: Tally) -> Tally:
    return Tally(
        tally.slot_ms,
        tally.sampled_out - before.sampled_out,
        tally.filtered_out - before.filtered_out,
        tally.shipped - before.shipped,
        tally.buffer - before.buffer,
        tally.budget - before.budget,
        tally.credit - before.credit,
        tally.failed - before.failed,
        tally.upstream - before.upstream,
        tally.under_way - before.under_way,
        tally.weight if tally.budget > before.budget else 1,
    )
