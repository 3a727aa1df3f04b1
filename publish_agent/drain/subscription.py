"""A query that runs on a stream, and its books; `operators.py` tests its events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import from_numpy
from mql.columnar.layout import Ints
from mql.events.times import to_milliseconds
from mql.language.format import format_property
from mql.planner.fields import Fields
from mql.planner.logical import Filter, Nothing, Sample
from mql.wire.messages import Part, QueryCost, Subscribe
from mql.wire.upstream import Told
from publish_agent.capture.upstream_answer import Relayed
from publish_agent.drain.partial_states import AgentStates
from publish_agent.drain.plan.agent_plan import (
    columns_of,
    conditions_of,
    fields_of,
    is_scaled,
    needs_of,
    planned,
    shared,
    sums_of,
)
from publish_agent.drain.plan.operators import Operators
from publish_agent.drain.tallies import Tallies
from publish_agent.screen.interest import Judge
from publish_agent.screen.screen import Screener


@dataclass(frozen=True, slots=True)
class Survivors:
    """The rows that a query wants, and how many a sample left out.

    `times` are in ms by the source job's clock.
    """

    rows: Ints
    times: pa.Array
    sampled_out: int


Built = Callable[[Callable[[], Operators]], Operators]
"""Makes operators when they are wanted, and has what that takes counted as planning."""


class Running:
    """One subscription. `link` is the source job's, `start_ms` None until an intake has it.

    There may be ten thousand of them, of which few ever have an event: what those need is made with
    the first one, also the query's plan, anew.
    """

    __slots__ = (
        "_built", "_now_ms", "_operators", "_passes", "_screener", "_seed", "adds", "candidates",
        "columns", "ended", "failure", "is_first", "link", "message", "reads", "relayed",
        "sent_bytes", "sequence", "shipped", "ships", "spent_ns", "start_ms", "states", "stopped",
        "tallies", "time", "unseen", "wanted", "watermark_ms",
    )  # fmt: skip

    def __init__(
        self,
        link: int,
        message: Subscribe,
        screener: Screener,
        now_ms: Callable[[], int],
        seed: int,
        built: Built,
    ) -> None:
        made, self.time = planned(message.text, message.time)
        self.link = link
        self.message = message
        self.tallies = Tallies(message.slot_ms)
        self.start_ms: int | None = None
        self.is_first = False
        """Whether it was asked before any query ran on a stream of a new process."""
        self.unseen: tuple[int, int] | None = None
        """How many events there were before, and since when (ns of the agent's clock), if known."""
        self.ended = False
        self.failure = ""
        self.watermark_ms = 0
        self.relayed: Relayed | None = None
        """What an upstream source job has told of its stream, if that is one's answer."""
        self.sequence = 0
        self.ships, self.reads = shared(made.ships), shared(fields_of(made, self.time))
        self.columns = columns_of(self.ships)
        self.stopped = 0
        """Events that never became candidates."""
        self.candidates = self.shipped = self.spent_ns = self.sent_bytes = 0
        self._passes = not any(isinstance(s, Filter | Sample | Nothing) for s in made.steps)
        self.states: AgentStates | None = None
        if message.states and made.aggregate is not None and self.time is None:
            source, scales = message.source, is_scaled(made)
            self.states = AgentStates(
                made.aggregate, self.columns, now_ms, source=source, scales=scales
            )
        self.adds = sums_of(made) if self.states is not None else ()
        """Properties whose numbers it adds up, and of which it may get all that are large."""
        needs = needs_of(made, self.reads, adds_up=self.states is not None)
        self.wanted = screener.prepare(conditions_of(made), needs)
        self._screener = screener
        self._now_ms = now_ms
        self._seed = seed
        self._built = built
        self._operators: Operators | None = None

    @property
    def key(self) -> tuple[int, int]:
        """What the source job calls it: its query and source."""
        return self.message.query, self.message.source

    @property
    def judge(self) -> Judge | None:
        """What tells of one event whether it passes; None where that has to be computed."""
        return self._made_operators().judge

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
        survivors, sampled_out = self._made_operators().verify(batch, rows, times)
        return Survivors(survivors, self._times(batch, survivors, times), sampled_out)

    def _made_operators(self) -> Operators:
        """Its operators, made with its first event."""
        if self._operators is None:
            self._operators = self._built(self._make_operators)
        return self._operators

    def _make_operators(self) -> Operators:
        made, _ = planned(self.message.text, self.message.time)
        return Operators(made, self._screener, self._now_ms, self._seed)

    def _times(self, batch: pa.RecordBatch, rows: Ints, times: Ints) -> pa.Array:
        if self.time is None:
            return from_numpy(times if len(rows) == len(times) else times[rows])
        column = kernels.take(batch.column(format_property(self.time)), rows)
        unit = self._made_operators().unit_of(column)
        return pa.nulls(len(rows), pa.int64()) if unit is None else to_milliseconds(column, unit)

    def part(
        self,
        watermark_ms: int,
        *,
        has_rows: bool = False,
        rows: bytes | None = None,
        weight: int = 1,
    ) -> Part:
        """The next part, with all tallies so far; each of its rows stands for `weight`.

        An upstream's words go with a part without rows: they may be long, and rows may be, too.
        """
        tallies = self.tallies.take()
        self.sequence += 1
        relayed = self.relayed
        told: tuple[Told, ...] = ()
        if relayed is not None:
            watermark_ms = self.watermark_ms if has_rows else min(watermark_ms, relayed.until_ms)
            told = () if has_rows else relayed.take()
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
            upstream=relayed.name if relayed else "",
            told=told,
            due_ms=relayed.due_ms if relayed else 0,
            wait_ms=relayed.wait_ms if relayed else 0,
        )  # fmt: skip

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


def screen_source(text: str) -> str:
    """The code that runs inside `publish` while a query is the only one. Raises QueryError."""
    screener = Screener()
    asked = Subscribe(0, 0, "", text, 1_000, "", states=True)
    running = Running(0, asked, screener, lambda: 0, 0, lambda make: make())
    return screener.screen([running.wanted]).source()
