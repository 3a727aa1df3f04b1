"""A query as a source job needs it: planned, with its streams and its slots."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import gcd

from mql.language.format import format_query
from mql.language.parser import parse
from mql.language.syntax import Query, RandomSample, RateSample, StickySample, TimeWindow
from mql.layout import RowLayout, layout_of
from mql.planner.logical import (
    Join,
    Limit,
    Sample,
    Step,
    WindowAggregate,
    WindowRows,
)
from mql.planner.plan import plan
from mql.planner.split import QueryPlan
from source_jobs.query.estimates import own_share, weighs

SECOND_MS = 1_000
_MIN_SLOT_MS = 100
_SHORT = 2_000
"""Characters of a query whose plan is remembered; it takes a hundred bytes for each."""


@dataclass(frozen=True)
class Question:
    """A planned query.

    `text` is what was asked and `canonical` what is equal for equal queries. `streams` are its
    sources in order; those from `first_right` on are the right side of its join. Where `time` is
    empty, an event's time is that of its publishing, and none is late by itself.
    """

    text: str
    canonical: str
    plan: QueryPlan
    layout: RowLayout
    streams: tuple[str, ...]
    first_right: int | None
    time: str
    lateness_ms: int

    @cached_property
    def text_bytes(self) -> int:
        """How long its text is."""
        return len(self.text.encode())

    @cached_property
    def window(self) -> TimeWindow | None:
        """The window, if it is one of time."""
        steps = self.plan.job
        step = next((s for s in steps if isinstance(s, WindowRows | WindowAggregate)), None)
        return step.window if step and isinstance(step.window, TimeWindow) else None

    @cached_property
    def slot_ms(self) -> int:
        """How long the slots of this query's tallies are."""
        if self.window is None:
            return SECOND_MS
        return max(_MIN_SLOT_MS, gcd(self.window.span_ms, self.window.shift_ms))

    def sources_of(self, stream: str) -> list[int]:
        """The query's sources, by position, that are a stream."""
        return [source for source, name in enumerate(self.streams) if name == stream]

    @cached_property
    def in_order(self) -> bool:
        """Whether the job's half has to see events in the order of time."""
        return any(map(_needs_order, self.plan.job))

    @cached_property
    def takes_states(self) -> bool:
        """Whether agents may aggregate first: not by a time that only the events know."""
        return self.plan.agent.aggregate is not None and not self.time

    @cached_property
    def weighs(self) -> bool:
        """Whether counts and sums are scaled where agents sample."""
        return weighs(self.plan.job)

    @cached_property
    def ends_by_itself(self) -> bool:
        """Whether the answer is over after some rows."""
        return any(isinstance(step, Limit) and not step.per_window for step in self.plan.job)

    @cached_property
    def rate(self) -> float:
        """The share of events that the query itself asks for."""
        share = 1.0
        for step in self.plan.agent.steps:
            match step:
                case Sample(RandomSample() | StickySample() as sample):
                    share *= min(1.0, sample.threshold / sample.factor)
        return share

    @cached_property
    def share(self) -> float:
        """The share of events that the query itself keeps by dice, if it scales what it counts."""
        return own_share(self.plan) or 1.0


def read_question(
    text: str, time: str = "", lateness_ms: int = 0, tree: Query | None = None
) -> Question:
    """Plan a query for a live answer; `tree` is the text parsed, if it is. Raises QueryError."""
    if len(text) <= _SHORT:
        return _remembered(text, time, lateness_ms)
    return _read(text, time, lateness_ms, tree)


def _read(text: str, time: str, lateness_ms: int, tree: Query | None = None) -> Question:
    tree = parse(text) if tree is None else tree
    planned = plan(tree, live=True)
    right = tree.join.sources if tree.join else ()
    return Question(
        text=text,
        canonical=format_query(tree),
        plan=planned,
        layout=layout_of(planned.steps),
        streams=(*tree.sources, *right),
        first_right=len(tree.sources) if right else None,
        time=time,
        lateness_ms=lateness_ms if time else 0,
    )


_remembered = lru_cache(maxsize=256)(_read)


def _needs_order(step: Step) -> bool:
    match step:
        case Join() | WindowRows() | WindowAggregate() | Sample(RateSample()):
            return True
        case _:
            return False
