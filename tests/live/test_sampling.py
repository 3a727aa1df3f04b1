"""Agents that sample, a source job and a client, as cores: what the one who asked gets to see."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import msgspec
import pytest

from cli.live.completeness_text import describe
from cli.live.summary import Summary
from mql.exec.aggregates.sampling_error import Spread
from mql.ledger import Completeness, Exactness, Tally, as_data
from mql.wire.codec import encode
from mql.wire.messages import ToAgent
from publish_agent.protocol.agent_state import AgentState, Send
from publish_agent.protocol.identity import Identity
from publish_agent.settings import Settings
from publish_agent.stream import Stream
from source_jobs.query.estimates import with_errors
from source_jobs.query.live_query import read_question
from tests.oracle.cases import Row
from tests.source_jobs.protocol.stage import FakeAgent, FakeClient, Stage


class RealAgent(FakeAgent):
    """An agent's core on the stage. `weight` is what its budget would have come to."""

    def __init__(
        self, stage: Stage, name: str, weight: int, buffer_events: int | None = None
    ) -> None:
        super().__init__(stage, name, "shop")
        stage.agents[self.peer] = self
        self.stream = Stream("requests")
        settings = Settings(service="shop", host="host")
        if buffer_events is not None:
            settings = dataclasses.replace(settings, buffer_events=buffer_events)
        self.core = AgentState(settings, Identity(name, 1), lambda: stage.now_us * 1000)
        self.weight = weight
        self.core.adopt(self.stream)
        self.published = 0
        self.values: dict[int, float] = {}
        """The sums of x by g."""
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
            if isinstance(x := event.get("x"), float):
                group = int(str(event["g"]))
                self.values[group] = self.values.get(group, 0.0) + x

    def _forward(self, sends: Sequence[Send]) -> None:
        for send in sends:
            self.stage.from_agent(self.peer, [bytes(frame) for frame in send.frames])


def ordinary(number: int) -> Row:
    return {"n": number, "g": number % 4, "x": float(number % 10)}


def play(
    query: str,
    weights: Sequence[int],
    seconds: int = 4,
    *,
    event_of: Callable[[int], Row] = ordinary,
    buffer_events: int | None = None,
) -> tuple[FakeClient, int, list[RealAgent]]:
    """Ask, while agents publish 2,000 events a second each."""
    stage = Stage(start_ms=1_700_000_000_000)
    client = stage.client()
    agents = [RealAgent(stage, f"a{i}", weight, buffer_events) for i, weight in enumerate(weights)]
    for agent in agents:
        agent.turn()
    request = client.ask(query)
    for _ in range(5):
        for agent in agents:
            agent.turn()
        stage.pass_time(5)
    for turn in range(seconds * 50):
        for agent in agents:
            first = 0 if event_of is ordinary else 40 * turn
            agent.publish(*map(event_of, range(first, first + 40)))
            agent.turn()
        stage.pass_time(20)
    for _ in range(60):
        for agent in agents:
            agent.turn()
        stage.pass_time(50)
    return client, request, agents


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
    client, request, (agent,) = play("select n from requests", [20])
    published = agent.published
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


def heavy(number: int) -> Row:
    """One value in two hundred is a thousand times larger than the others."""
    return {"x": float(number % 10 + 1) * (1_000 if number % 200 == 77 else 1), "g": number % 5 % 3}


@pytest.mark.parametrize("group", ["", " group by g"])
def test_sums_that_few_large_values_carry_are_known_well(group: str) -> None:
    columns = "sum(x), count(*), g" if group else "sum(x), count(*)"
    client, request, agents = play(
        f"select {columns} from requests window 1{group}", [25, 25], 8, event_of=heavy
    )
    windows = zip(client.windows(request), client.ledgers(request), strict=True)
    full = [(rows, known) for rows, known in windows if known.tally.seen == 4_000]
    told = [(rows, known) for rows, known in full if "SUM(x)" in known.errors]
    assert len(told) >= len(full) - 1 >= 5
    true = {g: sum(a.values.get(g, 0.0) for a in agents) / agents[0].published for g in range(3)}
    inside = total = 0
    for rows, known in told:
        assert known.unstated == ()
        for row in rows:
            share = true[int(str(row["g"]))] if group else sum(true.values())
            off = abs(float(str(row["SUM(x)"])) - share * 2_000)
            inside += off <= known.errors["SUM(x)"]
            total += 1
            assert known.errors["SUM(x)"] < 0.3 * sum(true.values()) * 2_000
    assert inside >= total - 2


def test_an_older_agent_s_sums_have_no_bound_and_its_counts_do() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Spread, "tails", lambda _: [])
        client, request, _ = play("select count(*) as n, sum(x) from requests window 1", [10])
    full = [known for known in client.ledgers(request) if known.tally.seen == 2_000]
    assert full
    for known in full:
        assert known.errors.keys() == {"n"}
        assert known.unstated == ("SUM(x)",)
        assert as_data(known)["unstated"] == ["SUM(x)"]
    assert "SUM(x) ± unknown" in describe(full[0])


@pytest.mark.parametrize("strategy", ["'RANDOM'", "'STICKY', 'keys': ['n']"])
@pytest.mark.parametrize("weight", [1, 5])
def test_of_a_query_that_samples_by_itself_it_is_said_what_can_be(
    strategy: str, weight: int
) -> None:
    sample = f"{{'strategy': {strategy}, 'threshold': 1, 'factor': 2, 'extrapolate': true}}"
    query = f"select count(*), sum(n) from requests sample {sample} window 1"
    client, request, _ = play(query, [weight], 6, event_of=lambda number: {"n": number % 40})
    windows = zip(client.windows(request), client.ledgers(request), strict=True)
    full = [(row, known) for (row,), known in windows if known.tally.seen == 2_000][2:]
    assert len(full) >= 2
    for row, known in full:
        if "STICKY" in strategy:
            assert (known.errors, set(known.unstated)) == ({}, {"COUNT(*)", "SUM(n)"})
            continue
        fair = 1.96 * ((2 * weight - 1) * 2_000) ** 0.5
        assert fair * 0.8 < known.errors["COUNT(*)"] < fair * 1.3
        assert abs(row["COUNT(*)"] - 2_000) <= 2 * known.errors["COUNT(*)"]
        if "SUM(n)" in known.errors:
            assert abs(row["SUM(n)"] - 39_000) <= 2 * known.errors["SUM(n)"]


def test_what_is_lost_beside_the_sample_is_covered_or_said_not_to_be() -> None:
    query = "select count(*) as n, sum(x) from requests window 1"
    client, request, agents = play(query, [10], 6, buffer_events=2)
    windows = zip(client.windows(request), client.ledgers(request), strict=True)
    full = [(row, known) for (row,), known in windows if known.tally.seen == 2_000]
    assert len(full) >= 3
    for row, known in full:
        assert known.exactness is Exactness.LOWER_BOUND
        assert known.tally.buffer > 50
        assert abs(row["n"] - 2_000) <= known.errors["n"], "it says what was lost, too"
        assert known.unstated == ("SUM(x)",)
        words = describe(known)
        assert f"n ± {known.errors['n']:,.4g} with what was lost, SUM(x) ± unknown" in words
    assert agents[0].published == 12_000


def test_nothing_is_said_of_what_a_missing_agent_may_hold() -> None:
    known = Completeness(0, 1_000, expected=2, reported=1, tally=Tally(0, shipped=9, weight=5))
    plan = read_question("select count(*) as n, sum(x) from s window 1").plan
    told = with_errors(known, plan, {"count(*)": 3.0, "sum(x)": 5.0})
    assert (told.errors, told.unstated) == ({}, ("n", "SUM(x)"))
    whole = msgspec.structs.replace(known, reported=2)
    told = with_errors(whole, plan, {"count(*)": 30.0, "sum(x)": 5.0})
    assert (told.errors, told.unstated) == ({"n": 30.0, "SUM(x)": 5.0}, ())
    late = msgspec.structs.replace(whole, late=3)
    told = with_errors(late, plan, {"count(*)": 30.0, "sum(x)": 5.0})
    assert (told.errors, told.unstated) == ({"n": 45.0}, ("SUM(x)",))


def test_a_summary_says_where_an_error_is_unknown_in_some_windows() -> None:
    summary = Summary()
    for start, errors, unstated in ((0, {"n": 3.0, "s": 7.0}, ()), (1_000, {"n": 5.0}, ("s",))):
        known = Completeness(
            start, start + 1_000, 1, 1, tally=Tally(start, shipped=9, weight=10), rate=0.1,
            errors=errors, unstated=unstated,
        )  # fmt: skip
        summary.add(known, closes=True)
    assert "(n ± 5, s ± 7, s ± unknown in some windows)" in summary.describe()


def test_what_was_estimated_is_said_in_words_and_as_data() -> None:
    client, request, _ = play("select count(*) as n from requests window 1", [10])
    summary = Summary()
    for known in client.ledgers(request):
        summary.add(known, closes=True)
    words = summary.describe()
    assert "estimate from 10% of the events (n ± " in words
    assert "dropped" not in words, "the sample stands for them: nothing is lost"
    known = client.ledgers(request)[2]
    data = as_data(known)
    assert data["errors"] == known.errors != {}
    dropped = known.tally.budget
    assert dropped > 1_000
    assert data["dropped"] == {
        "buffer": 0,
        "budget": dropped,
        "credit": 0,
        "failed": 0,
        "upstream": 0,
    }
    assert (data["exactness"], known.lost) == ("estimate", 0)
    assert known.partial or data["share"] == 1.0
    lacking = msgspec.structs.replace(known, late=3)
    assert f"{dropped:,} dropped (budget)" in describe(lacking), "beside what is lost it is told"
