"""What an agent knows of one source job: its credit, its queries, its clock, and what is due."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from mql.wire.messages import Batch, Part
from publish_agent.capture.outcome import Outcome
from publish_agent.drain.cost.budget import Budget
from publish_agent.protocol.clock_offset import ClockOffset

if TYPE_CHECKING:
    from publish_agent.capture.value_columns import Span
    from publish_agent.drain.accounting import SlotGroup
    from publish_agent.drain.payloads import Load
    from publish_agent.drain.subscription import Running

MAX_CREDIT = 1 << 40
MAX_COSTS = 200
"""Queries of which a heartbeat tells the cost."""
PARTS = 1_000
"""Parts in one message that has no payload."""
_NAMES_BYTES_MAX = 1 << 17
"""Of names of upstream agents in them."""
_TIMES_MAX = 5_000
"""Slots and spans that they tell of: a source job takes 10,000 in a message."""
_LONGEST_MS = 1_000
"""At least this often a part of each query goes out."""
_TOLD_WITHIN_US = 1_100_000
"""So soon a part of each query has gone out."""
_BEAT_US, _PROBE_US = 1_000_000, 100_000
_UNSURE_US = 5_000
"""A clock that is less certain is asked more often, for some beats in each round of them."""
_PROBES, _ROUND = 20, 60


class Link:
    """One source job; what is sent to all of them is in one `budget`."""

    def __init__(self, number: int, budget: Budget, cpu_ns: Callable[[], int]) -> None:
        self.number = number
        self._budget, self._cpu_ns = budget, cpu_ns
        self.connected = False
        self.welcomed = False
        self.job = ""
        self.credit = 0
        self.offset = ClockOffset()
        self.queries: dict[tuple[int, int], Running] = {}
        self._by_number: dict[int, dict[Running, None]] = {}
        self.hello_us = self.heard_us = self.heartbeat_us = 0
        self.settled_us = 0
        """Of streams that are older than this the source job has asked all that it had to ask."""
        self.bad_frames = 0
        self.twin: Link | None = None
        """Another link that leads to the same source job, and is used instead."""
        self.greet = False
        """Whether to say hello once more."""
        self.dropped = 0
        self.row_queries = 0
        """How many queries wait for rows as they come, not for slots to end."""
        self._cost_from = 0
        self._beats = self._beat_us = 0
        self._unsure_us = self._unsure_until_us = 0
        self._slots: dict[int, tuple[dict[Running, None], int]] = {}

    def welcome(self, job: str, credit: int) -> None:
        """The source job lets us in."""
        self.job, self.welcomed = job, True
        self.credit = max(0, min(credit, MAX_CREDIT))

    def lose(self) -> None:
        """Nobody answers: nothing is sent until the next welcome."""
        self.welcomed = False
        self.credit = 0

    def settle(self, by_us: int) -> None:
        """The source job has answered a heartbeat of this time."""
        self.settled_us = max(self.settled_us, by_us)

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
        self._by_number.setdefault(running.message.query, {})[running] = None
        self.row_queries += running.states is None

    def sources_of(self, query: int) -> list[Running]:
        """A query on all its sources."""
        return list(self._by_number.get(query, ()))

    def started(self, running: Running, now_ms: int) -> None:
        """A query has its intake: from now on parts are due."""
        members, _ = self._slots.setdefault(running.message.slot_ms, ({}, now_ms))
        members[running] = None

    def beat(self, now_us: int) -> None:
        """A heartbeat goes out: note when the next one is due.

        While the source job's clock is not well known that is sooner. Where it cannot be known any
        better, as over a long way, most heartbeats come at their usual pace all the same.
        """
        is_sure = self.offset.uncertainty_us(now_us) <= _UNSURE_US
        self._beats = 0 if is_sure else (self._beats + 1) % _ROUND
        is_probe = not is_sure and self._beats <= _PROBES
        self._beat_us = now_us
        self.heartbeat_us = now_us + (_PROBE_US if is_probe else _BEAT_US)

    def beat_again(self) -> None:
        """The heartbeat could not be sent: it is soon tried again."""
        self.heartbeat_us = self._beat_us + _PROBE_US

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
        self.hello_us = self.settled_us = self._unsure_until_us = 0
        self.offset.forget()

    def end(self, running: Running) -> None:
        """A query is over."""
        running.ended = True
        if self.queries.get(running.key) is running:
            del self.queries[running.key]
            sources = self._by_number[running.message.query]
            del sources[running]
            if not sources:
                del self._by_number[running.message.query]
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
        by_number = [each for sources in self._by_number.values() for each in sources]
        assert len(by_number) == len(self.queries)
        assert set(by_number) == set(self.queries.values())
        assert self.row_queries == sum(r.states is None for r in self.queries.values())
        grouped = [running for members, _ in self._slots.values() for running in members]
        started = [r for r in self.queries.values() if r.start_ms is not None]
        assert len(grouped) == len(started)
        assert set(grouped) == set(started)

    def groups_due(self, watermark_ms: int, *, final: bool) -> list[tuple[SlotGroup, int]]:
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

    def note_unsure(self, spans: Iterable[Span], now_us: int) -> None:
        """Note that events may have come on either side of the end of a slot, if they may."""
        if not now_us < self._unsure_until_us:
            self._unsure_us = 0
        ahead_ms = self.offset.value_ms
        for first_ms, last_ms in spans:
            end_ms = self.slot_end_ms(first_ms + ahead_ms)
            if end_ms is not None and end_ms <= last_ms + ahead_ms:
                self._unsure_us = max(self._unsure_us, (last_ms - first_ms) * 1_000)
                self._unsure_until_us = now_us + _TOLD_WITHIN_US

    def clock_us(self, now_us: int) -> int:
        """How far times of events may be off, by the clock, or where they came in bursts."""
        return max(self.offset.uncertainty_us(now_us), self._unsure_us)

    def members(self, group: SlotGroup) -> Iterable[Running]:
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
            outcome = self._outcome(len(load.payload))
            parts = []
            for share in load.shares:
                running = share.running
                if running.ended:
                    continue
                running.tallies.add_times(share.times, outcome, load.weight)
                if outcome is not Outcome.SHIPPED:
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

    def _outcome(self, size: int) -> Outcome:
        """What becomes of a payload."""
        if size > self.credit:
            return Outcome.CREDIT
        return Outcome.SHIPPED if self._budget.allows(size) else Outcome.BUDGET

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
            began_ns = self._cpu_ns()
            messages += self._states(running, told_ms if told_ms < watermark_ms else None)
            running.spent_ns += self._cpu_ns() - began_ns
            parts.append(running.part(told_ms))
        return messages + [(Batch(tuple(piece)), None) for piece in _pieces(parts)]

    def _states(
        self, running: Running, before_ms: int | None
    ) -> Iterator[tuple[Batch, bytes | None]]:
        """The states of a query from before a time, or all, as far as credit allows."""
        assert running.states is not None
        for load in running.states.take(before_ms):
            outcome = self._outcome(len(load.payload))
            running.tallies.add_counts(load.times, load.events, outcome, load.weight)
            number = int(load.events.sum())
            if outcome is not Outcome.SHIPPED:
                self.dropped += number
                continue
            self.credit -= len(load.payload)
            running.shipped += number
            running.sent_bytes += len(load.payload)
            part = running.part(running.watermark_ms, has_rows=True, weight=load.weight)
            yield Batch((part,), states=True), load.payload


def _pieces(parts: list[Part]) -> Iterator[list[Part]]:
    """Parts that fit into one message: they are long with many names, or about a long time."""
    piece: list[Part] = []
    size = times = 0
    for part in parts:
        told = len(part.tallies) + len(part.told)
        size, times = size + _size(part), times + told
        if piece and (len(piece) == PARTS or size > _NAMES_BYTES_MAX or times > _TIMES_MAX):
            yield piece
            piece, size, times = [], _size(part), told
        piece.append(part)
    if piece:
        yield piece


def _size(part: Part) -> int:
    """About how many bytes the names in a part take."""
    names = [name for told in part.told for name in (*told.missing, *told.refused)]
    names += [each.name for told in part.told for each in told.gone]
    return sum(len(name.encode()) for name in names)
