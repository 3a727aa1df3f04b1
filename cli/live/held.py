"""How much of the truth the reader of an answer holds, which `share` does not know alone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mql.language.functions import FUNCTIONS
from mql.ledger import Completeness
from mql.planner.logical import WindowAggregate

if TYPE_CHECKING:
    from source_jobs.query.live_query import Question

_WEIGHED = {"AVERAGE", "STDDEV"}
"""Functions for which each event of a sample counts for as many as it stands for."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What an answer is made of: rows that are events (`is_rows`), or aggregates.

    Where agents sample, an answer that `is_scaled` makes up for it. `rate` is the share of events
    that the query itself asks for.
    """

    is_rows: bool = True
    is_scaled: bool = False
    rate: float = 1.0


SCALED = Kind(is_rows=False, is_scaled=True)
"""An answer that makes up for all samples."""


@dataclass(frozen=True, slots=True)
class Held:
    """The share of the truth, 0 to 1: as --require compares it, and as people read it.

    They differ where agents sample: the first goes by the least `rate` of any agent, the second by
    the events that were left out.
    """

    required: float
    shown: float


def kind_of(question: Question) -> Kind:
    """The kind of a query's answer."""
    found = [step for step in question.plan.job if isinstance(step, WindowAggregate)]
    scaled = question.weighs and any(
        FUNCTIONS[each.function].scales or each.function in _WEIGHED
        for step in found
        for each in step.aggregates
    )
    return Kind(not found, scaled, question.rate)


def held(known: Completeness, rows: int, kind: Kind) -> Held:
    """What of the truth came, where `rows` were delivered of a span of time.

    >>> from mql.ledger import Tally
    >>> held(Completeness(0, 9, expected=1, reported=1, subscriber=1), 3, Kind())
    Held(required=0.75, shown=0.75)
    >>> sampled = Completeness(0, 9, expected=1, reported=1, rate=0.1, tally=Tally(0, 1, budget=3))
    >>> held(sampled, 1, Kind()), held(sampled, 1, SCALED)
    (Held(required=0.1, shown=0.25), Held(required=1.0, shown=1.0))
    """
    part = known.share
    if known.subscriber:
        part *= rows / (rows + known.subscriber)
    required = part if kind.is_scaled else part * min(1.0, known.rate / kind.rate)
    return Held(required, part * _looked_at(known, kind) if kind.is_rows else part)


def _looked_at(known: Completeness, kind: Kind) -> float:
    """What agents have looked at of the events that were not lost."""
    tally = known.tally
    if not tally.budget:
        return min(1.0, known.rate / kind.rate)
    there = tally.sampled_out + tally.filtered_out + tally.shipped + tally.budget
    return 1 - tally.budget / there
