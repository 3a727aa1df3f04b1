"""The ledger adds up: what agents counted, and what got lost between them and the answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mql.ledger import Completeness, Exactness, Tally
from mql.wire.messages import Batch, Ended, Goodbye, Heartbeat, Refuse, Subscribe
from mql.wire.payload import write_batch, write_rows
from tests.cases import Event
from tests.job.stage import FakeAgent, FakeClient, Stage, agent_half

COUNT = "select count(*) from requests where ok window 1"
ROWS = "select n from requests where ok"


def begin(query: str, agents: int, **how: int) -> tuple[Stage, FakeClient, int, list[FakeAgent]]:
    stage = Stage()
    client = stage.client()
    team = [stage.agent(f"a{i}", "requests", service=f"s{i}") for i in range(agents)]
    request = client.ask(query, **how)
    for agent in team:
        agent.accept()
    return stage, client, request, team


def events_at(time_ms: int, kept: int, rejected: int) -> list[Event]:
    return [(time_ms, {"n": i, "ok": i < kept}) for i in range(kept + rejected)]


def counted(team: list[FakeAgent]) -> Tally:
    return sum((tally for agent in team for tally in agent.counted.values()), Tally(0))


def added(ledgers: list[Completeness]) -> Tally:
    return sum((ledger.tally for ledger in ledgers), Tally(0))


steps = st.lists(
    st.tuples(
        st.integers(0, 2),  # which agent
        st.integers(0, 400),  # how much later
        st.integers(0, 3),  # events that pass
        st.integers(0, 3),  # events that do not
        st.integers(0, 1500),  # how far its watermark is behind
        st.sampled_from(["", "", "", "lost", "silent", "late"]),
        st.sampled_from(["buffer", "budget", "credit", "failed", "upstream"]),
        st.integers(0, 2),  # events it dropped
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([COUNT, ROWS]), steps)
def test_totals_are_what_agents_counted_and_what_got_lost(
    query: str, story: list[tuple[int, int, int, int, int, str, str, int]]
) -> None:
    stage, client, request, team = begin(query, 3)
    lost_last = dict.fromkeys((agent.name for agent in team), 0)
    for who, wait, kept, rejected, behind, fault, cause, dropped in story:
        agent, asked = team[who], team[who].got(Subscribe)[0]
        stage.pass_time(wait, alive=fault != "silent")
        time_ms = stage.now_ms - (3_000 if fault == "late" else behind)
        before = agent.counted.get(asked.query, Tally(0)).seen
        agent.ship(
            asked,
            events_at(time_ms, kept, rejected),
            stage.now_ms - behind,
            lose=fault == "lost",
            **{cause: dropped},
        )
        seen = agent.counted[asked.query].seen - before
        lost_last[agent.name] = lost_last[agent.name] + seen if fault == "lost" else 0
    for agent in team:  # what comes after a loss tells of it
        agent.ship(agent.got(Subscribe)[0], [], stage.now_ms)
    stage.pass_time(3_000)
    ledgers = client.ledgers(request)
    client.send_cancel(client.query_of(request))
    stage.tick()
    (ended,) = client.got(Ended, request)
    total = ended.total
    published = counted(team)
    assert total.tally.seen + total.transit == published.seen
    assert added(ledgers).seen + sum(ledger.transit for ledger in ledgers) == published.seen
    used = len(client.rows(request))
    if query == COUNT:
        used = sum(row["COUNT(*)"] for row in client.rows(request))  # type: ignore[misc]
    assert total.tally.shipped == used + total.late
    assert sum(ledger.late for ledger in ledgers) == total.late
    for each in [*ledgers, total]:
        assert each.expected == each.reported + len(each.missing) + len(each.refused)


def test_a_window_says_what_became_of_its_events() -> None:
    stage, client, request, (agent,) = begin(COUNT, 1)
    stage.pass_time(1_000)
    asked = agent.got(Subscribe)[0]
    agent.ship(asked, events_at(stage.now_ms + 10, 3, 2), stage.now_ms + 10, buffer=4)
    stage.pass_time(1_100)
    agent.ship(asked, [])
    stage.tick()
    first, second = client.ledgers(request)
    assert (first.partial, second.partial) == (False, False)
    assert second.tally == Tally(second.start_ms, filtered_out=2, shipped=3, buffer=4)
    assert (second.expected, second.reported, second.missing) == (1, 1, ())
    assert second.exactness is Exactness.LOWER_BOUND


def test_a_window_in_which_the_query_or_an_agent_began_is_partial() -> None:
    stage = Stage(start_ms=1_000_500)
    client = stage.client()
    request = client.ask(COUNT)
    stage.pass_time(2_600)
    stage.agent("late", "requests").accept()
    stage.pass_time(3_000)
    partial = [ledger.partial for ledger in client.ledgers(request)]
    assert partial == [True, False, False, True, False]


def test_a_window_that_an_agent_was_asked_about_and_began_after_is_partial() -> None:
    stage, client, request, _ = begin(COUNT, 1)
    stage.pass_time(900)
    slow = stage.agent("slow", "requests", service="slow")
    stage.pass_time(150)
    slow.accept()
    stage.pass_time(2_000)
    first, second, *_ = client.ledgers(request)
    assert (first.expected, first.partial, second.partial) == (2, True, True)


def test_each_window_about_which_something_got_lost_is_a_lower_bound() -> None:
    query = "select count(*) from requests where ok window 0.5"
    stage, client, request, (agent,) = begin(query, 1)
    (asked,) = agent.got(Subscribe)
    stage.pass_time(500)
    agent.ship(asked, [])
    for wait, lose in ((400, False), (200, True), (500, True), (100, False), (400, False)):
        stage.pass_time(wait)
        agent.ship(asked, events_at(stage.now_ms, 2, 0), lose=lose)
    stage.pass_time(500)
    agent.ship(asked, [])
    stage.tick()
    ledgers = client.ledgers(request)
    assert [ledger.transit for ledger in ledgers] == [0, 4, 0, 0, 0]
    assert [row["COUNT(*)"] for row in client.rows(request)] == [0, 2, 0, 2, 2]
    exact = [ledger.exactness is Exactness.EXACT for ledger in ledgers]
    assert exact == [True, False, False, False, True]
    assert ledgers[2].missing == ("s0@host",)


def test_an_agent_that_was_not_heard_to_accept_has_told_of_no_earlier_window() -> None:
    stage, client, request, _ = begin(COUNT, 0)
    stage.pass_time(200)
    agent = stage.agent("a", "requests")
    (asked,) = agent.got(Subscribe)
    agent._sequences[asked.query, 0] = agent._seen[asked.query, 0] = 0
    stage.pass_time(600)
    for _ in range(3):
        agent.ship(asked, events_at(stage.now_ms, 1, 0))
        stage.pass_time(1_000)
    first, second, *_ = client.ledgers(request)
    assert (first.partial, first.exactness) == (True, Exactness.LOWER_BOUND)
    assert second.exactness is Exactness.EXACT


def test_a_silent_agent_is_missing_and_then_gone() -> None:
    stage, client, request, (quiet, loud) = begin(COUNT, 2)
    quiet.is_alive = False
    for _ in range(90):
        stage.pass_time(100)
        loud.ship(loud.got(Subscribe)[0], [])
        stage.tick()
    ledgers = client.ledgers(request)
    assert ledgers[0].missing == ("s0@host",)
    assert (ledgers[0].expected, ledgers[0].reported, ledgers[0].early) == (2, 1, True)
    assert (ledgers[-1].expected, ledgers[-1].missing, ledgers[-1].early) == (1, (), False)
    assert [ledger.end_ms for ledger in ledgers][:3] == [1_001_000, 1_002_000, 1_003_000]


def test_an_agent_that_was_silent_is_asked_what_others_were_asked_meanwhile() -> None:
    stage = Stage()
    agent = stage.agent("a", "requests")
    agent.is_alive = False
    stage.pass_time(5_000)
    client = stage.client()
    request = client.ask(COUNT)
    assert not agent.got(Subscribe), "it is gone"
    agent.send(Heartbeat(stage.now_us, stage.now_ms))
    agent.is_alive = True
    assert [asked.query for asked in agent.got(Subscribe)] == [client.query_of(request)]
    agent.accept()
    stage.pass_time(1_500)
    agent.ship(agent.got(Subscribe)[0], events_at(stage.now_ms, 2, 0))
    stage.pass_time(2_000)
    assert [{"COUNT(*)": 2}] in client.windows(request)


@pytest.mark.parametrize("accept", ["heard", "lost"])
def test_of_an_agent_that_begins_a_query_anew_nothing_is_known_between(accept: str) -> None:
    stage, client, request, (agent,) = begin(COUNT, 1)
    asked = agent.got(Subscribe)[0]
    stage.pass_time(300)
    agent.ship(asked, events_at(stage.now_ms, 2, 0))
    stage.pass_time(2_000)
    agent.restart()
    if accept == "heard":
        agent.accept()
    else:
        agent.begin(asked)
    for _ in range(3):
        stage.pass_time(100)
        agent.ship(asked, events_at(stage.now_ms, 1, 0))
    stage.pass_time(3_000)
    ledgers = client.ledgers(request)
    missing = [ledger.missing != () for ledger in ledgers]
    assert missing[:3] == [True, True, True], "from its last word to the new beginning"
    assert sum(ledger.transit for ledger in ledgers) == 0
    assert added(ledgers).shipped == 5


def test_an_agent_that_said_goodbye_is_not_missing() -> None:
    stage, client, request, (agent,) = begin(COUNT, 1)
    stage.pass_time(500)
    agent.ship(agent.got(Subscribe)[0], events_at(stage.now_ms, 2, 0))
    agent.send(Goodbye())
    agent.is_alive = False
    stage.pass_time(4_000)
    ledgers = client.ledgers(request)
    assert (ledgers[0].expected, ledgers[0].reported, ledgers[0].missing) == (1, 1, ())
    assert client.windows(request)[0] == [{"COUNT(*)": 2}]
    assert ledgers[1].silent


def test_an_agent_that_said_goodbye_by_another_connection_than_it_told_by_is_missing() -> None:
    stage, client, request, (agent,) = begin(COUNT, 1)
    stage.pass_time(500)
    told_by = agent.peer
    agent.peer = b"another address"
    stage.agents[agent.peer] = agent
    agent.hello(["requests"])
    agent.peer = told_by
    agent.ship(agent.got(Subscribe)[0], events_at(stage.now_ms, 2, 0))  # nobody listens any more
    agent.peer = b"another address"
    agent.send(Goodbye())
    agent.is_alive = False
    stage.pass_time(2_000)
    ledger = client.ledgers(request)[0]
    assert ledger.missing == ("s0@host",)
    assert ledger.exactness is Exactness.LOWER_BOUND


def test_an_agent_that_said_goodbye_before_it_began_is_missing() -> None:
    stage = Stage()
    agent = stage.agent("a", "requests")
    client = stage.client()
    request = client.ask(COUNT)
    stage.pass_time(200)
    agent.send(Goodbye())
    agent.is_alive = False
    stage.pass_time(2_000)
    ledger = client.ledgers(request)[0]
    assert (ledger.expected, ledger.reported, ledger.missing) == (1, 0, ("shop@host",))
    assert ledger.exactness is Exactness.LOWER_BOUND


def test_an_agent_that_refuses_is_named() -> None:
    stage, client, request, (agent,) = begin(COUNT, 1)
    agent.send(Refuse(agent.got(Subscribe)[0].query, 0, "too many"))
    stage.pass_time(2_100)
    ledger = client.ledgers(request)[0]
    assert (ledger.expected, ledger.reported, ledger.refused) == (1, 0, ("s0@host",))
    assert ledger.exactness is Exactness.LOWER_BOUND


def test_an_agent_that_never_answers_is_missing() -> None:
    stage = Stage()
    agent = stage.agent("a", "requests")
    client = stage.client()
    request = client.ask(COUNT)
    stage.pass_time(2_100)
    assert client.ledgers(request)[0].missing == ("shop@host",)
    assert len(agent.got(Subscribe)) >= 2, "it is asked again"


def test_a_watermark_in_the_future_closes_nothing_early() -> None:
    stage, client, request, (agent,) = begin(COUNT, 1)
    stage.pass_time(100)
    asked = agent.got(Subscribe)[0]
    agent.ship(asked, [], stage.now_ms + 3_600_000)
    stage.tick()
    assert client.ledgers(request) == []
    agent.ship(asked, events_at(stage.now_ms + 3_600_000, 1, 0), stage.now_ms)
    stage.pass_time(2_000)
    assert client.windows(request)[0] == [{"COUNT(*)": 1}], "published before it came"


def test_rows_that_come_too_late_are_counted_and_not_used() -> None:
    stage, client, request, (agent,) = begin(COUNT, 1)
    stage.pass_time(2_500)
    asked = agent.got(Subscribe)[0]
    agent.ship(asked, events_at(1_000_100, 2, 1))
    agent.ship(asked, events_at(stage.now_ms, 1, 0))
    stage.pass_time(2_000)
    assert (
        client.windows(request)[:3]
        == [[{"COUNT(*)": n}] for n in (0, 0, 1)][: len(client.windows(request))]
    )
    assert sum(ledger.late for ledger in client.ledgers(request)) == 2


def test_rows_that_come_too_late_are_late_for_each_window_that_is_still_open() -> None:
    stage, client, request, (agent,) = begin("select n from requests window 3 1", 1)
    asked = agent.got(Subscribe)[0]
    for tenth in range(70):
        stage.pass_time(100)
        rows = events_at(1_002_900, 1, 0) if tenth == 32 else []  # a window closed at 1,003,000
        agent.ship(asked, rows)
    late = {ledger.start_ms: ledger.late for ledger in client.ledgers(request)}
    assert [late[1_000_000 + second * 1_000] for second in range(4)] == [0, 1, 1, 0]
    assert client.ledgers(request)[-1].exactness is Exactness.EXACT


def test_a_sampled_answer_is_an_estimate() -> None:
    query = "select count(*) from requests window 1 sample 2.5%"
    stage, client, request, _ = begin(query, 1)
    stage.pass_time(2_500)
    (ledger, *_) = client.ledgers(request)
    assert ledger.rate == 0.025
    assert ledger.exactness is Exactness.ESTIMATE
    assert not client.ended(request)


def test_the_rows_of_a_part_are_those_it_names() -> None:
    stage, client, request, (agent,) = begin(ROWS, 1)
    stage.pass_time(100)
    asked = agent.got(Subscribe)[0]
    batch, _ = agent_half(asked, events_at(stage.now_ms, 4, 0))
    part = agent.part(
        asked,
        stage.now_ms,
        [Tally(1_000_000, shipped=2)],
        has_rows=True,
        rows=write_rows(np.array([1, 3])),
    )
    agent.send(Batch((part,)), write_batch(batch).to_pybytes())
    stage.tick()
    assert client.rows(request) == [{"n": 1}, {"n": 3}]


def test_the_total_of_an_answer_that_a_limit_ends_at_once_knows_its_agents() -> None:
    stage = Stage()
    agents = [stage.agent(name, "s") for name in ("a", "b")]
    client = stage.client()
    request = client.ask("select a from s limit 1")
    stage.pass_time(20)
    for agent in agents:
        agent.accept()
    (asked,) = agents[0].got(Subscribe)
    agents[0].ship(asked, [(stage.now_ms, {"a": 1})])
    stage.tick()
    stage.pass_time(100)
    ended = client.ended(request)
    assert ended
    assert ended.reason == "limit"
    assert (ended.total.expected, ended.total.reported, ended.total.missing) == (2, 2, ())


def test_events_of_the_future_are_of_now_whether_rows_or_states_travel() -> None:
    """A service's clock may be wrong: no event waits for a window that nobody will see."""
    for aggregates in (False, True):
        stage, client, request, (agent,) = begin(COUNT, 1)
        agent.aggregates = aggregates
        stage.pass_time(100)
        (asked,) = agent.got(Subscribe)
        agent.ship(asked, events_at(stage.now_ms + 3_600_000, kept=3, rejected=0))
        stage.pass_time(3_000)
        assert sum(row["COUNT(*)"] for row in client.rows(request)) == 3
        assert added(client.ledgers(request)).shipped == 3
