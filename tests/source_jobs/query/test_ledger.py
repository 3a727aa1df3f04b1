"""The ledger adds up: what agents counted, and what got lost between them and the answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mql.ledger import Completeness, Exactness, Gone, Tally
from mql.wire.messages import Batch, Beat, Ended, Goodbye, Heartbeat, Refuse, Subscribe
from mql.wire.payload import write_batch, write_rows
from source_jobs.query.ledger import Ledger
from source_jobs.query.reporters import RollCall
from tests.oracle.cases import Event
from tests.source_jobs.protocol.stage import FakeAgent, FakeClient, Stage, agent_half

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


@pytest.mark.parametrize("lost", ["buffer", "failed", "upstream", "under_way"])
def test_where_events_may_be_late_what_is_lost_just_after_a_window_may_be_of_it(lost: str) -> None:
    """By their own times; its number is in the window in which it was lost, too."""
    ledger = Ledger(500, 0)
    call = RollCall(1, 1, (), (), 0, early=False)
    ledger.add(Tally(0, shipped=3), 0)
    ledger.add(Tally(1_000, shipped=2, **{lost: 4}), 1_000)
    assert ledger.close(0, 500, call, lateness_ms=400).exactness is Exactness.EXACT
    doubtful = ledger.close(500, 1_000, call, lateness_ms=400)
    assert (doubtful.exactness, doubtful.tally.under_way) == (Exactness.LOWER_BOUND, 4)
    assert ledger.close(500, 1_000, call).exactness is Exactness.EXACT
    assert getattr(ledger.close(1_000, 1_500, call, lateness_ms=400).tally, lost) == 4


@pytest.mark.parametrize(("after_ms", "missing"), [(2_500, ()), (3_500, ("shop@host",))])
def test_an_agent_may_take_some_seconds_to_begin(after_ms: int, missing: tuple[str, ...]) -> None:
    """As one that imports what runs its first query; who takes longer lacks something for good."""
    stage = Stage(start_ms=1_000_000)
    agent, client = stage.agent("a", "requests"), stage.client()
    request = client.ask("select count(*) from requests window 1", ttl_ms=8_000)
    stage.pass_time(after_ms)
    agent.accept()
    asked, *_ = agent.got(Subscribe)
    for _ in range(9):
        stage.pass_time(1_000)
        agent.ship(asked, [])
    stage.pass_time(3_000)
    ended = client.ended(request)
    assert ended is not None
    assert ended.total is not None
    assert ended.total.missing == missing


def test_a_window_in_which_the_query_began_is_partial_and_exact_for_the_rest() -> None:
    stage = Stage(start_ms=1_000_500)
    agent = stage.agent("a", "requests")
    client = stage.client()
    request = client.ask(COUNT)
    stage.pass_time(250)
    agent.accept()
    for _ in range(3):
        stage.pass_time(500)
        agent.ship(agent.got(Subscribe)[0], events_at(stage.now_ms, 1, 0))
    stage.tick()
    first, second = client.ledgers(request)
    assert (first.partial, first.covered_ms, first.share) == (True, 250, 0.25)
    assert (second.partial, second.covered_ms, second.share) == (False, None, 1.0)
    assert {first.exactness, second.exactness} == {Exactness.EXACT}


def test_an_agent_that_comes_in_the_middle_of_a_window_is_missing_in_it() -> None:
    """Its process may be an old one, of which this source job did not know."""
    stage, client, request, (agent,) = begin(COUNT, 1)
    stage.pass_time(900)
    slow = stage.agent("slow", "requests", service="slow")
    stage.pass_time(150)
    slow.accept()
    for _ in range(25):
        stage.pass_time(100)
        for each in (agent, slow):
            each.ship(each.got(Subscribe)[0], [])
    missing = [ledger.missing for ledger in client.ledgers(request)]
    assert missing[:3] == [("slow@host",), ("slow@host",), ()]
    exact = [ledger.exactness is Exactness.EXACT for ledger in client.ledgers(request)]
    assert exact[:3] == [False, False, True]


@pytest.mark.parametrize("unseen", [0, 5])
def test_a_new_process_says_what_it_published_before_it_ran_the_query(unseen: int) -> None:
    stage, client, request, _ = begin(COUNT, 0)
    stage.pass_time(1_400)
    agent = stage.agent("new", "requests")
    agent.accept(unseen=unseen, unseen_ms=stage.now_ms - 200)
    for _ in range(20):
        stage.pass_time(100)
        agent.ship(agent.got(Subscribe)[0], events_at(stage.now_ms, 1, 0))
    before, joined, whole = client.ledgers(request)[:3]
    assert (before.expected, joined.expected, joined.reported) == (0, 1, 1)
    assert (joined.unseen, joined.partial) == (unseen, False)
    assert joined.exactness is (Exactness.LOWER_BOUND if unseen else Exactness.EXACT)
    assert joined.share == (1.0 if not unseen else 5 / (5 + unseen))
    assert whole.exactness is Exactness.EXACT
    client.send_cancel(client.query_of(request))
    stage.tick()
    ended = client.ended(request)
    assert ended
    assert ended.total.unseen == unseen


def test_what_was_unseen_in_an_earlier_window_that_is_open_makes_that_a_lower_bound_too() -> None:
    query = "select count(*) from requests window 1"
    stage, client, request, (other,) = begin(query, 1)
    stage.pass_time(1_100)  # the first window waits for the other agent
    agent = stage.agent("new", "requests")
    agent.accept(unseen=3, unseen_ms=stage.now_ms - 400)
    for _ in range(20):
        stage.pass_time(100)
        for each in (other, agent):
            each.ship(each.got(Subscribe)[0], [])
    first, second, third = client.ledgers(request)[:3]
    assert (first.unseen, second.unseen, third.unseen) == (0, 3, 0)
    exact = [ledger.exactness is Exactness.EXACT for ledger in (first, second, third)]
    assert exact == [False, False, True]


def test_events_unseen_before_windows_that_have_closed_stand_in_the_total() -> None:
    stage, client, request, _ = begin(COUNT, 0)
    stage.pass_time(4_200)
    agent = stage.agent("new", "requests")
    agent.accept(unseen=7, unseen_ms=1_000_100)
    for _ in range(12):
        stage.pass_time(100)
        agent.ship(agent.got(Subscribe)[0], [])
    assert sum(ledger.unseen for ledger in client.ledgers(request)) == 7
    client.send_cancel(client.query_of(request))
    stage.tick()
    ended = client.ended(request)
    assert ended
    assert (ended.total.unseen, ended.total.exactness) == (7, Exactness.LOWER_BOUND)


def test_what_was_unseen_before_an_answer_ends_is_a_number_of_its_total_and_nobody_missing() -> (
    None
):
    stage, client, request, (other,) = begin("select count(*) from requests window 1", 1)
    stage.pass_time(400)
    other.ship(other.got(Subscribe)[0], [])
    stage.pass_time(700)  # the first window waits for the other agent
    agent = stage.agent("new", "requests")
    agent.accept(unseen=3, unseen_ms=stage.now_ms - 400)
    client.send_cancel(client.query_of(request))
    stage.tick()
    ended = client.ended(request)
    assert ended
    assert (ended.total.unseen, ended.total.missing) == (3, ())
    assert ended.total.exactness is Exactness.LOWER_BOUND


def test_a_process_that_ends_with_its_first_answer_is_counted() -> None:
    stage, client, request, (other,) = begin(COUNT, 1)
    stage.pass_time(400)
    agent = stage.agent("short", "requests")
    agent.accept(unseen=6, unseen_ms=stage.now_ms - 50)
    agent.send(Goodbye())
    del stage.agents[agent.peer]
    for _ in range(20):
        stage.pass_time(100)
        other.ship(other.got(Subscribe)[0], events_at(stage.now_ms, 1, 0))
    first, second = client.ledgers(request)[:2]
    assert (first.unseen, first.expected, first.reported, first.missing) == (6, 2, 2, ())
    assert first.exactness is Exactness.LOWER_BOUND
    assert (second.unseen, second.expected, second.exactness) == (0, 1, Exactness.EXACT)


def test_whoever_offers_a_new_stream_is_asked_before_its_heartbeat_is_answered() -> None:
    stage, _, _, (agent,) = begin(COUNT, 1)
    agent.inbox.clear()
    newcomer = stage.agent("new")
    newcomer.inbox.clear()
    newcomer.send(Heartbeat(stage.now_us, stage.now_ms, streams=("requests",)))
    assert [type(message) for message in newcomer.inbox] == [Subscribe, Beat]


def test_a_number_of_unseen_events_that_cannot_be_breaks_the_protocol() -> None:
    for number in (-1, 2**62):
        stage, _, _, (agent,) = begin(COUNT, 1)
        agent.restart()
        agent.accept(unseen=number)
        assert stage.state.agents.errors == 1


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
    assert (first.missing, first.exactness) == (("shop@host",), Exactness.LOWER_BOUND)
    assert second.exactness is Exactness.EXACT


def test_a_silent_agent_is_missing_for_a_minute_and_then_gone() -> None:
    stage, client, request, (quiet, loud) = begin(COUNT, 2)
    quiet.is_alive = False
    silent_ms = stage.now_ms
    for _ in range(700):
        stage.pass_time(100)
        loud.ship(loud.got(Subscribe)[0], events_at(stage.now_ms, 1, 0))
        stage.tick()
    ledgers = client.ledgers(request)
    missing = [ledger for ledger in ledgers if ledger.missing == ("s0@host",)]
    assert missing == ledgers[:60]
    assert {(m.expected, m.reported, m.share, m.gone) for m in missing} == {(2, 1, 0.5, ())}
    after = ledgers[60:]
    assert len(after) > 8
    for ledger in after:
        assert (ledger.expected, ledger.missing, ledger.exactness) == (1, (), Exactness.EXACT)
        assert ledger.gone == (Gone("s0@host", silent_ms),)
    client.send_cancel(client.query_of(request))
    stage.tick()
    ended = client.ended(request)
    assert ended
    assert ended.total.exactness is Exactness.LOWER_BOUND
    assert (ended.total.missing, ended.total.gone) == (("s0@host",), after[0].gone)


def test_no_window_waits_for_an_agent_after_that_in_which_it_fell_silent() -> None:
    stage, client, request, (quiet, loud) = begin(COUNT, 2)
    quiet.is_alive = False
    closed_ms: dict[int, int] = {}
    for _ in range(400):
        stage.pass_time(10)
        if stage.now_ms % 100 == 0:
            loud.ship(loud.got(Subscribe)[0], [])
            stage.tick()
        for ledger in client.ledgers(request):
            closed_ms.setdefault(ledger.end_ms, stage.now_ms)
    waited = [at - end for end, at in sorted(closed_ms.items())]
    assert waited[0] == stage.settings.grace_ms
    assert max(waited[1:]) <= 100


def test_an_agent_that_returns_is_waited_for_again() -> None:
    stage, client, request, (quiet, loud) = begin(COUNT, 2)
    quiet.is_alive = False
    for tenth in range(130):
        stage.pass_time(100)
        loud.ship(loud.got(Subscribe)[0], [])
        if tenth >= 80:
            quiet.is_alive = True
            quiet.ship(quiet.got(Subscribe)[0], events_at(stage.now_ms, 1, 0))
        stage.tick()
    ledgers = client.ledgers(request)
    assert {ledger.missing for ledger in ledgers[:8]} == {("s0@host",)}
    for ledger in ledgers[9:]:
        assert (ledger.expected, ledger.reported, ledger.gone) == (2, 2, ())
        assert ledger.exactness is Exactness.EXACT


def test_a_query_that_comes_after_an_agent_vanished_expects_it_too() -> None:
    stage = Stage()
    quiet, loud = (stage.agent(name, "requests", service=name) for name in ("quiet", "loud"))
    quiet.is_alive = False
    stage.pass_time(20_000)
    client = stage.client()
    request = client.ask(COUNT)
    loud.accept()
    assert not quiet.got(Subscribe)
    for _ in range(500):
        stage.pass_time(100)
        loud.ship(loud.got(Subscribe)[0], [])
    ledgers = client.ledgers(request)
    assert ledgers[1].missing == ("quiet@host",)
    assert (ledgers[-1].expected, ledgers[-1].missing) == (1, ())
    assert ledgers[-1].gone == (), "it never ran this query"


def test_of_many_agents_that_are_gone_some_are_named_and_all_are_counted() -> None:
    stage, client, request, team = begin(COUNT, 25)
    loud, *others = team
    for each in others:
        each.is_alive = False
    for _ in range(66):
        stage.pass_time(1_000)
        loud.ship(loud.got(Subscribe)[0], [])
    stage.pass_time(600_000)
    last = client.ledgers(request)[-1]
    assert (len(last.gone), last.gone_more) == (20, 4)
    others[0].is_alive = True
    others[0].hello(["requests"])
    stage.pass_time(3_000)
    last = client.ledgers(request)[-1]
    assert (len(last.gone), last.gone_more) == (20, 3)


def test_with_no_agent_nothing_is_exact() -> None:
    stage = Stage()
    client = stage.client()
    request = client.ask("select count(*) from mispelled window 1")
    stage.pass_time(2_500)
    client.send_cancel(client.query_of(request))
    stage.tick()
    ended = client.ended(request)
    assert ended
    for known in [*client.ledgers(request), ended.total]:
        assert (known.expected, known.share) == (0, 0.0)
        assert known.exactness is Exactness.LOWER_BOUND


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
    stage, client, request, (agent,) = begin(query, 1)
    stage.pass_time(1_500)
    agent.ship(agent.got(Subscribe)[0], [])
    stage.tick()
    (ledger,) = client.ledgers(request)
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
