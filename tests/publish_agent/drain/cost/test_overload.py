"""Queries that cost more than the budget, whatever is left out, are given up: the heaviest's."""

from __future__ import annotations

import pytest

from mql.wire.messages import Refuse, Subscribe
from publish_agent.drain.cost.budget import Budget
from publish_agent.drain.overload import PATIENCE_US, Overload
from publish_agent.settings import Settings
from tests.publish_agent.support import ALL, Bench


def asked(bench: Bench, client: int, *numbers: int) -> None:
    for number in numbers:
        bench.give(Subscribe(number, 0, "s", ALL, 1_000, client=client))


def refused(bench: Bench) -> list[int]:
    return [message.query for message in bench.job.messages if isinstance(message, Refuse)]


@pytest.mark.parametrize(
    ("excess", "given_up"), [(1.0, []), (2.0, [5, 4, 3]), (100.0, [5, 4, 3, 2])]
)
def test_the_newest_of_the_client_with_the_most_go_first(
    excess: float, given_up: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Budget, "queries_excess", property(lambda _: excess))
    bench = Bench(Settings(service="checkout", host="h1"))
    asked(bench, 1, 1, 2, 3, 4, 5)
    asked(bench, 2, 6)
    bench.settle()
    for _ in range(PATIENCE_US // 40_000):
        bench.tick(20_000)
    assert refused(bench) == [], "who asks may have gone by then"
    for _ in range(PATIENCE_US // 20_000):
        bench.tick(20_000)
    assert refused(bench) == given_up
    assert all("take more" in m.reason for m in bench.job.messages if isinstance(m, Refuse))


def test_what_a_query_took_counts_while_it_is_too_much() -> None:
    bench = Bench(Settings(service="checkout", host="h1"))
    asked(bench, 1, 1, 2, 3)
    asked(bench, 2, 4, 5)
    bench.settle()
    queries = {q.message.query: q for q in bench.state.queries.streams[0].members}
    queries[1].spent_ns = 10**12
    overload = Overload()
    assert overload.look(1.5, queries.values(), 0) == []
    for number in (4, 5):
        queries[number].spent_ns += 10**9
    assert overload.look(1.5, queries.values(), PATIENCE_US) == [queries[5]]


def test_a_moment_of_rest_begins_the_wait_again() -> None:
    bench = Bench(Settings(service="checkout", host="h1"))
    asked(bench, 1, 1, 2, 3)
    bench.settle()
    queries = bench.state.queries.streams[0].members
    overload = Overload()
    assert overload.look(9.0, queries, 0) == []
    assert overload.look(0.9, queries, PATIENCE_US - 1) == []
    assert overload.look(9.0, queries, PATIENCE_US) == []
    assert len(overload.look(9.0, queries, 2 * PATIENCE_US)) == 2
