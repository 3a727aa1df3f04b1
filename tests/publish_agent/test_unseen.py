"""A new process says how many events it had published before its agent ran a query, and when."""

from __future__ import annotations

from mql.wire.messages import PROTOCOL, Accept, Goodbye, Subscribe, Welcome
from publish_agent.protocol.agent_state import AgentState
from publish_agent.protocol.identity import Identity
from publish_agent.settings import Settings
from publish_agent.stream import Stream
from tests.publish_agent.support import ALL, LINK, START_US, Bench


def accepts(bench: Bench) -> list[Accept]:
    return [message for message in bench.job.of(Accept) if isinstance(message, Accept)]


def test_events_before_the_first_query_are_counted_with_their_time() -> None:
    bench = Bench()
    bench.job.answers = False
    for _ in range(10):
        bench.tick(100_000)
    first_us = bench.now_us
    bench.publish({"a": 1}, {"a": 2})
    bench.tick(50_000)
    bench.publish({"a": 3})
    bench.subscribe(1, ALL)
    (accept,) = accepts(bench)
    assert accept.unseen == 3
    assert first_us // 1000 - 100 <= accept.unseen_ms <= first_us // 1000
    bench.publish({"a": 4})
    bench.settle()
    assert [row["a"] for row in bench.got().events] == [4]  # type: ignore[index]


def test_an_agent_that_has_published_nothing_says_so() -> None:
    bench = Bench()
    bench.subscribe(1, ALL)
    assert [accept.unseen for accept in accepts(bench)] == [0]


def test_all_queries_that_come_with_the_welcome_are_told_the_same() -> None:
    bench = Bench(streams="s t")
    bench.job.answers = False
    bench.publish({"a": 1}, {"a": 2})
    bench.publish({"a": 1}, stream="t")
    for query in range(1, 5):
        bench.subscribe(query, ALL, tick=False)
    bench.subscribe(5, "select * from t", stream="t")
    assert [accept.unseen for accept in accepts(bench)] == [2, 2, 2, 2, 1]


def test_a_query_that_comes_once_a_heartbeat_was_answered_is_told_nothing() -> None:
    """Until then the source job has asked what it had to ask; later windows are the query's own."""
    bench = Bench()
    bench.publish({"a": 1})
    bench.tick()
    bench.tick(1_000_000)
    bench.subscribe(1, ALL)
    assert [accept.unseen for accept in accepts(bench)] == [None]


def test_a_query_beside_one_that_runs_is_told_nothing() -> None:
    bench = Bench()
    bench.job.answers = False
    bench.subscribe(1, ALL)
    bench.publish({"a": 1})
    bench.subscribe(2, ALL + " where a == 2")
    assert [accept.unseen for accept in accepts(bench)] == [0, None]


def test_a_stream_that_is_new_in_an_old_process_counts_from_its_beginning() -> None:
    bench = Bench()
    bench.tick(1_000_000)
    late = Stream("late")
    bench.state.adopt(late)
    late.publish({"a": 1})
    bench.subscribe(1, "select * from late", stream="late")
    assert [accept.unseen for accept in accepts(bench)] == [1]


def test_an_answer_that_is_repeated_says_the_same() -> None:
    bench = Bench()
    bench.job.answers = False
    bench.publish({"a": 1})
    bench.subscribe(1, ALL)
    bench.subscribe(1, ALL)
    first, second = accepts(bench)
    assert first == second
    assert first.unseen == 1


def test_an_agent_that_stands_in_for_one_that_failed_does_not_know() -> None:
    stream = Stream("s")
    stream.publish({"a": 1})
    now_us = START_US
    state = AgentState(
        Settings(service="a", host="b"), Identity("a", 1), lambda: now_us * 1000, is_new=False
    )
    state.adopt(stream)
    bench = Bench()
    bench.state = state
    bench.job = bench.connect()
    bench.give(Subscribe(1, 0, "s", ALL, 1_000, ""), LINK)
    bench.tick()
    bench.tick()
    assert [accept.unseen for accept in accepts(bench)] == [None]


def test_a_forked_child_counts_its_own_events_alone() -> None:
    stream = Stream("s")
    for _ in range(5):
        stream.publish({})
    stream.begin(START_US * 1000)
    stream.publish({})
    assert (stream.unseen(), stream.skipped()) == (1, 6)
    assert stream.skip().name == "SKIPPED"
    assert stream.unseen() == 2


def test_a_source_job_of_before_that_welcomes_all_the_same_is_answered() -> None:
    bench = Bench()
    now_us = bench.now_us
    bench.give(Welcome(PROTOCOL, "other", 1 << 20, now_us, now_us, now_us))
    bench.subscribe(1, ALL)
    assert len(accepts(bench)) == 1


# What is owed when an agent is closed


def test_an_agent_owes_until_what_came_with_the_welcome_is_answered() -> None:
    bench = Bench()
    assert not bench.state.owes(), "there was nothing to miss"
    bench.publish({"a": 1}, {"a": 2})
    assert bench.state.owes(), "a query may be on its way"
    bench.subscribe(1, ALL, tick=False)
    assert bench.state.owes()
    bench.tick()
    assert [accept.unseen for accept in accepts(bench)] == [2]
    assert not bench.state.owes()
    bench.goodbye()
    assert [type(message) for message in bench.job.messages[-1:]] == [Goodbye]


def test_an_agent_that_has_greeted_owes_until_the_first_beat() -> None:
    bench = Bench()
    bench.job.answers = False
    bench.publish({"a": 1})
    for _ in range(3):
        bench.tick()
        assert bench.state.owes()
    bench.job.answers = True
    bench.tick()
    assert not bench.state.owes()
    bench.publish({"a": 1})
    assert not bench.state.owes(), "nobody who asks has missed it"


def test_an_agent_owes_a_source_job_that_came_after_another() -> None:
    bench = Bench()
    bench.publish({"a": 1})
    bench.tick()
    assert not bench.state.owes()
    bench.now_us += 100_000
    bench.connect(8, name="other")
    assert bench.state.owes()
    bench.tick()
    assert not bench.state.owes()


def test_an_agent_owes_nobody_who_is_gone_or_has_another_connection() -> None:
    bench = Bench()
    bench.publish({"a": 1})
    bench.tick()
    bench.connect(8)
    assert not bench.state.owes(), "the other connection is in use"
    bench.connect(9, name="other")
    bench.state.disconnect(9, bench.now_us)
    assert not bench.state.owes()


def test_a_stream_that_is_new_in_an_old_process_is_owed() -> None:
    bench = Bench()
    bench.tick()
    bench.now_us += 1_000_000
    late = Stream("late")
    bench.state.adopt(late)
    assert not bench.state.owes()
    late.publish({"a": 1})
    assert bench.state.owes()
    bench.tick()
    assert not bench.state.owes()


def test_a_query_that_is_not_yet_begun_is_owed_an_answer() -> None:
    bench = Bench()
    bench.tick()
    bench.subscribe(1, ALL, tick=False)
    assert bench.state.owes()
    bench.tick()
    assert not bench.state.owes()


def test_a_query_that_comes_while_the_agent_is_closed_is_told_at_once_what_it_missed() -> None:
    bench = Bench(streams="s t")
    bench.job.answers = False
    bench.publish({"a": 1}, {"a": 2})
    bench.state.end()
    bench.subscribe(1, ALL, tick=False)
    bench.now_us += 50_000
    bench.subscribe(1, ALL, tick=False)
    bench.subscribe(2, "select * from t", stream="t", tick=False)
    first, again, other = accepts(bench)
    assert first == again, "or its events would be counted twice"
    assert (first.unseen, other.unseen) == (2, 0)
    bench.goodbye()
    assert [type(message) for message in bench.job.messages[-1:]] == [Goodbye]


def test_the_same_source_job_by_another_connection_is_told_the_same() -> None:
    bench = Bench()
    bench.job.answers = False
    bench.publish({"a": 1})
    bench.state.end()
    bench.subscribe(1, ALL, tick=False)
    bench.state.disconnect(LINK, bench.now_us)
    bench.now_us += 50_000
    other = bench.connect(8)
    bench.subscribe(1, ALL, link=8, tick=False)
    assert other.of(Accept) == accepts(bench)


def test_a_query_on_a_stream_that_others_have_is_begun_until_the_end() -> None:
    bench = Bench()
    bench.subscribe(1, ALL)
    bench.state.end()
    bench.subscribe(2, ALL + " where a == 1")
    bench.publish({"a": 1})
    bench.goodbye()
    assert [accept.unseen for accept in accepts(bench)] == [0, None]
    assert len(bench.got(2).events) == 1
