"""One generation of a stream's subscriptions: its intake, and whose the drained events are.

What the screen let through is counted event by event. All else that `publish` saw is counted
once for all, and spread over the queries when their slot ends, so that ten thousand queries cost
nothing between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import pyarrow as pa

from mql.arrays import are_among, from_numpy
from mql.batch import Ints, plain, to_python
from mql.format import format_property
from mql.ledger import Tally
from mql.planner.fields import Fields
from mql.syntax import Property
from mql.values import read_json_lines
from publish_agent.budget import Budget
from publish_agent.columns import Columns, Taken
from publish_agent.decode import Decoded, Decoder
from publish_agent.intake import Candidates, Intake, Room, Row
from publish_agent.running import ROW, Running, Survivors
from publish_agent.sampler import Sampler
from publish_agent.screen import Screener
from publish_agent.tallies import Counted, Place, by_slot

Group = tuple[int, int]
"""A link and a length of slots: the queries whose slots end together."""

_SPREAD = (Place.FILTERED_OUT, Place.BUFFER, Place.BUDGET, Place.FAILED, Place.UPSTREAM)
_TOTAL, _FULL, _SAMPLED, _FAILED, _LOST = range(len(_SPREAD))
"""Counts in their order; of the first one a query's candidates are no part."""

_DROP_NS = 50
"""About what it takes to leave an event out of a sample, if nothing else is done with it."""

_OFTEN = 8
"""One event of so many without a property that the screen reads is often, if it is one of"""
_ENOUGH = 100
"""so many in a drain."""

_SPARE = 100
"""So many more may join than there were."""

_FEW = 32
"""Rows that are tested one by one."""

_COPY_NS = 100
"""About what it takes to copy the values of an event."""

OffsetOf = Callable[[int], int]
"""By how many ms a link's clock is ahead."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What all generations of an agent share.

    Rows have the time of `clock_ns` as it is, so that `publish` need not add `epoch_ns` to it.
    """

    encode: Callable[[object], bytes]
    clock_ns: Callable[[], int]
    epoch_ns: int
    cpu_ns: Callable[[], int]
    room: Room
    buffer_events: int
    screener: Screener
    provenance: dict[str, object]
    budget: Budget
    random: np.random.Generator


@dataclass(frozen=True, slots=True)
class Catch:
    """What a drain gave: a batch, what each query wants of it to be sent as it is.

    Each event stands for `weight`. `failed` are the queries that failed, and `full` those whose
    states cannot wait any longer.
    """

    batch: pa.RecordBatch
    weight: int
    wanted: list[tuple[Running, Survivors]]
    failed: list[Running]
    full: list[Running]


@dataclass(frozen=True, slots=True)
class Drain:
    """What a drain gave, and how many events had been seen, kept and dropped since the last."""

    catches: list[Catch]
    seen: int
    kept: int
    dropped: int


@dataclass(slots=True)
class _Unspread:
    """Counts for all queries of a group by slot, and what the candidates of each are of them.

    `booked` is what has been booked to a query already, by its place and the slot.
    """

    places: list[int]
    slots: dict[int, list[int]] = field(default_factory=dict)
    weights: dict[int, int] = field(default_factory=dict)
    candidates: dict[tuple[int, int], int] = field(default_factory=dict)
    booked: dict[tuple[int, int], tuple[int, ...]] = field(default_factory=dict)

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


class Generation:
    """The subscriptions of a stream from one change of its code to the next."""

    def __init__(self, members: Sequence[Running], decoder: Decoder, tools: Tools) -> None:
        self.members = list(members)
        self._most = 2 * len(members) + _SPARE
        self.drains = 0
        """Drains since it was replaced."""
        self.screen = tools.screener.screen([member.wanted for member in members])
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
        self.taker = self.screen.taker(self.intake, self._columns)
        """What the stream hands its events to. An agent that samples keeps all of them as text."""
        self._decoder = decoder
        self._clock_ns = tools.clock_ns
        self._epoch_ns = tools.epoch_ns
        self._budget = tools.budget
        self._random = tools.random
        self._keep_ns = 0
        """What keeping an event took lately on a caller's thread."""
        self._weights = 1, 1
        """Of the sampler before the present one, and of this."""
        self._thrown = 0
        """Events that the present sampler has decided about."""
        self._sample(0)
        self._places = {member: place for place, member in enumerate(self.members)}
        self._joined: dict[Running, int] = {}
        """Those that do not count yet; if a new intake comes first, they never do in this one."""
        self._groups: dict[Group, _Unspread] = {}
        for place, member in enumerate(self.members):
            group = (member.link, member.tallies.slot_ms)
            self._groups.setdefault(group, _Unspread([])).places.append(place)

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
        return True

    def begin(self, member: Running) -> None:
        """Count for one that has joined, from what was seen last on."""
        place = self._places[member] = self._joined.pop(member)
        group = self._groups.setdefault((member.link, member.tallies.slot_ms), _Unspread([]))
        group.places.append(place)
        for slot, counts in group.slots.items():
            group.booked[place, slot] = tuple(counts)

    def leave(self, member: Running) -> bool:
        """Let go of one, if the screen can without other code."""
        place = self._places.get(member, self._joined.get(member))
        return place is not None and self.screen.leave(member.wanted, place)

    def drain(self, now_ms: int, offset_of: OffsetOf) -> Drain:
        """Read the counters and the rows; verify the rows for each query that may want them."""
        taken = self._columns.take() if self._columns is not None else None
        rows = self.intake.drain()
        copied = int(taken.sizes.sum()) if taken else 0
        intake = self.intake
        sampled, vain = intake.sampled.take(), intake.vain.take()
        total = intake.rejected.take() + vain + len(rows) + copied
        losses = {
            _FULL: intake.full.take(now_ms),
            _FAILED: intake.failed.take(now_ms),
            _LOST: intake.take_lost(now_ms),
        }
        for (link, slot_ms), group in self._groups.items():
            ahead_ms = offset_of(link)
            slot = (now_ms + ahead_ms) // slot_ms * slot_ms
            group.count(slot, _TOTAL, total)
            group.count(slot, _SAMPLED, sampled)
            if sampled:
                group.weights[slot] = max(group.weights.get(slot, 1), *self._weights)
            for what, lost in losses.items():
                for ms, number in lost:
                    group.count((ms + ahead_ms) // slot_ms * slot_ms, what, number)
        full, failed = (sum(number for _, number in losses[what]) for what in (_FULL, _FAILED))
        self._spend(len(rows) + failed, copied, sampled)
        self._sample(len(rows) + copied + sampled)
        odd = len(rows) if self._columns is not None else vain
        if not self._careful and odd > max(total // _OFTEN, _ENOUGH):
            self._careful = True
            self._bind()
        parts = [partial(self._sort_out, some, weight) for weight, some in _by_weight(rows)]
        if taken is not None:  # where order matters, what is kept as text came behind it
            place = 0 if self.screen.keeps_order else len(parts)
            parts.insert(place, partial(self._hand_on, taken))
        catches = [part(now_ms, offset_of) for part in parts]
        dropped = full + failed + sampled
        found = [catch for catch in catches if catch is not None]
        return Drain(found, total + dropped, len(rows) + copied, dropped)

    def _spend(self, kept: int, copied: int, sampled: int) -> None:
        """Tell the budget what callers' threads have spent."""
        self._keep_ns = _mean(self.intake.keep_times, self._keep_ns)
        drop_ns = _mean(self.intake.drop_times, _DROP_NS)  # compiled code times none
        self._budget.spend(kept * self._keep_ns + copied * _COPY_NS, sampled * drop_ns)

    def _sample(self, decided: int) -> None:
        """Let the intake keep the share of events that the budget allows, with fresh dice."""
        weight, sampler = self._budget.weight, self.intake.sampler
        before = self._weights[1]
        self._weights = before, weight
        self._thrown += decided
        if weight == 1:
            self.intake.sampler = None
        elif sampler is None or weight != before or self._thrown * 2 > sampler.size:
            self.intake.sampler = Sampler(weight, self._random, 4 * decided)
            self._thrown = 0
        if self.intake.sampler is not sampler:
            self._bind()

    def _bind(self) -> None:
        """Go over to other code: what an agent that samples keeps, it keeps as text."""
        columns = self._columns if self._budget.weight == 1 else None
        self.taker = self.screen.taker(self.intake, columns, careful=self._careful)

    def validate(self) -> None:
        """Check what always holds; for tests."""
        self.intake.validate()
        for group in self._groups.values():
            for (place, slot), candidates in group.candidates.items():
                assert self.members[place].ended or candidates <= group.slots[slot][0]

    def spread(self, group: Group) -> None:
        """Book the counts of a group's slots to each of its queries."""
        unspread = self._groups.get(group)
        if unspread is None or not unspread.slots:
            return
        counted = unspread.alike()
        own = {place for place, _ in (*unspread.candidates, *unspread.booked)}
        for place in unspread.places:
            member = self.members[place]
            if place in own:
                self._spread_to(place, unspread)
            elif not member.ended:
                member.tallies.add_alike(counted)
                member.stopped += counted.stopped
        unspread.slots, unspread.weights = {}, {}
        unspread.candidates, unspread.booked = {}, {}

    def spread_to(self, member: Running) -> None:
        """Book the counts so far to one query."""
        place = self._places.get(member)
        unspread = self._groups.get((member.link, member.tallies.slot_ms))
        if place is not None and unspread is not None:
            for slot, counts in self._spread_to(place, unspread):
                unspread.booked[place, slot] = counts

    def _spread_to(self, place: int, unspread: _Unspread) -> list[tuple[int, tuple[int, ...]]]:
        """Book to a query what has not been; returns what is booked now, by slot."""
        member = self.members[place]
        booked = []
        for slot, (total, *others) in () if member.ended else unspread.slots.items():
            passed = unspread.candidates.get((place, slot), 0)
            weight = unspread.weights.get(slot, 1)
            counts = total - passed, *others
            before = unspread.booked.get((place, slot), (0,) * len(counts))
            for what, number, known in zip(_SPREAD, counts, before, strict=True):
                member.tallies.add(slot, what, number - known, weight)
                member.stopped += (number - known) * (what is not Place.UPSTREAM)
            booked.append((slot, counts))
        return booked

    def _sort_out(
        self, rows: list[Row], weight: int, now_ms: int, offset_of: OffsetOf
    ) -> Catch | None:
        """The rows of each query, decoded and verified; each stands for so many."""
        clock_ns, candidates, texts, _ = zip(*rows, strict=True)
        found = self._candidates(candidates)
        if not found:
            return None
        events = _read(texts) if len(rows) <= _FEW else None
        passed = {} if events is None else self._judge(events, found)
        members = self.members
        fields = Fields()
        for each in {members[p].reads for p in found if p not in passed} | {
            members[p].carries for p, numbers in passed.items() if len(numbers)
        }:
            fields |= each
        decoded = self._decoder.decode(texts, fields, events)
        published = (np.array(clock_ns, np.int64) + self._epoch_ns) // 1_000_000
        return self._hand_out(decoded, weight, found, published, now_ms, offset_of, passed)

    def _candidates(self, candidates: Sequence[Candidates]) -> dict[int, Ints]:
        """The rows that may be for a query, ascending, for those by their place that have some."""
        alike: dict[Candidates, Ints] = {}
        if candidates.count(candidates[0]) == len(candidates):
            alike[candidates[0]] = np.arange(len(candidates))
        else:
            numbers: dict[Candidates, list[int]] = {}
            for number, some in enumerate(candidates):
                numbers.setdefault(some, []).append(number)
            alike = {some: np.array(them) for some, them in numbers.items()}
        found: dict[int, list[Ints]] = {}
        for some, them in alike.items():
            for place in some:
                member = self.members[place]
                if member in self._places and not member.ended:
                    found.setdefault(place, []).append(them)
        return {
            place: parts[0] if len(parts) == 1 else np.sort(np.concatenate(parts))
            for place, parts in found.items()
        }

    def _judge(
        self, events: Sequence[dict[str, object]], found: Mapping[int, Ints]
    ) -> dict[int, Ints]:
        """Few events are tested one by one: which pass, for the queries where that can tell.

        To make columns of them, and to call kernels, takes longer than that.
        """
        passed = {}
        for place, numbers in found.items():
            judge = self.members[place].judge
            said = [judge(events[row]) for row in numbers.tolist()] if judge is not None else [None]
            if None not in said:
                passed[place] = numbers[np.array(said, np.bool_)]
        return passed

    def _hand_on(self, taken: Taken, now_ms: int, offset_of: OffsetOf) -> Catch | None:
        """The events of which a few values were kept, for those who may want them: that is all."""
        assert self.screen.needs is not None
        published = np.repeat((taken.times + self._epoch_ns) // 1_000_000, taken.sizes)
        every = np.arange(len(published))
        numbers = {p: every for member, p in self._places.items() if not member.ended}
        if not numbers:
            return None
        few = len(every) <= _FEW and self.screen.tests
        events = _events(self.screen.needs.paths, taken.columns) if few else None
        passed = {} if events is None else self._judge(events, numbers)
        names = map(format_property, self.screen.needs.paths)
        columns = dict(zip(names, taken.columns, strict=True))
        columns[ROW] = from_numpy(every)
        decoded = Decoded(pa.RecordBatch.from_arrays([*columns.values()], [*columns]))
        return self._hand_out(decoded, 1, numbers, published, now_ms, offset_of, passed)

    def _hand_out(
        self,
        decoded: Decoded,
        weight: int,
        found: Mapping[int, Ints],
        published: Ints,
        now_ms: int,
        offset_of: OffsetOf,
        passed: Mapping[int, Ints] = MappingProxyType({}),
    ) -> Catch:
        """To each query its candidates, by their numbers; each stands for so many events."""
        wanted = []
        for place, numbers in found.items():
            member = self.members[place]
            self._book(place, len(numbers), now_ms + offset_of(member.link))
            times = published + offset_of(member.link)
            survivors = self._verify(member, weight, decoded, numbers, times, passed.get(place))
            if survivors is not None and len(survivors.rows) and member.states is None:
                wanted.append((member, survivors))
        members = [self.members[place] for place in found]
        failed = [member for member in members if member.failure]
        full = [member for member in members if member.states and member.states.is_full]
        return Catch(decoded.batch, weight, wanted, failed, full)

    def _book(self, place: int, number: int, now_ms: int) -> None:
        """Note that some of the total are the candidates of a query, which counts them itself."""
        member = self.members[place]
        member.candidates += number
        unspread = self._groups[member.link, member.tallies.slot_ms]
        key = place, member.tallies.slot_of(now_ms)
        unspread.candidates[key] = unspread.candidates.get(key, 0) + number

    def _verify(
        self,
        member: Running,
        weight: int,
        decoded: Decoded,
        numbers: Ints,
        times: Ints,
        passed: Ints | None,
    ) -> Survivors | None:
        """What a query wants of its candidates; what it does not want is booked."""
        began = self._clock_ns()
        batch, places = decoded.batch, decoded.places
        if places is not None:  # some rows of the drain could not be read: the batch has others
            readable = are_among(numbers, places)
            member.tallies.add_times(times[numbers[~readable]], Place.FAILED)
            numbers = np.searchsorted(places, numbers[readable])
            if passed is not None:
                passed = np.searchsorted(places, passed[are_among(passed, places)])
            times = times[places]
        try:
            if passed is None:
                survivors = member.verify(batch, numbers, times)
            else:
                survivors = member.passed(batch, passed, times)
            of_no_window = _aggregate(member, weight, batch, survivors)
        except Exception as error:  # noqa: BLE001 - one bad query ends that query only
            member.tallies.add_times(times[numbers], Place.FAILED)
            member.failure = f"the query failed in this agent: {error!r}"
            return None
        if len(survivors.rows) < len(numbers):
            _book_losers(member, times[numbers], times[survivors.rows], survivors.sampled_out)
        member.tallies.add_times(times[survivors.rows[of_no_window]], Place.FILTERED_OUT)
        member.spent_ns += self._clock_ns() - began
        return survivors


def _read(texts: Sequence[bytes]) -> list[dict[str, object]] | None:
    """The events of some rows, if each is one as it stands: callers may write JSON themselves."""
    events = read_json_lines(b"\n".join(texts), len(texts))
    if events is None or any(b"\n" in text for text in texts):
        return None
    are_objects = all(type(event) is dict for event in events)
    return cast("list[dict[str, object]]", events) if are_objects else None


def _events(
    paths: Sequence[Property], columns: Sequence[pa.Array]
) -> list[dict[str, object]] | None:
    """What is known of some events, as events; None if a path leads through a list."""
    if not paths or not all(isinstance(step, str) for path in paths for step in path.steps):
        return None
    events: list[dict[str, object]] = [{} for _ in range(len(columns[0]))]
    for path, column in zip(paths, columns, strict=True):
        *outer, last = map(str, path.steps)
        for event, value in zip(events, to_python(plain(column)), strict=True):
            if value is not None:
                reduce(_inner, outer, event)[last] = value
    return events


def _inner(outer: dict[str, Any], key: str) -> dict[str, Any]:
    inner: dict[str, Any] = outer.setdefault(key, {})
    return inner


def _by_weight(rows: list[Row]) -> list[tuple[int, list[Row]]]:
    """The rows of each weight; there are two where it has just changed."""
    weights = {row[3] for row in rows}
    if len(weights) == 1:
        return [(weights.pop(), rows)]
    return [(weight, [row for row in rows if row[3] == weight]) for weight in sorted(weights)]


def _aggregate(member: Running, weight: int, batch: pa.RecordBatch, survivors: Survivors) -> Ints:
    """Add what a query wants to its states, if those travel; which rows are of no window."""
    if member.states is None or not len(survivors.rows):
        return np.zeros(0, np.int64)
    return member.states.add(batch, survivors.rows, survivors.times, weight)


def _book_losers(member: Running, all_times: Ints, kept: Ints, sampled_out: int) -> None:
    """Count what sample and filter left out, in the slots of its own times."""
    tallies = member.tallies
    gone: dict[int, int] = {}
    for sign, times in ((1, all_times), (-1, kept)):
        for slot, number in by_slot(times, tallies.slot_ms):
            gone[slot] = gone.get(slot, 0) + sign * number
    for slot, number in gone.items():
        sampled = min(sampled_out, number)
        sampled_out -= sampled
        tallies.add(slot, Place.SAMPLED_OUT, sampled)
        tallies.add(slot, Place.FILTERED_OUT, number - sampled)


def _mean(times: deque[int], otherwise: int) -> int:
    """The mean of what threads have noted meanwhile, if that is anything."""
    taken = [times.popleft() for _ in range(len(times))]
    return sum(taken) // len(taken) if taken else otherwise
