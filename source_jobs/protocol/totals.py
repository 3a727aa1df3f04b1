"""What all queries of a source job came to, those that have ended too: the sums for its metrics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from mql.ledger import Completeness, Tally, as_data
from source_jobs.protocol.delivery import Subscriber
from source_jobs.query.execution import Execution
from source_jobs.query.ledger import Lost

_LOST = ("transit", "late", "no_time", "unseen")
_KEPT = ("seen", "sampled_out", "filtered_out", "shipped", "dropped", "under_way", *_LOST)
_NOTHING, _NONE = Tally(0), Lost()
_COSTS = ("tested", "candidates", "spent_ns", "sent_bytes")


@dataclass(slots=True)
class Served:
    """Sums that only grow, but for what a query takes back of its last, unfinished window."""

    queries: int = 0
    rows: int = 0
    tally: Tally = _NOTHING
    lost: Lost = _NONE
    subscriber: int = 0
    tested: int = 0
    candidates: int = 0
    spent_ns: int = 0
    sent_bytes: int = 0

    def add(self, execution: Execution) -> None:
        """Take what a query has come to."""
        totals = execution.ledger.totals
        self.rows += execution.rows_out
        self.tally += totals.tally
        self.lost += totals.lost
        for reporter in execution.reporters.all.values():
            if reporter.cost is not None:
                for name in _COSTS:
                    setattr(self, name, getattr(self, name) + getattr(reporter.cost, name))

    def lose(self, subscribers: Iterable[Subscriber]) -> None:
        """Take the rows that subscribers were too slow for."""
        self.subscriber += sum(each.lost_total for each in subscribers)

    def copy(self) -> Served:
        """The same, to be added to."""
        return Served(*(getattr(self, name) for name in self.__slots__))

    def data(self) -> dict[str, object]:
        """As data: events by what became of them, rows, and what it cost the agents."""
        known = as_data(Completeness(0, 0, tally=self.tally, **asdict(self.lost)))
        counts = {name: known[name] for name in _KEPT}
        costs = {name: getattr(self, name) for name in _COSTS}
        told = {"queries": self.queries, "rows": self.rows, "subscriber": self.subscriber}
        return {**told, **counts, "cost": costs}
