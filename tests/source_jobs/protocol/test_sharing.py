"""Who shares an execution, who gets which rows, and when a query ends."""

from __future__ import annotations

import pytest

from mql.ledger import Tally
from mql.wire.messages import (
    Answer,
    Answering,
    Batch,
    Credit,
    Ended,
    Leave,
    Rejected,
    Subscribe,
    Unsubscribe,
)
from source_jobs.settings import Settings
from tests.source_jobs.protocol.stage import FakeAgent, Stage

ROWS = "select n from requests"


def ship(agent: FakeAgent, *numbers: int) -> None:
    for asked in agent.got(Subscribe):
        if asked.query not in {gone.query for gone in agent.got(Unsubscribe)}:
            now_ms = agent.stage.now_ms
            agent.ship(asked, [(now_ms, {"n": n, "text": "x" * 1000}) for n in numbers])
    agent.stage.tick()


def test_equal_queries_share_one_execution_and_one_subscription() -> None:
    stage = Stage()
    agent, one, two = stage.agent("a", "requests"), stage.client("1"), stage.client("2")
    first = one.ask("select n from requests where a == 1")
    second = two.ask("SELECT  n FROM requests WHERE a==1")
    stage.pass_time(100)
    agent.accept()
    assert len(agent.got(Subscribe)) == 1
    assert one.query_of(first) == two.query_of(second)
    for asked in agent.got(Subscribe):
        agent.ship(asked, [(stage.now_ms, {"n": 7, "a": 1})])
    stage.tick()
    assert one.rows(first) == two.rows(second) == [{"n": 7}]


@pytest.mark.parametrize(
    ("query", "how"),
    [
        ("select n from requests limit 3", {}),
        ("select count(*) from requests window 1", {"ttl_ms": 5_000}),
        ("select n from requests", {"lateness_ms": 7, "time": "ts"}),
    ],
)
def test_what_ends_by_itself_or_has_another_time_runs_by_itself(
    query: str, how: dict[str, int]
) -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    client.ask(query)
    client.ask(query, **how)
    stage.pass_time(100)
    assert len(agent.got(Subscribe)) == 2


def test_queries_that_name_their_columns_differently_are_not_equal() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    one, two = client.ask("select (a) + b from requests"), client.ask("select a + b from requests")
    stage.pass_time(100)
    agent.accept()
    for asked in agent.got(Subscribe):
        agent.ship(asked, [(stage.now_ms, {"a": 1, "b": 2})])
    stage.tick()
    assert client.rows(one) == [{"(a) + b": 3}]
    assert client.rows(two) == [{"a + b": 3}]


def test_a_group_shares_the_rows_and_others_get_all() -> None:
    stage = Stage()
    agent, clients = stage.agent("a", "requests"), [stage.client(name) for name in "123"]
    asked = [client.ask(ROWS, group="g" * (number < 2)) for number, client in enumerate(clients)]
    stage.pass_time(100)
    agent.accept()
    for number in range(10):
        ship(agent, number)
    rows = [client.rows(request) for client, request in zip(clients, asked, strict=True)]
    assert [len(each) for each in rows] == [5, 5, 10]
    assert sorted(row["n"] for row in rows[0] + rows[1]) == list(range(10))  # type: ignore[type-var]


def test_the_window_of_a_group_goes_to_one_member() -> None:
    stage = Stage()
    agent, clients = stage.agent("a", "requests"), [stage.client(name) for name in "12"]
    asked = [c.ask("select count(*) from requests window 1", group="g") for c in clients]
    stage.pass_time(100)
    agent.accept()
    stage.pass_time(7_000)
    counts = [len(c.windows(request)) for c, request in zip(clients, asked, strict=True)]
    assert counts == [3, 3]


def test_the_last_subscriber_ends_the_query_in_the_agents() -> None:
    stage = Stage()
    agent, one, two = stage.agent("a", "requests"), stage.client("1"), stage.client("2")
    first, second = one.ask(ROWS), two.ask(ROWS)
    stage.pass_time(100)
    agent.accept()
    one.send(Leave(first))
    assert not agent.got(Unsubscribe)
    two.send(Leave(second))
    assert agent.got(Unsubscribe) == [Unsubscribe(1)]
    assert len(stage.state.queries) == 0


def test_a_client_that_is_silent_for_three_seconds_is_gone_and_its_queries_with_it() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    client.ask(ROWS)
    client.is_alive = False
    stage.pass_time(2_900)
    assert not agent.got(Unsubscribe)
    stage.pass_time(600)
    assert agent.got(Unsubscribe)


def test_a_query_that_was_asked_before_any_agent_came_starts_with_the_first() -> None:
    stage = Stage()
    client = stage.client()
    request = client.ask(ROWS)
    stage.pass_time(5_000)
    agent = stage.agent("a")
    agent.hello(["requests"])
    agent.accept()
    ship(agent, 1)
    assert client.rows(request) == [{"n": 1}]
    (answering,) = client.got(Answering)
    assert answering.warnings == ("no agent publishes `requests`",)


def test_a_limit_ends_the_query_for_good() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    request = client.ask("select n from requests limit 3")
    stage.pass_time(100)
    agent.accept()
    ship(agent, 1, 2)
    ship(agent, 3, 4)
    assert client.rows(request) == [{"n": 1}, {"n": 2}, {"n": 3}]
    ended = client.ended(request)
    assert ended
    assert (ended.reason, ended.failed) == ("limit", False)
    assert agent.got(Unsubscribe)


def test_a_time_to_live_cuts_the_last_window_off_and_says_so() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    request = client.ask("select count(*) from requests window 1", ttl_ms=2_500)
    agent.accept()
    for _ in range(30):
        stage.pass_time(100)
        ship(agent, 1)
    assert [ledger.partial for ledger in client.ledgers(request)] == [False, False, True]
    counts = [row["COUNT(*)"] for row in client.rows(request)]
    assert sum(counts) == sum(t.shipped for t in agent.counted.values())  # type: ignore[misc,arg-type]
    ended = client.ended(request)
    assert ended
    assert ended.reason == "time to live is over"


def test_the_total_of_a_query_with_windows_is_of_those_windows() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    request = client.ask("select count(*) from requests window 1", ttl_ms=2_500)
    agent.accept()
    stage.pass_time(3_050)
    asked = agent.got(Subscribe)[0]
    early = [(stage.now_ms - 750, {"n": 1})] * 4
    late = [(stage.now_ms, {"n": 1})] * 3
    agent.ship(asked, [*early, *late], stage.now_ms)
    stage.pass_time(2_000)
    (ended,) = client.got(Ended, request)
    assert ended.total is not None
    ledgers = client.ledgers(request)
    assert sum(ledger.tally.seen for ledger in ledgers) == ended.total.tally.seen == 4
    assert sum(int(str(row["COUNT(*)"])) for row in client.rows(request)) == 4


def test_an_answer_that_ends_waits_for_the_last_counts_of_its_agents() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    request = client.ask(ROWS, ttl_ms=500)
    agent.accept()
    stage.pass_time(1_580)  # an agent tells of what does not match once a second
    tally = Tally(stage.now_ms - 1_200, filtered_out=3, buffer=2)
    asked = agent.got(Subscribe)[0]
    agent.send(Batch((agent.part(asked, stage.now_ms, [tally]),)))
    stage.tick()
    ended = client.ended(request)
    assert ended
    assert ended.total is not None
    assert (ended.total.tally.filtered_out, ended.total.tally.buffer) == (3, 2)


def test_one_of_several_ends_when_its_time_is_over_and_the_others_go_on() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    short, long = client.ask(ROWS, ttl_ms=500), client.ask(ROWS)
    agent.accept()
    stage.pass_time(1_000)
    assert client.ended(short)
    ship(agent, 1)
    assert not client.ended(long)
    assert client.rows(long) == [{"n": 1}]
    assert client.rows(short) == []


def test_who_comes_later_gets_whole_windows_and_a_total_of_its_own() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    query = "select count(*) from requests window 1"
    client.ask(query)
    agent.accept()
    stage.pass_time(300)
    ship(agent, 1, 2)
    second = client.ask(query)
    stage.pass_time(300)
    ship(agent, 3)
    stage.pass_time(1_500)
    assert client.windows(second)[0] == [{"COUNT(*)": 3}]
    client.send_cancel(1)
    stage.tick()
    ended = client.ended(second)
    assert ended
    assert ended.total.tally.shipped == 1


def test_who_comes_later_gets_a_part_of_the_first_second_and_is_told_so() -> None:
    stage = Stage()
    agent = stage.agent("a", "s")
    early = stage.client("early")
    first = early.ask("select a from s")
    agent.accept()
    (asked,) = agent.got(Subscribe)
    stage.pass_time(500)
    agent.ship(asked, [(stage.now_ms, {"a": 1})])
    stage.tick()
    late = stage.client("late")
    second = late.ask("select a from s")
    for _ in range(2):
        stage.pass_time(1_000)
        agent.ship(asked, [])
        stage.tick()
    assert (early.rows(first), late.rows(second)) == ([{"a": 1}], [])
    assert [ledger.partial for ledger in early.ledgers(first)] == [False, False]
    assert [ledger.partial for ledger in late.ledgers(second)] == [True, False]


def test_a_slow_subscriber_loses_rows_and_is_told_and_the_others_get_all() -> None:
    stage = Stage(Settings("job", queue_bytes=20_000))
    agent, slow, fast = stage.agent("a", "requests"), stage.client("s", 1), stage.client("f")
    query = "select n, text from requests"
    stuck, flows = slow.ask(query), fast.ask(query)
    stage.pass_time(100)
    agent.accept()
    for number in range(100):
        ship(agent, number)
    stage.pass_time(2_000)
    assert len(fast.rows(flows)) == 100
    assert len(slow.rows(stuck)) == 1, "credit allows one answer"
    slow.send(Credit(1 << 20))
    stage.tick()
    stage.pass_time(1_000)
    got = slow.rows(stuck)
    told = sum(ledger.subscriber for ledger in slow.ledgers(stuck))
    assert 1 < len(got) < 100
    assert len(got) + told == 100
    assert [answer.sequence for answer in slow.got(Answer)] == list(
        range(1, 1 + len(slow.got(Answer)))
    )
    slow.send_cancel(slow.query_of(stuck))
    stage.tick()
    ends = slow.ended(stuck), fast.ended(flows)
    assert [end.total.subscriber for end in ends if end] == [told, 0]


def test_a_window_that_a_slow_subscriber_loses_still_has_its_ledger() -> None:
    stage = Stage(Settings("job", queue_bytes=1_000))
    agent, slow = stage.agent("a", "requests"), stage.client("s", 0)
    request = slow.ask("select n, text from requests window 1")
    agent.accept()
    ship(agent, 1, 2, 3)
    stage.pass_time(2_500)
    slow.send(Credit(1 << 20))
    stage.tick()
    (answer, rows), *_ = slow.answers(request)
    assert (answer.closes, rows) == (True, [])
    assert answer.completeness
    assert (answer.completeness.tally.shipped, answer.completeness.subscriber) == (3, 3)


def test_a_large_window_comes_in_pieces_of_which_the_last_closes_it() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    request = client.ask("select n, text from requests window 1")
    agent.accept()
    ship(agent, *range(4_000))
    stage.pass_time(2_500)
    pieces = [a for a, rows in client.answers(request) if rows]
    assert len(pieces) > 1
    assert [a.closes for a in pieces] == [False] * (len(pieces) - 1) + [True]
    assert len(client.windows(request)[0]) == 4_000


def test_there_are_limits_and_each_says_so() -> None:
    stage = Stage(Settings("job", queries=3, queries_per_client=2, query_bytes=200, clients=3))
    one, two = stage.client("1"), stage.client("2")
    long = one.ask("select " + "a" * 300)
    for number in range(3):
        one.ask(f"select a{number} from s")
    for number in range(3, 5):
        two.ask(f"select a{number} from s")
    stage.client("3")
    stage.client("4")
    reasons = [r.reason for c in stage.clients.values() for r in c.got(Rejected)]
    assert one.got(Rejected, long)
    assert reasons == [
        "the query is longer than 200 bytes",
        "one client may ask 2 queries at once",
        "3 queries run, as many as this source job takes",
        "this source job has 3 clients, as many as it takes",
    ]


def test_a_source_job_sleeps_while_there_is_nothing_to_do() -> None:
    stage = Stage()
    stage.agent("a", "s")
    client = stage.client()
    stage.tick()
    assert stage.state.next_wake_us() - stage.now_us >= 100_000
    request = client.ask("select a from s")
    stage.pass_time(500)
    client.send(Leave(request))
    stage.pass_time(500)
    stage.tick()
    assert stage.state.next_wake_us() - stage.now_us >= 100_000


def test_a_group_belongs_to_a_key() -> None:
    """Whoever named a group took its rows from those who made it."""
    stage = Stage()
    agent = stage.agent("a", "requests")
    own = [stage.client("1", key=b"k1"), stage.client("2", key=b"k1")]
    stranger, alone = stage.client("3", key=b"k2"), stage.client("4", key=b"k3")
    asked = [client.ask(ROWS, group="alerts") for client in (*own, stranger)]
    everything = alone.ask(ROWS)
    stage.pass_time(100)
    agent.accept()
    ship(agent, *range(10))
    for number in range(10, 40):
        ship(agent, number)
    shares = [[row["n"] for row in c.rows(r)] for c, r in zip(own, asked, strict=False)]
    assert all(shares)
    assert sorted([*shares[0], *shares[1]]) == list(range(40))
    assert [row["n"] for row in stranger.rows(asked[2])] == list(range(40))
    assert [row["n"] for row in alone.rows(everything)] == list(range(40))
    queries = {c.query_of(r) for c, r in zip((*own, stranger), asked, strict=True)}
    assert len(queries) == 2
