"""What an agent knows of one source job: its credit, its queries, its clock, and what is due."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mql.wire.messages import Batch, Part
from publish_agent.budget import Budget
from publish_agent.generation import Group
from publish_agent.offset import ClockOffset
from publish_agent.pack import Load
from publish_agent.running import Running
from publish_agent.tallies import Place

MAX_CREDIT = 1 << 40
MAX_COSTS = 200
"""Queries of which a heartbeat tells the cost."""
PARTS = 1_000
"""Parts in one message that has no payload."""
_LONGEST_MS = 1_000
"""At least this often a part of each query goes out."""


class Link:
    """One source job; what is sent to all of them is in one `budget`."""

    def __init__(self, number: int, budget: Budget) -> None:
        self.number = number
        self._budget = budget
        self.connected = False
        self.welcomed = False
        self.job = ""
        self.credit = 0
        self.offset = ClockOffset()
        self.queries: dict[tuple[int, int], Running] = {}
        self.hello_us = self.heard_us = self.heartbeat_us = 0
        self.bad_frames = 0
        self.twin: Link | None = None
        """Another link that leads to the same source job, and is used instead."""
        self.greet = False
        """Whether to say hello once more."""
        self.dropped = 0
        self.row_queries = 0
        """How many queries wait for rows as they come, not for slots to end."""
        self._cost_from = 0
        self._slots: dict[int, tuple[dict[Running, None], int]] = {}

    def welcome(self, job: str, credit: int) -> list[Running]:
        """The source job lets us in. Returns the queries of another job before it, now over."""
        over = list(self.queries.values()) if job != self.job else []
        self.job, self.welcomed = job, True
        self.credit = max(0, min(credit, MAX_CREDIT))
        return over

    def lose(self) -> None:
        """Nobody answers: nothing is sent until the next welcome."""
        self.welcomed = False
        self.credit = 0

    @property
    def is_spare(self) -> bool:
        """Whether another link to the same source job is in use."""
        return self.twin is not None and self.twin.welcomed

    def refund(self, size: int) -> None:
        """Bytes of payload have not been sent after all."""
        if self.welcomed:
            self.credit = min(self.credit + size, MAX_CREDIT)

    def begin(self, running: Running) -> None:
        """A query has been asked."""
        self.queries[running.key] = running
        self.row_queries += running.states is None

    def started(self, running: Running, now_ms: int) -> None:
        """A query has its intake: from now on parts are due."""
        members, _ = self._slots.setdefault(running.message.slot_ms, ({}, now_ms))
        members[running] = None

    def told_of(self) -> list[Running]:
        """The queries whose cost the next heartbeat tells; of many queries others each time."""
        running = [r for r in self.queries.values() if r.start_ms is not None]
        if len(running) > MAX_COSTS:
            self._cost_from = (self._cost_from + MAX_COSTS) % len(running)
            running = (running[self._cost_from :] + running)[:MAX_COSTS]
        return running

    def begin_anew(self, now_us: int) -> None:
        """The clock was set: what was due later is due now."""
        self.heartbeat_us = self.heard_us = now_us
        self.hello_us = 0
        self.offset.forget()

    def end(self, running: Running) -> None:
        """A query is over."""
        running.ended = True
        if self.queries.get(running.key) is running:
            del self.queries[running.key]
            self.row_queries -= running.states is None
        slots = self._slots.get(running.message.slot_ms)
        if slots is not None:
            slots[0].pop(running, None)
            if not slots[0]:
                del self._slots[running.message.slot_ms]

    def validate(self) -> None:
        """Check what always holds; for tests."""
        assert 0 <= self.credit <= MAX_CREDIT, self.credit
        assert self.welcomed or not self.credit
        for key, running in self.queries.items():
            assert running.key == key
            assert running.link == self.number
            running.validate()
        assert self.row_queries == sum(r.states is None for r in self.queries.values())
        grouped = [running for members, _ in self._slots.values() for running in members]
        started = [r for r in self.queries.values() if r.start_ms is not None]
        assert len(grouped) == len(started)
        assert set(grouped) == set(started)

    def groups_due(self, watermark_ms: int, *, final: bool) -> list[tuple[Group, int]]:
        """The groups of queries of which a slot has ended, or a second has gone.

        With each comes up to when its states are to be told: a slot that has just begun can wait.
        """
        due = []
        for slot_ms, (members, last_ms) in self._slots.items():
            begun_ms = watermark_ms // slot_ms * slot_ms
            ended = not final and begun_ms > last_ms
            if final or ended or abs(watermark_ms - last_ms) >= _LONGEST_MS:
                due.append(((self.number, slot_ms), begun_ms if ended else watermark_ms))
                self._slots[slot_ms] = members, watermark_ms
        return due

    def slot_end_ms(self, watermark_ms: int) -> int | None:
        """When, by the source job's clock, the next slot of a query ends."""
        ends = (watermark_ms // slot_ms * slot_ms + slot_ms for slot_ms in self._slots)
        return min(ends, default=None)

    def members(self, group: Group) -> Iterable[Running]:
        """The queries of a group."""
        slots = self._slots.get(group[1])
        return tuple(slots[0]) if slots else ()

    def batches(
        self, loads: list[Load], due: Mapping[Running, int], watermark_ms: int
    ) -> list[tuple[Batch, bytes | None]]:
        """The messages of a tick: loads that credit allows, and the tallies that are due.

        The states of those that are due are told up to a time, which is the watermark at most.
        Only the last part of a query says the new watermark, since rows of later ones are older.
        """
        last: dict[Running, int] = {}
        for number, load in enumerate(loads):
            for share in load.shares:
                last[share.running] = number
        last |= dict.fromkeys(due, len(loads))
        messages: list[tuple[Batch, bytes | None]] = []
        for number, load in enumerate(loads):
            place = self._place(len(load.payload))
            parts = []
            for share in load.shares:
                running = share.running
                if running.ended:
                    continue
                running.tallies.add_times(share.times, place, load.weight)
                if place is not Place.SHIPPED:
                    self.dropped += len(share.times)
                    continue
                running.shipped += len(share.times)
                running.sent_bytes += len(load.payload)
                now = watermark_ms if last[running] == number else running.watermark_ms
                parts.append(running.part(now, has_rows=True, rows=share.rows, weight=load.weight))
            if parts:
                self.credit -= len(load.payload)
                messages.append((Batch(tuple(parts)), load.payload))
        return messages + self._tallies(due, watermark_ms)

    def _place(self, size: int) -> Place:
        """What becomes of a payload."""
        if size > self.credit:
            return Place.CREDIT
        return Place.SHIPPED if self._budget.allows(size) else Place.BUDGET

    def _tallies(
        self, due: Mapping[Running, int], watermark_ms: int
    ) -> list[tuple[Batch, bytes | None]]:
        due = {running: told_ms for running, told_ms in due.items() if not running.ended}
        messages: list[tuple[Batch, bytes | None]] = []
        parts: list[Part] = []
        for running, told_ms in due.items():
            if running.states is None:
                parts.append(running.part(watermark_ms))
                continue
            messages += self._states(running, told_ms if told_ms < watermark_ms else None)
            parts.append(running.part(told_ms))
        pieces = (parts[i : i + PARTS] for i in range(0, len(parts), PARTS))
        return messages + [(Batch(tuple(piece)), None) for piece in pieces]

    def _states(
        self, running: Running, before_ms: int | None
    ) -> Iterator[tuple[Batch, bytes | None]]:
        """The states of a query from before a time, or all, as far as credit allows."""
        assert running.states is not None
        for load in running.states.take(before_ms):
            place = self._place(len(load.payload))
            running.tallies.add_counts(load.times, load.events, place, load.weight)
            number = int(load.events.sum())
            if place is not Place.SHIPPED:
                self.dropped += number
                continue
            self.credit -= len(load.payload)
            running.shipped += number
            running.sent_bytes += len(load.payload)
            part = running.part(running.watermark_ms, has_rows=True, weight=load.weight)
            yield Batch((part,), states=True), load.payload
