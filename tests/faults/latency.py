"""A publishing service's own p99 latency: without an agent, and with one in every state."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.live import latency
from benchmarks.live.latency import Rounds, Variant

KINDS = ("computes", "waits")
"""The services, by what a request does."""
MOST = 1.05
"""The p99 may be so much of what it is without an agent."""

VARIANTS = (  # the second says how much two runs of the same differ
    Variant("no agent", agent=False),
    Variant("no agent, once more", agent=False),
    Variant("idle agent"),
    Variant("agent counts every event", queries=("select count(*) from requests window 1",)),
    Variant(
        "agent tests every event", queries=("select * from requests where user_id == 'nobody'",)
    ),
    Variant("agent ships every event", queries=("select * from requests",)),
    Variant("agent whose source job is stalled", queries=("select * from requests",), stalled=True),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One variant's p99 beside that without an agent: medians over the turns."""

    variant: str
    p50_us: float
    p99_us: float
    ratio: float
    low: float
    high: float

    @property
    def is_met(self) -> bool:
        """Whether it is surely, or as well as can be told, within the limit."""
        return self.low <= MOST


def measure(kind: str, turns: int, seconds: float) -> list[Figure]:
    """Let the variants take turns; `seconds` for each round."""
    return [_figure(rounds) for rounds in latency.measure(VARIANTS, kind, turns, seconds)]


def _figure(rounds: Rounds) -> Figure:
    ratio = rounds.ratio("p99_us")
    p50_us, p99_us = rounds.median("p50_us"), rounds.median("p99_us")
    return Figure(rounds.variant.name, p50_us, p99_us, ratio.middle, ratio.low, ratio.high)
