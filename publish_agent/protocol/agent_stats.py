"""An agent in numbers, at one moment: what it offers, runs, sent, dropped, and what that cost."""

from __future__ import annotations

from dataclasses import dataclass

from mql.wire.messages import QueryCost


@dataclass(frozen=True, slots=True)
class Spent:
    """What queries took together: events tested, let through, shipped; time and bytes."""

    tested: int = 0
    candidates: int = 0
    shipped: int = 0
    spent_ns: int = 0
    sent_bytes: int = 0

    def plus(self, cost: QueryCost) -> Spent:
        """The same with one query more."""
        return Spent(
            self.tested + cost.tested,
            self.candidates + cost.candidates,
            self.shipped + cost.shipped,
            self.spent_ns + cost.spent_ns,
            self.sent_bytes + cost.sent_bytes,
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """What there is now, and sums over the life of the agent's thread.

    `unkept` are events that found no room in a buffer or could not be read, `uncredited` those that
    no source job had granted bytes for.
    """

    streams: int = 0
    source_jobs: int = 0
    queries: int = 0
    waiting: int = 0
    buffered_bytes: int = 0
    lag_us: int = 0
    unkept: int = 0
    uncredited: int = 0
    spent: Spent = Spent()
