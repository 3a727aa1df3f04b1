"""The rows of a live answer are those that `mql.run` gives over the same events."""

from __future__ import annotations

import json
import os

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import mql
from mql.errors import QueryError
from mql.language.format import format_query
from mql.language.syntax import RandomSample, StickySample
from mql.planner.logical import format_plan
from mql.planner.plan import plan
from mql.wire.messages import Ended, Rejected, Subscribe
from tests.oracle.cases import Event, compare
from tests.oracle.drawn.events import LAST_MS, streams
from tests.oracle.strategies import queries
from tests.source_jobs.protocol.stage import FakeAgent, Stage

END_MS = LAST_MS + 1_000

thorough = settings(
    max_examples=int(os.environ.get("MQL_EXAMPLES", "20")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def live(
    data: st.DataObject, text: str, events: dict[str, list[Event]], agents: int
) -> tuple[Stage, int]:
    """Ask a query, and have agents ship events as time passes; events of one time stay together."""
    stage = Stage(start_ms=0)
    team = [stage.agent(f"a{i}", *events) for i in range(agents)]
    request = stage.client("c").ask(text, ttl_ms=END_MS)
    aggregates = data.draw(st.booleans(), label="the agents send states")
    for agent in team:
        agent.aggregates = aggregates
        agent.accept(0)
    step_ms = data.draw(st.sampled_from([90, 300, 700]))
    for cut in range(step_ms, END_MS + step_ms, step_ms):
        stage.pass_time(cut - stage.now_ms)
        for number, agent in enumerate(team):
            for asked in agent.got(Subscribe):
                stream = [e for e in events[asked.stream] if e[0] % agents == number]
                new = [e for e in stream if cut - step_ms <= e[0] < cut]
                ship_in_parts(data, agent, asked, new, cut)
    stage.pass_time(3_000)
    return stage, request


def ship_in_parts(
    data: st.DataObject, agent: FakeAgent, asked: Subscribe, events: list[Event], until_ms: int
) -> None:
    size = data.draw(st.integers(1, 3)) if events else 1
    for start in range(0, len(events), size):
        part = events[start : start + size]
        agent.ship(asked, part, part[0][0])
        agent.stage.tick()
    agent.ship(asked, [], until_ms)


@thorough
@given(st.data())
def test_windows_do_not_depend_on_how_events_were_spread_over_agents_and_batches(
    data: st.DataObject,
) -> None:
    query = data.draw(
        queries().filter(lambda q: not isinstance(q.sample, RandomSample | StickySample))
    )
    text = format_query(query)
    note(text)
    try:
        steps = plan(text, live=True).steps
    except QueryError:
        return
    events = data.draw(streams(query, extremes=False))
    note(json.dumps(events))
    by_order = "limit" in format_plan(steps) or query.anomaly is not None
    by_order = by_order and query.window is None
    if by_order and len(events) > 1:
        return  # without a window, streams are not put into one order: which rows are first?
    agents = 1 if by_order else data.draw(st.integers(1, 3))
    stage, request = live(data, text, events, agents)
    client = stage.clients[b"c"]
    ended = client.ended(request)
    assert not client.got(Rejected)
    assert ended
    assert not ended.failed, ended.reason
    result = mql.run(text, dict(events), start_ms=0, end_ms=END_MS, seed=1)
    if query.window is None:
        assert compare([result.rows()], [client.rows(request)], ordered=agents == len(events) == 1)
    else:
        expected = [window.rows() for window in result]
        got = client.windows(request)
        assert compare(expected, got, ordered=True), f"expected {expected}\ngot      {got}"
    assert ended.total.late == 0


def test_a_query_that_no_agent_can_answer_still_has_windows_and_says_that_nothing_is_known() -> (
    None
):
    stage = Stage(start_ms=0)
    client = stage.client()
    request = client.ask("select count(*) from requests window 1")
    stage.pass_time(3_999)
    assert client.windows(request) == [[{"COUNT(*)": 0}]] * 2
    stage.pass_time(1)
    assert len(client.windows(request)) == 3, "a window closes a second's grace after its end"
    assert all(ledger.silent for ledger in client.ledgers(request))
    assert not client.got(Ended)


def test_an_agent_whose_last_word_is_a_second_old_is_waited_for() -> None:
    stage = Stage(start_ms=0)
    agents = [stage.agent(name, "s") for name in ("a", "b")]
    client = stage.client("c")
    request = client.ask("select count(*) from s window 1")
    for agent in agents:
        agent.accept(0)
    for end_ms in range(1_000, 6_000, 1_000):
        stage.pass_time(end_ms + 15 - stage.now_ms)
        for agent in agents:
            for asked in agent.got(Subscribe):
                agent.ship(asked, [(end_ms - 500, {"a": 1})], end_ms + 5)
            stage.pass_time(5)
    assert client.windows(request) == [[{"COUNT(*)": 2}]] * 5
    assert not any(ledger.missing or ledger.late for ledger in client.ledgers(request))
