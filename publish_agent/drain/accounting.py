"""Counts of a generation that are not yet booked to its queries.

The events that the screen let through are counted one by one. All else that `publish` saw is
counted once for the queries of a group, and spread over them when their slot ends, so that ten
thousand queries cost nothing between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mql.columnar.layout import Ints
from mql.ledger import Tally
from publish_agent.capture.event_buffer import Place
from publish_agent.capture.outcome import Outcome
from publish_agent.drain.subscription import Running
from publish_agent.drain.tallies import Counted, by_slot

SlotGroup = tuple[int, int]
"""A link and a length of slots: the queries whose slots end together."""

OffsetOf = Callable[[int], int]
"""By how many ms a link's clock is ahead."""

_SPREAD = (
    Outcome.FILTERED_OUT, Outcome.BUFFER, Outcome.BUDGET,
    Outcome.FAILED, Outcome.UPSTREAM, Outcome.UNDER_WAY,
)  # fmt: skip
_TOTAL, _FULL, _SAMPLED, _FAILED, _LOST, _UNDER_WAY = range(len(_SPREAD))
"""Counts in their order; of the first one a query's candidates are no part."""

_NOT_STOPPED = (Outcome.UPSTREAM, Outcome.UNDER_WAY)
"""Counts that are not of events which came here."""

LostAt = Sequence[tuple[int, int]]
"""At which ms how many events were lost."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of a drain, for all queries at once.

    `total` is what came and was not lost; of it `sampled` were left out at a `weight`. Of the calls
    that are `overdue` it is known how many they are, and between which ms they began.
    """

    total: int
    sampled: int
    weight: int
    full: LostAt
    failed: LostAt
    lost: LostAt
    overdue: Sequence[tuple[int, int, int]]


@dataclass(slots=True)
class _Unspread:
    """Counts for all queries of a group by slot, and what the candidates of each are of them.

    `booked` is what has been booked to a query already, by its place and the slot.
    """

    places: list[Place]
    slots: dict[int, list[int]] = field(default_factory=dict)
    weights: dict[int, int] = field(default_factory=dict)
    candidates: dict[tuple[Place, int], int] = field(default_factory=dict)
    booked: dict[tuple[Place, int], tuple[int, ...]] = field(default_factory=dict)

    def alike(self) -> Counted:
        """The counts of a query that had no candidate, and to which nothing has been booked."""
        names = [place.name.lower() for place in _SPREAD]
        tallies = tuple(
            Tally(slot, **dict(zip(names, counts, strict=True)), weight=self.weights.get(slot, 1))
            for slot, counts in sorted(self.slots.items())
        )
        seen = sum(tally.seen for tally in tallies)
        return Counted(tallies, seen, seen - sum(tally.upstream for tally in tallies))

    def count(self, slot: int, what: int, number: int) -> None:
        """Count in a slot, at a place of its counts."""
        if number:
            self.slots.setdefault(slot, [0] * len(_SPREAD))[what] += number


class Accounting:
    """The counts of one generation by group and slot. `members` are its queries by their place."""

    def __init__(self, members: Sequence[Running]) -> None:
        self._members = members
        self.places = {member: place for place, member in enumerate(members)}
        """Those that count."""
        self._groups: dict[SlotGroup, _Unspread] = {}
        for place, member in enumerate(members):
            self._group_of(member).places.append(place)

    def begin(self, member: Running, place: Place) -> None:
        """Count for one that has joined, from what was seen last on."""
        self.places[member] = place
        group = self._group_of(member)
        group.places.append(place)
        for slot, counts in group.slots.items():
            group.booked[place, slot] = tuple(counts)

    def _group_of(self, member: Running) -> _Unspread:
        return self._groups.setdefault((member.link, member.tallies.slot_ms), _Unspread([]))

    def count(self, now_ms: int, offset_of: OffsetOf, counts: Counts) -> None:
        """Count what a drain found, in the slots of each group by its link's clock."""
        losses = {_FULL: counts.full, _FAILED: counts.failed, _LOST: counts.lost}
        for (link, slot_ms), group in self._groups.items():
            ahead_ms = offset_of(link)
            slot = (now_ms + ahead_ms) // slot_ms * slot_ms
            group.count(slot, _TOTAL, counts.total)
            group.count(slot, _SAMPLED, counts.sampled)
            if counts.sampled:
                group.weights[slot] = max(group.weights.get(slot, 1), counts.weight)
            for what, lost in losses.items():
                for ms, number in lost:
                    group.count((ms + ahead_ms) // slot_ms * slot_ms, what, number)
            for number, *times_ms in counts.overdue:
                for slot in {(ms + ahead_ms) // slot_ms * slot_ms for ms in times_ms}:
                    group.count(slot, _UNDER_WAY, number)

    def book(self, found: Mapping[Place, Ints], now_ms: int, offset_of: OffsetOf) -> None:
        """Note that some of the total are candidates of queries, which count them themselves."""
        for place, numbers in found.items():
            member = self._members[place]
            member.candidates += len(numbers)
            unspread = self._groups[member.link, member.tallies.slot_ms]
            key = place, member.tallies.slot_of(now_ms + offset_of(member.link))
            unspread.candidates[key] = unspread.candidates.get(key, 0) + len(numbers)

    def spread(self, group: SlotGroup) -> None:
        """Book the counts of a group's slots to each of its queries."""
        unspread = self._groups.get(group)
        if unspread is None or not unspread.slots:
            return
        counted = unspread.alike()
        own = {place for place, _ in (*unspread.candidates, *unspread.booked)}
        for place in unspread.places:
            member = self._members[place]
            if place in own:
                self._spread_to(place, unspread)
            elif not member.ended:
                member.tallies.add_alike(counted)
                member.stopped += counted.stopped
        unspread.slots, unspread.weights = {}, {}
        unspread.candidates, unspread.booked = {}, {}

    def spread_all(self) -> None:
        """Book the counts of all groups: nothing is counted here any more."""
        for group in self._groups:
            self.spread(group)

    def spread_to(self, member: Running) -> None:
        """Book the counts so far to one query."""
        place = self.places.get(member)
        unspread = self._groups.get((member.link, member.tallies.slot_ms))
        if place is not None and unspread is not None:
            for slot, counts in self._spread_to(place, unspread):
                unspread.booked[place, slot] = counts

    def _spread_to(self, place: Place, unspread: _Unspread) -> list[tuple[int, tuple[int, ...]]]:
        """Book to a query what has not been; returns what is booked now, by slot."""
        member = self._members[place]
        booked = []
        for slot, (total, *others) in () if member.ended else unspread.slots.items():
            passed = unspread.candidates.get((place, slot), 0)
            weight = unspread.weights.get(slot, 1)
            counts = total - passed, *others
            before = unspread.booked.get((place, slot), (0,) * len(counts))
            for what, number, known in zip(_SPREAD, counts, before, strict=True):
                member.tallies.add(slot, what, number - known, weight)
                member.stopped += (number - known) * (what not in _NOT_STOPPED)
            booked.append((slot, counts))
        return booked

    def validate(self) -> None:
        """Check what always holds; for tests."""
        for group in self._groups.values():
            for (place, slot), candidates in group.candidates.items():
                assert self._members[place].ended or candidates <= group.slots[slot][0]


def book_losers(member: Running, all_times: Ints, kept: Ints, sampled_out: int) -> None:
    """Count what sample and filter left out, in the slots of its own times."""
    tallies = member.tallies
    gone: dict[int, int] = {}
    for sign, times in ((1, all_times), (-1, kept)):
        for slot, number in by_slot(times, tallies.slot_ms):
            gone[slot] = gone.get(slot, 0) + sign * number
    for slot, number in gone.items():
        sampled = min(sampled_out, number)
        sampled_out -= sampled
        tallies.add(slot, Outcome.SAMPLED_OUT, sampled)
        tallies.add(slot, Outcome.FILTERED_OUT, number - sampled)
