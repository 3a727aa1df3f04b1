"""Which queries an agent gives up that cost more than its budget, however few events it keeps.

A client's queries are given up where they take more than those of others, the newest first, and
never all of them. Costs and the time are arguments.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publish_agent.drain.subscription import Running

PATIENCE_US = 5_000_000
"""So long queries may take too much: who asks may have gone by then."""
_EACH_NS = 100_000
"""A query counts for as much beside what it is known to have taken."""

_Client = tuple[int, int]
"""A source job's link, and the number of its client."""


class Overload:
    """Watches an agent's queries while they take too much."""

    def __init__(self) -> None:
        self._since_us: int | None = None
        self._spent_ns: dict[Running, int] = {}

    def look(self, excess: float, queries: Iterable[Running], now_us: int) -> list[Running]:
        """The queries to give up now, where all take `excess` times as much as they may."""
        if excess <= 1:
            self._since_us = None
            self._spent_ns = {}
            return []
        if self._since_us is None or now_us < self._since_us:
            self._since_us = now_us
            self._spent_ns = {query: query.spent_ns for query in queries}
            return []
        if now_us < self._since_us + PATIENCE_US:
            return []
        self._since_us = None
        return self._newest_of_the_heaviest(excess, queries)

    def _newest_of_the_heaviest(self, excess: float, queries: Iterable[Running]) -> list[Running]:
        costs: dict[_Client, list[tuple[int, Running]]] = {}
        for query in queries:
            spent_ns = query.spent_ns - self._spent_ns.get(query, query.spent_ns)
            client = query.link, query.message.client
            costs.setdefault(client, []).append((spent_ns + _EACH_NS, query))
        sums = {client: sum(ns for ns, _ in each) for client, each in costs.items()}
        left_ns = sum(sums.values())
        goal_ns = left_ns / excess
        given_up = []
        while left_ns > goal_ns:
            others = [client for client in sums if len(costs[client]) > 1]
            if not others:
                break
            client = max(others, key=sums.__getitem__)
            spent_ns, query = costs[client].pop()
            sums[client] -= spent_ns
            left_ns -= spent_ns
            given_up.append(query)
        return given_up
