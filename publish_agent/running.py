"""A query that runs on a stream: its plan, its operators and its books."""

from __future__ import annotations

import difflib  # noqa: F401 - a refusal needs it, in a thread that imports nothing
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from mql import kernels
from mql.arrays import from_numpy, to_numpy
from mql.batch import TIME, Ints
from mql.events.times import TimeUnit, recognize, to_milliseconds
from mql.exec.build import Context, Pipeline
from mql.exec.filter import FilterOperator
from mql.exec.operator import Block, Counters
from mql.format import format_property
from mql.parser import parse
from mql.planner.fields import Fields, needed_fields, prefix_name
from mql.planner.logical import Filter, Nothing, Sample
from mql.planner.plan import plan
from mql.planner.split import AgentPlan
from mql.syntax import Condition, Constant, Property
from mql.wire.messages import Part, QueryCost, Subscribe
from publish_agent.columns import Needs
from publish_agent.screen import Screener
from publish_agent.states import AgentStates
from publish_agent.tallies import Tallies
from publish_agent.wanted import Judge

ROW = "*row"
"""The column that numbers the rows of a batch."""


@dataclass(frozen=True, slots=True)
class Survivors:
    """The rows that a query wants, and how many a sample left out.

    `times` are in ms by the source job's clock.
    """

    rows: Ints
    times: pa.Array
    sampled_out: int


class Running:
    """One subscription. `link` is the source job's, `start_ms` None until an intake has it.

    There may be ten thousand of them, of which few ever have an event: what those need is made with
    the first one, also the query's plan, anew.
    """

    __slots__ = (
        "_now_ms", "_passes", "_screener", "_seed", "_work", "candidates", "columns", "ended",
        "failure", "link", "message", "reads", "sent_bytes", "sequence", "shipped", "ships",
        "spent_ns", "start_ms", "states", "stopped", "tallies", "time", "wanted", "watermark_ms",
    )  # fmt: skip

    def __init__(
        self,
        link: int,
        message: Subscribe,
        screener: Screener,
        now_ms: Callable[[], int],
        seed: int,
    ) -> None:
        made, self.time = planned(message.text, message.time)
        self.link = link
        self.message = message
        self.tallies = Tallies(message.slot_ms)
        self.start_ms: int | None = None
        self.ended = False
        self.failure = ""
        self.watermark_ms = 0
        self.sequence = 0
        self.ships, self.reads = _same(made.ships), _same(reads(made, self.time))
        self.columns = columns_of(self.ships)
        self.stopped = 0
        """Events that never became candidates."""
        self.candidates = self.shipped = self.spent_ns = self.sent_bytes = 0
        self._passes = not any(isinstance(s, Filter | Sample | Nothing) for s in made.steps)
        self.states: AgentStates | None = None
        if message.states and made.aggregate is not None and self.time is None:
            self.states = AgentStates(made.aggregate, self.columns, now_ms)
        needs = _needs(made, self.reads, adds_up=self.states is not None)
        self.wanted = screener.prepare(_conditions(made), needs)
        self._screener = screener
        self._now_ms = now_ms
        self._seed = seed
        self._work: _Work | None = None

    @property
    def key(self) -> tuple[int, int]:
        """What the source job calls it: its query and source."""
        return self.message.query, self.message.source

    @property
    def judge(self) -> Judge | None:
        """What tells of one event whether it passes; None where that has to be computed."""
        return self._working().judge

    @property
    def carries(self) -> Fields:
        """What has to be decoded of events that are known to pass."""
        return self.ships if self.time is None else self.ships | Fields((self.time,))

    def passed(self, batch: pa.RecordBatch, rows: Ints, times: Ints) -> Survivors:
        """The rows of a batch that are known to pass; `times` are those of all rows."""
        if not len(rows):
            return Survivors(rows, pa.nulls(0, pa.int64()), 0)
        return Survivors(rows, self._times(batch, rows, times), 0)

    def verify(self, batch: pa.RecordBatch, rows: Ints, times: Ints) -> Survivors:
        """Which of some rows of a batch the query wants; `times` are those of all rows."""
        if self._passes:
            return self.passed(batch, rows, times)
        survivors, sampled_out = self._working().verify(batch, rows, times)
        return Survivors(survivors, self._times(batch, survivors, times), sampled_out)

    def _working(self) -> _Work:
        if self._work is None:
            made, _ = planned(self.message.text, self.message.time)
            self._work = _Work(made, self._screener, self._now_ms, self._seed)
        return self._work

    def _times(self, batch: pa.RecordBatch, rows: Ints, times: Ints) -> pa.Array:
        if self.time is None:
            return from_numpy(times if len(rows) == len(times) else times[rows])
        column = kernels.take(batch.column(format_property(self.time)), rows)
        unit = self._working().unit_of(column)
        return pa.nulls(len(rows), pa.int64()) if unit is None else to_milliseconds(column, unit)

    def part(
        self,
        watermark_ms: int,
        *,
        has_rows: bool = False,
        rows: bytes | None = None,
        weight: int = 1,
    ) -> Part:
        """The next part, with all tallies so far; each of its rows stands for `weight`."""
        tallies = self.tallies.take()
        self.sequence += 1
        self.watermark_ms = max(self.watermark_ms, watermark_ms)
        return Part(
            query=self.message.query,
            source=self.message.source,
            sequence=self.sequence,
            watermark_ms=self.watermark_ms,
            shipped_total=self.tallies.shipped_total,
            seen_total=self.tallies.seen_total,
            tallies=tallies,
            has_rows=has_rows,
            rows=rows,
            weight=weight,
        )

    def validate(self) -> None:
        """Check what always holds; for tests."""
        assert not self.ended
        assert self.start_ms is not None or not self.sequence, "told before it was accepted"
        assert self.shipped <= self.candidates
        self.tallies.validate()

    def cost(self) -> QueryCost:
        """What it has cost so far."""
        return QueryCost(
            *self.key,
            tested=self.stopped + self.candidates,
            candidates=self.candidates,
            shipped=self.shipped,
            spent_ns=self.spent_ns,
            sent_bytes=self.sent_bytes,
            screen=str(self.wanted),
        )


class _Work:
    """What a query needs once there is an event for it."""

    def __init__(
        self, made: AgentPlan, screener: Screener, now_ms: Callable[[], int], seed: int
    ) -> None:
        decides_otherwise = any(isinstance(step, Sample | Nothing) for step in made.steps)
        self.judge = None if decides_otherwise else screener.judge(_conditions(made))
        self._filter = None if decides_otherwise else FilterOperator(_conditions(made), now_ms)
        self._counters = Counters()
        self._pipeline = Pipeline(made.steps, Context(now_ms, seed=seed, counters=self._counters))
        self._needs = columns_of(needed_fields(made.steps))
        self._unit: TimeUnit | None = None

    def verify(self, batch: pa.RecordBatch, rows: Ints, times: Ints) -> tuple[Ints, int]:
        """Which of some rows of a batch pass, and how many a sample left out."""
        if self._filter is not None:
            whole = len(rows) == batch.num_rows
            tested = batch if whole else kernels.take(batch.select([*self._needs, ROW]), rows)
            return rows[self._filter.mask(tested)], 0
        before = self._counters.sampled_out
        part = batch.select([*self._needs, ROW])
        if len(rows) < batch.num_rows:
            part = kernels.take(part, rows)
        part = part.append_column(TIME, from_numpy(times[rows]))
        blocks = self._pipeline.push(Block(part))
        kept = [to_numpy(block.batch.column(ROW)) for block in blocks]
        survivors: Ints = np.concatenate(kept) if kept else rows[:0]
        return survivors, self._counters.sampled_out - before

    def unit_of(self, column: pa.Array) -> TimeUnit | None:
        """The unit of a column of times, as its first values showed."""
        if self._unit is None:
            self._unit = recognize(column)
        return self._unit


def screen_source(text: str) -> str:
    """The code that runs inside `publish` while a query is the only one. Raises QueryError."""
    screener = Screener()
    asked = Subscribe(0, 0, "", text, 1_000, "", states=True)
    running = Running(0, asked, screener, lambda: 0, 0)
    return screener.screen([running.wanted]).source()


_ORDERED = frozenset({"FIRST", "LAST"})
"""Aggregates to which the order of events matters."""

_SHORT = 2_000
"""Characters of a query whose plan is kept for the next who asks it."""


def planned(text: str, time: str) -> tuple[AgentPlan, Property | None]:
    """The agent's half of a query, and the property of its time. Raises QueryError."""
    return _known(text, time) if len(text) <= _SHORT else _plan(text, time)


def _plan(text: str, time: str) -> tuple[AgentPlan, Property | None]:
    made = plan(text, live=True).agent
    if not time:
        return made, None
    value = parse(f"select {time} from events").items[0].value  # noqa: S608 - not SQL
    if not isinstance(value, Property) or value.has_any:
        raise ValueError(f"{time!r} is no property that holds a time")
    return made, value


_known = lru_cache(maxsize=256)(_plan)


def _conditions(made: AgentPlan) -> tuple[Condition, ...]:
    """What an event has to satisfy."""
    if any(isinstance(step, Nothing) for step in made.steps):
        return (Constant(value=False),)
    return tuple(c for s in made.steps if isinstance(s, Filter) for c in s.conditions)


def _needs(made: AgentPlan, fields: Fields, *, adds_up: bool) -> Needs | None:
    """The values that are enough of an event, if they are few."""
    if fields.prefixes or fields.event or any(path.has_any for path in fields.paths):
        return None
    if any(isinstance(step, Sample | Nothing) for step in made.steps):
        return None
    aggregate = made.aggregate if adds_up else None
    if aggregate is None:
        return Needs(fields.paths, in_order=True)
    ordered = any(a.function in _ORDERED for a in aggregate.aggregates)
    in_order = ordered or not set(aggregate.firsts) <= set(aggregate.group_by)
    return Needs(fields.paths, frozenset(aggregate.group_by), in_order)


def reads(made: AgentPlan, time: Property | None) -> Fields:
    """What has to be decoded of the events that may be for a query."""
    fields = made.ships | needed_fields(made.steps)
    return fields if time is None else fields | Fields((time,))


@lru_cache(maxsize=1024)
def _same(fields: Fields) -> Fields:
    """One object for all that are equal."""
    return fields


@lru_cache(maxsize=1024)
def columns_of(fields: Fields) -> tuple[str, ...]:
    """The names of the columns that hold some fields, but for the whole event's."""
    return (*map(format_property, fields.paths), *map(prefix_name, fields.prefixes))
