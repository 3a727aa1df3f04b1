"""Agents that sample, a source job and a client, as cores: what the one who asked gets to see."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cli.live.words import Summary
from mql.ledger import Exactness, as_data
from mql.wire.codec import encode
from mql.wire.messages import ToAgent
from publish_agent.identity import Identity
from publish_agent.settings import Settings
from publish_agent.state import AgentState, Send
from publish_agent.stream import Stream
from tests.cases import Row
from tests.job.stage import FakeAgent, FakeClient, Stage


class RealAgent(FakeAgent):
    """An agent's core on the stage. `weight` is what its budget would have come to."""

    def __init__(self, stage: Stage, name: str, weight: int) -> None:
        super().__init__(stage, name, "shop")
        stage.agents[self.peer] = self
        self.stream = Stream("requests")
        settings = Settings(service="shop", host="host")
        self.core = AgentState(settings, Identity(name, 1), lambda: stage.now_us * 1000)
        self.weight = weight
        self.core.adopt(self.stream)
        self.published = 0
        self._forward(self.core.connect(1, stage.now_us))
        self.turn()

    def turn(self) -> None:
        """Take what has come, and do what is due."""
        self.said_us = self.stage.now_us
        while self.inbox:
            message: ToAgent = self.inbox.pop(0)
            frames = [bytes(frame) for frame in encode(message)]
            self._forward(self.core.receive(1, frames, self.stage.now_us))
        self.core.budget.weight = self.weight
        self._forward(self.core.tick(self.stage.now_us))

    def publish(self, *events: Row) -> None:
        self.published += len(events)
        for event in events:
            self.stream.publish(event)

    def _forward(self, sends: Sequence[Send]) -> None:
        for send in sends:
            self.stage.from_agent(self.peer, [bytes(frame) for frame in send.frames])


def play(query: str, weights: Sequence[int], seconds: int = 4) -> tuple[FakeClient, int, int]:
    """Ask, while agents publish 2,000 events a second each; what each of them published."""
    stage = Stage(start_ms=1_700_000_000_000)
    client = stage.client()
    agents = [RealAgent(stage, f"a{i}", weight) for i, weight in enumerate(weights)]
    for agent in agents:
        agent.turn()
    request = client.ask(query)
    for _ in range(5):
        for agent in agents:
            agent.turn()
        stage.pass_time(5)
    for _ in range(seconds * 50):
        for agent in agents:
            events = ({"n": i, "g": i % 4, "x": float(i % 10)} for i in range(40))
            agent.publish(*events)
            agent.turn()
        stage.pass_time(20)
    for _ in range(60):
        for agent in agents:
            agent.turn()
        stage.pass_time(50)
    return client, request, agents[0].published


@pytest.mark.parametrize("aggregate", ["average(x)", "p50(x)"], ids=["states", "rows"])
def test_counts_and_sums_are_scaled_and_told_as_estimates(aggregate: str) -> None:
    query = f"select count(*) as n, sum(x), {aggregate} from requests window 1"
    client, request, _ = play(query, [10, 1])
    ledgers = client.ledgers(request)
    inside = 0
    full = [
        (row, known)
        for (row,), known in zip(client.windows(request), ledgers, strict=True)
        if known.tally.seen == 4_000 and not known.partial
    ]
    assert len(full) >= 2
    for row, known in full:
        assert known.exactness is Exactness.ESTIMATE
        assert known.rate == 0.1
        assert known.tally.budget > 1_000
        assert known.errors.keys() == {"n", "SUM(x)"}
        assert 50 < known.errors["n"] < 500
        inside += abs(row["n"] - 4_000) <= known.errors["n"]
        inside += abs(row["SUM(x)"] - 18_000) <= known.errors["SUM(x)"]
        average = row.get("AVERAGE(x)", row.get("P50(x)"))
        assert average == pytest.approx(4.5, abs=1.0)
    assert inside >= 2 * len(full) - 1


def test_groups_are_scaled_by_the_weight_of_their_own_agent() -> None:
    query = "select count(*), g, e['_agent']['pid'] from requests window 1 group by g"
    client, request, _ = play(query, [8, 1])
    windows = zip(client.windows(request), client.ledgers(request), strict=True)
    full = [(rows, known) for rows, known in windows if known.tally.seen == 4_000]
    assert full
    for rows, known in full:
        assert len(rows) == 4
        for row in rows:
            assert abs(row["COUNT(*)"] - 1_000) <= 2 * known.errors["COUNT(*)"]


def test_rows_are_not_scaled_and_what_was_left_out_is_told() -> None:
    client, request, published = play("select n from requests", [20])
    ledgers = client.ledgers(request)
    rows = client.rows(request)
    total = sum(known.tally.seen for known in ledgers)
    assert total == published
    assert sum(known.tally.shipped for known in ledgers) == len(rows)
    assert sum(known.tally.budget for known in ledgers) == published - len(rows)
    assert len(rows) == pytest.approx(published / 20, rel=0.4)
    sampled = [known for known in ledgers if known.tally.budget]
    assert {known.exactness for known in sampled} == {Exactness.ESTIMATE}
    assert not any(known.errors for known in ledgers)


@pytest.mark.parametrize(
    "query",
    [
        "select count(*) from requests window |10|",
        "select count(*) from requests sample {'strategy': 'RPS', 'threshold': 50} window 1",
        "select count(distinct n) from requests window 1",
    ],
)
def test_what_scaling_would_make_wrong_is_marked_and_not_scaled(query: str) -> None:
    client, request, _ = play(query, [10])
    values = [next(iter(row.values())) for rows in client.windows(request) for row in rows]
    assert max(values) <= 50
    assert not any(known.errors for known in client.ledgers(request))
    sampled = [known for known in client.ledgers(request) if known.tally.budget]
    assert {known.exactness for known in sampled} <= {Exactness.ESTIMATE}


def test_a_sample_of_the_query_s_own_is_scaled_on_top() -> None:
    sample = "sample {'strategy': 'RANDOM', 'threshold': 1, 'factor': 2, 'extrapolate': true}"
    client, request, _ = play(f"select count(*) as n from requests {sample} window 1", [5])
    windows = zip(client.windows(request), client.ledgers(request), strict=True)
    full = [(row, known) for (row,), known in windows if known.tally.seen == 2_000]
    for row, known in full:
        assert row["n"] == pytest.approx(2_000, rel=0.4)
        assert known.rate == pytest.approx(0.1)
        assert known.errors["n"] > 100


def test_what_was_estimated_is_said_in_words_and_as_data() -> None:
    client, request, _ = play("select count(*) as n from requests window 1", [10])
    summary = Summary()
    for known in client.ledgers(request):
        summary.add(known, closes=True)
    words = summary.describe()
    assert "estimate from 10% of the events (n ± " in words
    assert "dropped (budget)" in words
    known = client.ledgers(request)[2]
    assert as_data(known)["errors"] == known.errors != {}
