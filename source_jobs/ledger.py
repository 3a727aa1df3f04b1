"""One query's ledger: tallies by slot until their span of time closes, and their sums.

What is counted after its span has closed goes to the next one, so that the spans add up to the
total, whatever came when.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from mql.ledger import Completeness, Tally
from mql.wire.codec import ProtocolError
from mql.wire.messages import MAX_WEIGHT
from source_jobs.reporters import RollCall

_LARGEST = 2**40
_FULL = 2**62
"""Nothing is added to a larger sum: it came from somebody who makes up numbers."""

_SLOTS = 200_000
"""More slots are not told apart."""
_NOTHING = Tally(0)


def check_tally(tally: Tally) -> None:
    """Raise ProtocolError if a count is negative or absurd."""
    counts = (
        tally.sampled_out,
        tally.filtered_out,
        tally.shipped,
        tally.buffer,
        tally.budget,
        tally.credit,
        tally.failed,
        tally.upstream,
    )
    if min(counts) < 0 or max(counts) > _LARGEST:
        raise ProtocolError("a count that cannot be")
    check_weight(tally.weight)


def check_weight(weight: int) -> None:
    """Raise ProtocolError if an event cannot stand for so many."""
    if not 1 <= weight <= MAX_WEIGHT:
        raise ProtocolError(f"a weight of {weight}")


@dataclass(frozen=True, slots=True)
class Totals:
    """What a query has counted up to some moment."""

    tally: Tally = _NOTHING
    transit: int = 0
    late: int = 0

    def since(self, before: Totals) -> Totals:
        """What has been added since an earlier moment."""
        return Totals(
            _minus(self.tally, before.tally),
            self.transit - before.transit,
            self.late - before.late,
        )


class Ledger:
    """Counts by slots of `slot_ms`; those before `floor_ms` have been told of."""

    def __init__(self, slot_ms: int, floor_ms: int, rate: float = 1.0) -> None:
        self.slot_ms = slot_ms
        self._floor_ms = self._slot(floor_ms)
        self._rate = rate
        self._tallies: dict[int, Tally] = {}
        self._transit: dict[int, int] = {}
        self._late: dict[int, int] = {}
        self.totals = Totals()

    def add(self, tally: Tally, at_ms: int) -> None:
        """Count what an agent has counted, as of a time."""
        if self.totals.tally.seen > _FULL:
            return
        slot = self._open_slot(at_ms)
        before = self._tallies.get(slot)
        self._tallies[slot] = Tally(slot) + tally if before is None else before + tally
        totals = self.totals
        self.totals = Totals(totals.tally + tally, totals.transit, totals.late)

    def add_transit(self, lost: int, at_ms: int) -> None:
        """Count events that got lost on the way, after a time."""
        if lost and self.totals.transit <= _FULL:
            slot = self._open_slot(at_ms)
            self._transit[slot] = self._transit.get(slot, 0) + lost
            totals = self.totals
            self.totals = Totals(totals.tally, totals.transit + lost, totals.late)

    def add_late(self, late: int, at_ms: int) -> None:
        """Count rows of a time that came too late for a window of it, or have no window."""
        if late:
            slot = self._open_slot(at_ms)
            self._late[slot] = self._late.get(slot, 0) + late
            totals = self.totals
            self.totals = Totals(totals.tally, totals.transit, totals.late + late)

    def close(self, start_ms: int, end_ms: int, call: RollCall, *, partial: bool) -> Completeness:
        """What is known of a span of time that has closed."""
        inside = self._slots(self._tallies, start_ms, end_ms)
        tally = sum((self._tallies[slot] for slot in inside), Tally(start_ms))
        lost = self._slots(self._transit, start_ms, end_ms)
        transit = sum(self._transit[slot] for slot in lost)
        late = sum(self._late[slot] for slot in self._slots(self._late, start_ms, end_ms))
        return self._completeness(
            start_ms, end_ms, Totals(tally, transit, late), call, partial=partial
        )

    def forget_before(self, time_ms: int) -> None:
        """All spans that begin before a time have closed."""
        self._floor_ms = max(self._floor_ms, -self._slot(-time_ms))
        floor = self._floor_ms
        self._tallies = {slot: t for slot, t in self._tallies.items() if slot >= floor}
        self._transit = {slot: n for slot, n in self._transit.items() if slot >= floor}
        self._late = {slot: n for slot, n in self._late.items() if slot >= floor}

    def leave_out_from(self, time_ms: int) -> None:
        """Take what was counted from a time on out of the sums: no span of the answer has it."""
        totals = self.totals
        tally, transit, late = totals.tally, totals.transit, totals.late
        for slot in [slot for slot in self._tallies if slot >= time_ms]:
            tally = _minus(tally, self._tallies.pop(slot))
        for slot in [slot for slot in self._transit if slot >= time_ms]:
            transit -= self._transit.pop(slot)
        for slot in [slot for slot in self._late if slot >= time_ms]:
            late -= self._late.pop(slot)
        self.totals = Totals(tally, transit, late)

    def total(self, start_ms: int, end_ms: int, since: Totals, call: RollCall) -> Completeness:
        """All that was counted since some moment."""
        return self._completeness(start_ms, end_ms, self.totals.since(since), call, partial=False)

    def validate(self) -> None:
        """Check what always holds; for tests."""
        assert len(self._tallies) <= _SLOTS + 1
        for tally in (self.totals.tally, *self._tallies.values()):
            check_tally(tally)
        slots = [*self._tallies, *self._transit, *self._late]
        assert min([self._floor_ms, *slots]) == self._floor_ms
        assert sum(tally.seen for tally in self._tallies.values()) <= self.totals.tally.seen
        assert 0 <= sum(self._transit.values()) <= self.totals.transit
        assert 0 <= sum(self._late.values()) <= self.totals.late

    def _completeness(
        self, start_ms: int, end_ms: int, counts: Totals, call: RollCall, *, partial: bool
    ) -> Completeness:
        seen, sampled, weight = counts.tally.seen, counts.tally.sampled_out, counts.tally.weight
        return Completeness(
            start_ms,
            end_ms,
            expected=call.expected,
            reported=call.reported,
            missing=call.missing,
            refused=call.refused,
            tally=counts.tally,
            transit=counts.transit,
            late=counts.late,
            rate=min(self._rate, (seen - sampled) / seen if seen else 1.0) / weight,
            partial=partial or call.joined_late,
            early=call.early,
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
        if slot in self._tallies or len(self._tallies) < _SLOTS:
            return slot
        return self._floor_ms


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
        tally.weight if tally.budget > before.budget else 1,
    )
