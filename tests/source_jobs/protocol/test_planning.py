"""New queries have a rate, and an agent that has not planned one yet is told of as waiting."""

from __future__ import annotations

import time

from mql.ledger import Completeness, Exactness, Tally
from mql.wire.messages import (
    Accept,
    Alive,
    Answering,
    Ask,
    Batch,
    Connect,
    Heartbeat,
    Leave,
    Rejected,
    Shown,
    Subscribe,
)
from source_jobs.query.live_query import Question
from source_jobs.query.reporters import ASK_AGAIN_MS
from source_jobs.settings import Settings
from tests.source_jobs.protocol.stage import START_MS, FakeAgent, FakeClient, Later, Stage

AT_ONCE, PER_S = 5, 20
PAUSE_MS = 1_000 // PER_S
COUNT = "select count(*) as n from s window 1"


def stage_of(**settings: int) -> Stage:
    return Stage(Settings("job", new_at_once=AT_ONCE, new_per_s=PER_S, **settings))


def new(number: int) -> str:
    return f"select a from s where a == {number}"


def begun(client: FakeClient) -> list[int]:
    return [message.request for message in client.got(Answering)]


def test_so_many_queries_begin_at_once_and_the_others_at_a_rate() -> None:
    stage = stage_of()
    client = stage.client()
    requests = [client.ask(new(i)) for i in range(20)]
    stage.tick()
    assert begun(client) == requests[:AT_ONCE]
    for number in range(1, 10):
        stage.pass_time(PAUSE_MS)
        assert begun(client) == requests[: AT_ONCE + number]
    stage.pass_time(1_000)
    assert begun(client) == requests


def test_one_that_left_before_it_began_costs_nothing() -> None:
    stage = stage_of()
    agent, client = stage.agent("a", "s"), stage.client()
    for _ in range(3 * PER_S):
        for _ in range(30):
            client.send(Leave(client.ask(new(client.stage.now_us + len(client.inbox)))))
        client.send(Leave(client.ask(new(-stage.now_us))))
        stage.pass_time(PAUSE_MS)
    asked = len(agent.got(Subscribe))
    assert AT_ONCE + 2 * PER_S < asked <= AT_ONCE + 3 * PER_S + 1
    assert not client.got(Rejected)


def test_clients_have_their_turns_and_one_does_not_hold_up_another() -> None:
    stage = stage_of(all_new_at_once=1, all_new_per_s=PER_S)
    greedy, modest = stage.client("greedy"), stage.client("modest")
    many = [greedy.ask(new(i)) for i in range(20)]
    few = [modest.ask(new(100 + i)) for i in range(3)]
    stage.pass_time(6 * PAUSE_MS + 1)
    assert begun(modest) == few
    assert begun(greedy) == many[:4]


def test_a_query_that_runs_already_is_not_new() -> None:
    stage = stage_of()
    first, second = stage.client("first"), stage.client("second")
    first.ask(new(0))
    many = [second.ask(new(0)) for _ in range(5 * AT_ONCE)]
    stage.tick()
    assert begun(second) == many


def test_who_connects_again_does_not_begin_with_a_full_bucket() -> None:
    stage = stage_of()
    client = stage.client("c")
    for number in range(AT_ONCE):
        client.ask(new(number))
    client.send(Connect(1, "c", "user", "1", 1 << 20))
    request = client.ask(new(99))
    stage.tick()
    assert request not in begun(client)
    stage.pass_time(PAUSE_MS)
    assert request in begun(client)


def test_those_that_wait_count_as_asked_and_their_texts_too() -> None:
    stage = stage_of(queries_per_client=AT_ONCE + 2)
    client = stage.client()
    requests = [client.ask(new(i)) for i in range(AT_ONCE + 3)]
    (rejected,) = client.got(Rejected)
    assert rejected.request == requests[-1]
    client.send(Ask(requests[-2], new(1)))
    assert client.got(Rejected)[1].reason == f"request {requests[-2]} is being answered"
    long = stage_of(text_bytes_per_client=len(new(0)) * (AT_ONCE + 1))
    client = long.client()
    for i in range(AT_ONCE + 2):
        client.ask(new(i))
    assert len(client.got(Rejected)) == 1


def test_a_client_is_told_how_many_of_its_queries_wait() -> None:
    stage = stage_of()
    client, other = stage.client("c"), stage.client("d")
    for i in range(AT_ONCE + 3):
        client.ask(new(i))
    client.send(Alive(1))
    other.send(Alive(1))
    assert [message.waiting for message in client.got(Alive)] == [3]
    assert [message.waiting for message in other.got(Alive)] == [0]
    assert b'"waiting":3' in stage.state._client_side.shows.metrics(
        stage.state.agents, stage.state.queries, stage.state.sessions
    ).replace(b" ", b"")


def test_what_a_client_had_waiting_goes_with_it() -> None:
    stage = stage_of()
    client = stage.client()
    for i in range(4 * AT_ONCE):
        client.ask(new(i))
    client.is_alive = False
    stage.pass_time(stage.settings.gone_ms + 1_000)
    assert not len(stage.state.sessions)
    assert not len(stage.state.queries)


def test_agents_are_told_whose_query_it_is() -> None:
    stage = Stage()
    agent, first, second = stage.agent("a", "s"), stage.client("c"), stage.client("d")
    for client in (first, first, second):
        client.ask(new(len(agent.inbox)))
    numbers = [asked.client for asked in agent.got(Subscribe)]
    assert numbers[0] == numbers[1] != numbers[2]


def say_waiting(agent: FakeAgent, *queries: int) -> None:
    stage = agent.stage
    agent.send(Heartbeat(stage.now_us, stage.now_ms, waiting=queries))


def test_an_agent_that_lets_it_wait_is_missing_and_told_of_as_waiting() -> None:
    stage = Stage()
    quick, slow = stage.agent("quick", "s"), stage.agent("slow", "s", service="slow")
    slow.is_alive = False
    client = stage.client()
    request = client.ask(COUNT)
    quick.accept()
    (asked,) = slow.got(Subscribe)
    for second in range(4):
        say_waiting(slow, asked.query)
        quick.ship(quick.got(Subscribe)[0], [], stage.now_ms)
        stage.pass_time(1_000)
        assert len(slow.got(Subscribe)) == 1, f"after {second} s: it has it, and need not be asked"
    quick.ship(quick.got(Subscribe)[0], [], stage.now_ms)
    stage.tick()
    ledgers = client.ledgers(request)
    assert ledgers
    for known in ledgers:
        told = known.waiting, known.missing, known.expected, known.reported, known.exactness
        assert told == (1, ("slow@host",), 2, 1, Exactness.LOWER_BOUND)
    assert ledgers[-1].end_ms == stage.now_ms, "nobody waits for one that has not begun"
    say_waiting(slow)
    start_ms = stage.now_ms + 100
    stage.pass_time(200)
    slow.accept(start_ms)
    for _ in range(30):
        stage.pass_time(100)
        for agent in (quick, slow):
            agent.ship(agent.got(Subscribe)[0], [], stage.now_ms)
    later = [k for k in client.ledgers(request) if k.start_ms >= start_ms]
    assert {(k.waiting, k.missing, k.exactness) for k in later} == {(0, (), Exactness.EXACT)}
    between = [k for k in client.ledgers(request) if k.start_ms < start_ms < k.end_ms]
    assert {(k.missing, k.exactness) for k in between} == {(("slow@host",), Exactness.LOWER_BOUND)}


def test_one_that_says_no_longer_that_it_waits_is_asked_again() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "s"), stage.client()
    agent.is_alive = False
    client.ask(COUNT)
    (asked,) = agent.got(Subscribe)
    say_waiting(agent, asked.query)
    stage.pass_time(2 * ASK_AGAIN_MS)
    assert len(agent.got(Subscribe)) == 1
    say_waiting(agent)
    stage.pass_time(2 * ASK_AGAIN_MS)
    assert len(agent.got(Subscribe)) > 1


def test_one_that_vanished_and_comes_back_is_asked_unless_it_says_that_it_waits() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "s"), stage.client()
    agent.is_alive = False
    request = client.ask(COUNT)
    (asked,) = agent.got(Subscribe)
    say_waiting(agent, asked.query)
    stage.pass_time(stage.settings.gone_ms + 2_000)
    assert client.ledgers(request)[-1].waiting == 0
    assert client.ledgers(request)[-1].missing == ("shop@host",)
    say_waiting(agent, asked.query)
    before = len(agent.got(Subscribe))
    stage.pass_time(ASK_AGAIN_MS + 500)
    assert len(agent.got(Subscribe)) == before
    agent.hello(["s"])
    assert len(agent.got(Subscribe)) > before


def test_one_source_that_runs_is_waited_for_while_another_waits() -> None:
    """A heartbeat names the query, whichever of its sources waits."""
    stage = Stage()
    agent, client = stage.agent("a", "s", "t"), stage.client()
    agent.is_alive = False
    client.ask("select count(*) as n from s, t window 1")
    first, second = agent.got(Subscribe)
    agent.begin(first)
    agent.send(Accept(first.query, first.source, stage.now_ms))
    reporters = next(iter(stage.state.queries)).execution.reporters.all
    say_waiting(agent, first.query)
    assert [r.queued for r in reporters.values()] == [False, True]
    agent.begin(second)
    agent.send(Batch((agent.part(second, stage.now_ms, [Tally(START_MS, filtered_out=1)]),)))
    assert [r.queued for r in reporters.values()] == [False, False]


def test_the_share_counts_who_waits_as_missing() -> None:
    known = Completeness(0, 1_000, expected=2, reported=1, missing=("a@h",), waiting=1)
    assert (known.share, known.exactness) == (0.5, Exactness.LOWER_BOUND)


LONG = "select a from requests where b in (" + ", ".join(map(str, range(1_000, 2_700))) + ")"


def long_text(number: int) -> str:
    """Ten thousand characters, and 3,400 words."""
    return LONG.replace("(1000", f"({number}")


def test_long_texts_count_as_several_and_one_is_planned_at_a_time() -> None:
    """Each message, and each tick, planned as many as might: others waited for all of them."""
    stage = Stage()
    client = stage.client()
    requests = [client.ask(long_text(number)) for number in range(20)]
    assert len(stage.state.queries) == 3, "a third of a second may be planned at once"
    stage.pass_time(300)
    assert len(stage.state.queries) <= 4
    for _ in range(20):
        before = len(stage.state.queries)
        stage.pass_time(300)
        assert len(stage.state.queries) <= before + 1
    assert 3 < len(stage.state.queries) < 20
    assert len(requests) == 20


def test_a_long_text_is_planned_beside_and_holds_up_no_other_client() -> None:
    """It took the source job's thread for most of a second."""
    planner: Later[Question] = Later()
    stage = Stage(planner=planner)
    bad, good = stage.client("bad"), stage.client("good")
    long = bad.ask(long_text(1))
    after = bad.ask("select a from s")
    own = good.ask("select b from s")
    own_long = good.ask(long_text(2))
    show = good.show("explain", long_text(3))
    stage.pass_time(100)
    assert len(stage.state.queries) == 1
    assert good.got(Answering, own)
    (rejected,) = good.got(Rejected, show)
    assert "try again" in rejected.reason
    planner.do()
    stage.pass_time(100)
    assert bad.got(Answering, long)
    assert bad.got(Answering, after), "in the order in which they were asked"
    assert not good.got(Answering, own_long)
    stage.pass_time(1_000)
    planner.do()
    stage.pass_time(1_000)
    assert good.got(Answering, own_long)


def test_a_long_text_that_is_wrong_is_rejected_where_it_is() -> None:
    planner: Later[Question] = Later()
    stage = Stage(planner=planner)
    client = stage.client()
    requests = client.ask(long_text(1) + " and"), client.show("explain", long_text(1) + " and")
    planner.do()
    stage.pass_time(100)
    requests = *requests, client.show("explain", long_text(1) + " and")
    planner.do()
    stage.pass_time(100)
    asked, early, explained = (client.got(Rejected, request)[0] for request in requests)
    assert (asked.is_query, explained.is_query) == (True, True)
    assert asked.column == explained.column > 10_000
    assert "try again" in early.reason


def test_whoever_left_or_is_gone_while_a_text_was_planned_gets_no_query() -> None:
    planner: Later[Question] = Later()
    stage = Stage(planner=planner)
    client, other = stage.client("c"), stage.client("d")
    request = client.ask(long_text(1))
    client.send(Leave(request))
    planner.do()
    stage.pass_time(1_000)
    other.ask(long_text(2))
    other.is_alive = False
    stage.pass_time(5_000)
    planner.do()
    stage.pass_time(1_000)
    assert len(stage.state.queries) == 0
    assert not planner.is_busy
    assert client.ask("select a from s") > request
    assert len(stage.state.queries) == 1


def test_explaining_is_planning() -> None:
    stage = Stage()
    client = stage.client()
    began = time.process_time()
    shows = [client.show("explain", long_text(number)) for number in range(200)]
    assert time.process_time() - began < 3
    assert client.got(Shown, shows[0])
    (rejected,) = client.got(Rejected, shows[-1])
    assert "try again" in rejected.reason


def test_clients_of_one_key_have_one_turn() -> None:
    """A person with fifty clients had fifty turns, and somebody else one."""
    stage = Stage(Settings("job", new_at_once=1, all_new_at_once=1, all_new_per_s=10))
    many = [stage.client(f"m {number}", key=b"many") for number in range(50)]
    one = stage.client("one", key=b"one")
    asked = [
        (client, client.ask(f"select a from s where n = {number}"))
        for number, client in enumerate(many)
    ]
    own = [one.ask(f"select b from s where n = {number}") for number in range(5)]
    stage.pass_time(1_500)
    assert sum(len(client.got(Answering, request)) for client, request in asked) >= 5
    assert sum(len(one.got(Answering, request)) for request in own) >= 2
