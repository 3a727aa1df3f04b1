"""The counts of one query by slot of time, until a part takes them along."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mql.columnar.layout import Ints
from mql.ledger import Tally
from publish_agent.capture.outcome import Outcome

MAX_SLOTS = 1_000
"""Slots that are kept apart until the next part; events of further ones count in the newest."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Tallies that many queries have alike: one object for all of them, which none has to count.

    `seen` are their events in all, `stopped` those but for what was lost upstream.
    """

    tallies: tuple[Tally, ...]
    seen: int
    stopped: int


class Tallies:
    """Counts by slot and outcome, and the weight of those that a sample stands for."""

    __slots__ = ("_alike", "_slots", "_weights", "shipped_total", "seen_total", "slot_ms")  # noqa: RUF023

    def __init__(self, slot_ms: int) -> None:
        self.slot_ms = slot_ms
        self._slots: dict[int, list[int]] = {}
        self._weights: dict[int, int] = {}
        self._alike: Counted | None = None
        """What is counted beside the slots, of events none of which was shipped."""
        self.shipped_total = 0
        self.seen_total = 0

    def slot_of(self, time_ms: int) -> int:
        """The start of a time's slot."""
        return time_ms // self.slot_ms * self.slot_ms

    def add(self, slot: int, outcome: Outcome, number: int, weight: int = 1) -> None:
        """Count events in a slot, of a sample if the weight is above 1."""
        if not number:
            return
        counts = self._slots.get(slot)
        if counts is None:
            if len(self._slots) >= MAX_SLOTS:
                slot = max(self._slots)
                counts = self._slots[slot]
            else:
                counts = self._slots[slot] = [0] * len(Outcome)
        counts[outcome] += number
        if weight > self._weights.get(slot, 1):
            self._weights[slot] = weight

    def add_times(self, times: Ints, outcome: Outcome, weight: int = 1) -> None:
        """Count events by their times in ms."""
        for slot, number in by_slot(times, self.slot_ms):
            self.add(slot, outcome, number, weight)

    def add_counts(self, times: Ints, numbers: Ints, outcome: Outcome, weight: int = 1) -> None:
        """Count so many events for each of some times in ms."""
        slots, where = np.unique(times // self.slot_ms, return_inverse=True)
        sums = np.bincount(where, numbers, minlength=len(slots)).astype(np.int64)
        for slot, number in zip((slots * self.slot_ms).tolist(), sums.tolist(), strict=True):
            self.add(slot, outcome, number, weight)

    def add_alike(self, counted: Counted) -> None:
        """Count what is the same for many queries."""
        if self._alike is None:
            self._alike = counted
        else:
            self._add_each(counted)

    def _add_each(self, counted: Counted) -> None:
        for tally in counted.tallies:
            for outcome in Outcome:
                number = getattr(tally, outcome.name.lower())
                self.add(tally.slot_ms, outcome, number, tally.weight)

    def validate(self) -> None:
        """Check what always holds; for tests."""
        assert len(self._slots) <= MAX_SLOTS
        for slot, counts in self._slots.items():
            assert slot % self.slot_ms == 0
            assert min(counts) >= 0 < sum(counts)
        assert 0 <= self.shipped_total <= self.seen_total

    def take(self) -> tuple[Tally, ...]:
        """The tallies since the last time; the totals grow by them."""
        alike, self._alike = self._alike, None
        if alike is not None and not self._slots:
            self.seen_total += alike.seen
            return alike.tallies
        if alike is not None:
            self._add_each(alike)
        if not self._slots:
            return ()
        taken = tuple(
            Tally(slot, *[*counts, self._weights.get(slot, 1)])
            for slot, counts in sorted(self._slots.items())
        )
        self._slots, self._weights = {}, {}
        self.shipped_total += sum(tally.shipped for tally in taken)
        self.seen_total += sum(tally.seen for tally in taken)
        return taken


def by_slot(times: Ints, slot_ms: int) -> Iterable[tuple[int, int]]:
    """The slots of some times, and how many are in each."""
    if not len(times):
        return ()
    first, last = int(times[0]) // slot_ms, int(times[-1]) // slot_ms
    if first == last and int(times.min()) // slot_ms == int(times.max()) // slot_ms:
        return ((first * slot_ms, len(times)),)
    slots, numbers = np.unique(times // slot_ms, return_counts=True)
    return zip((slots * slot_ms).tolist(), numbers.tolist(), strict=True)
