"""One message of one peer holds up nobody for long, and has the source job say little."""

from __future__ import annotations

import time

from mql.ledger import Tally
from mql.wire.messages import Accept, Batch, Leave, Part, Subscribe, Unknown, Unsubscribe
from source_jobs.shares import Room
from tests.source_jobs.protocol.stage import Stage

ROWS = "select * from requests"


def test_what_an_agent_was_not_asked_for_has_it_asked_once_a_second() -> None:
    """5,000 parts in 345 KB had every query asked 5,000 times: 8 s for 200 of them."""
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    requests = [client.ask(f"{ROWS} where n = {number}") for number in range(100)]
    agent.accept()
    stage.pass_time(1_500)
    query, before = client.query_of(requests[0]), len(agent.inbox)
    began = time.process_time()
    agent.send(Batch(tuple(Part(query, 63 + number, 1, 1, 0, 0) for number in range(2_000))))
    for source in range(1, 2_000):
        agent.send(Accept(query, source, stage.now_ms))
    assert time.process_time() - began < 2.0
    heard = agent.inbox[before:]
    assert [type(message) for message in heard] == [Unsubscribe, Subscribe]
    agent.accept()
    stage.pass_time(1_500)
    before = len(agent.inbox)
    agent.send(Accept(query, 63, stage.now_ms))
    assert [type(message) for message in agent.inbox[before:]] == [Unsubscribe, Subscribe]


def test_a_message_about_too_many_times_is_refused_before_they_are_added_up() -> None:
    """800 KB of tallies held up everybody for 0.6 s."""
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    request = client.ask(ROWS)
    stage.pass_time(100)
    query = client.query_of(request)
    agent.accept()
    tallies = tuple(Tally(number * 100) for number in range(60_000))
    for parts in (
        (Part(query, 0, 1, 1, 0, 0, tallies=tallies),),
        tuple(Part(query, 0, number + 1, 1, 0, 0) for number in range(6_000)),
    ):
        began = time.process_time()
        agent.send(Batch(parts))
        assert time.process_time() - began < 0.3
        assert isinstance(agent.inbox[-1], Unknown)
        agent.hello(("requests",))
    agent.accept()
    agent.send(Batch((Part(query, 0, 1, 1, 0, 0, tallies=tallies[:10_000]),)))
    assert not isinstance(agent.inbox[-1], Unknown)


def test_a_message_has_one_part_about_a_query_and_a_source() -> None:
    """4,000 of them, each valid, held up everybody for 30 ms, at each message."""
    stage = Stage()
    agent, client = stage.agent("a", "requests", "others"), stage.client()
    request = client.ask("select n from requests, others")
    stage.pass_time(100)
    agent.accept()
    query = client.query_of(request)
    agent.send(Batch(tuple(Part(query, source, 1, 1, 0, 0) for source in (0, 1))))
    assert not agent.got(Unknown)
    agent.send(Batch(tuple(Part(query, 0, 2 + number, 1, 0, 0) for number in range(2))))
    assert agent.got(Unknown) == [Unknown()]
    (running,) = stage.state.queries
    assert running.execution.reporters.all["a", 0].sequence == 1, "nothing of it was taken"


def test_slots_of_times_that_only_events_know_have_a_room_for_all_queries() -> None:
    """Each of a thousand queries could have 200,000 of them, for times that never come."""
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    queries = []
    for number in range(3):
        request = client.ask(f"{ROWS} where n = {number}", time="at")
        stage.pass_time(100)
        queries.append(client.query_of(request))
    agent.accept()
    stage.state.queries.slots = Room(900)
    for running in stage.state.queries:
        running.execution.ledger._room = stage.state.queries.slots
    far_ms = stage.now_ms + 10**9
    for query in queries:
        tallies = tuple(Tally(far_ms + 1_000 * n, filtered_out=1) for n in range(2_000))
        agent.send(Batch((Part(query, 0, 1, 1, 0, 2_000, tallies=tallies),)))
    held = [running.execution.ledger.slots for running in stage.state.queries]
    assert held[0] > held[1] > held[2] > 50
    assert all(r.execution.ledger.totals.tally.seen == 2_000 for r in stage.state.queries)
    stage.pass_time(2_000)
    stage.state.validate()
    for request in (1, 2, 3):
        client.send(Leave(request))
    assert stage.state.queries.slots.used == 0
