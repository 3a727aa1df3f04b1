"""What a client may ask for beside answers, and what it is told before one."""

from __future__ import annotations

import json

from mql.wire.messages import (
    Alive,
    Answering,
    Batch,
    Beat,
    Catalogue,
    Connected,
    Credit,
    FieldSeen,
    Heartbeat,
    Look,
    Part,
    QueryCost,
    Rejected,
    Shown,
    StreamSeen,
    Subscribe,
    Unknown,
    Welcome,
)
from source_jobs.settings import Settings
from tests.source_jobs.protocol.stage import FakeAgent, FakeClient, Stage


def shown(client: FakeClient, request: int) -> object:
    (payload,) = [
        payload
        for message, payload in client.inbox
        if isinstance(message, Shown) and message.request == request
    ]
    return json.loads(payload)


def look(agent: FakeAgent) -> None:
    fields = (
        FieldSeen("status", ("int",), "200"),
        FieldSeen("user", ("object",)),
        FieldSeen("e['user']['id']", ("string",), '"u1"'),
        FieldSeen("items", ("list",)),
    )
    agent.send(Catalogue((StreamSeen("requests", 12.5, fields),)))


def test_a_query_that_is_wrong_is_rejected_with_its_place_and_a_hint() -> None:
    client = Stage().client()
    request = client.ask("select count(*) from requests")
    (rejected,) = client.got(Rejected, request)
    assert rejected.is_query
    assert (rejected.line, rejected.column, rejected.start, rejected.end) == (1, 8, 7, 12)
    assert rejected.hint == "add a window, such as `window 10`"


NO_FROM = "a live query names its stream, and this one has no `from`"


def test_a_query_without_a_stream_is_rejected_with_those_that_there_are() -> None:
    stage = Stage()
    client = stage.client()
    asked = [client.ask("select a")]
    stage.agent("a", "requests", "shop orders")
    stage.agent("b", "requests", "x" * 100)
    asked += [client.ask("select a where b > 1"), client.ask("select a", knows=("req*", "p*"))]
    asked += [client.show("explain", "select a")]
    refused = [rejected for request in asked for rejected in client.got(Rejected, request)]
    assert {(r.reason, r.line, r.column, r.start, r.is_query) for r in refused} == {
        (NO_FROM, 1, 9, 8, True)
    }
    assert [r.hint for r in refused] == [
        "no agent offers a stream at this moment",
        "add `from` and one of requests, 'shop orders' and 1 more",
        "add `from requests`",
        "add `from` and one of requests, 'shop orders' and 1 more",
    ]


def test_of_very_many_streams_some_are_named_and_the_others_counted() -> None:
    stage = Stage()
    stage.agent("a", *(f"s{number:04}" for number in range(1_000)))
    stage.agent("b", *(f"t{number:04}" for number in range(500)))
    client = stage.client()
    (of_all,) = client.got(Rejected, client.ask("select a"))
    names = ", ".join(f"s{number:04}" for number in range(10))
    assert of_all.hint == f"add `from` and one of {names} and 1,490 more"
    (of_one,) = client.got(Rejected, client.ask("select a", knows=("s*7",)))
    assert of_one.hint.endswith(" s0097 and 90 more")


def test_what_only_vanished_agents_offered_is_not_named() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    stage.agent("b", "payments")
    agent.is_alive = False
    stage.pass_time(4_000)
    (rejected,) = client.got(Rejected, client.ask("select a"))
    assert rejected.hint == "add `from payments`"


def test_names_that_nobody_has_seen_are_warned_about_with_what_they_may_mean() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    known = client.ask(
        "select status, e['user']['id'], items, e['items'][0]['x'], e['_agent']['host'], user"
        " from requests"
    )
    unknown = client.ask("select statu, e['user']['name'] from requests")
    stream = client.ask("select a from request")
    assert not client.got(Answering, known), "it waits for what the agent has seen"
    assert len(agent.got(Look)) == 1
    look(agent)
    stage.tick()
    (one,), (two,), (three,) = (client.got(Answering, r) for r in (known, unknown, stream))
    assert one.warnings == ()
    assert two.warnings == (
        "no agent has seen the field `statu`; did you mean `status`?",
        "no agent has seen the field `e['user']['name']`; did you mean `e['user']['id']`?",
    )
    assert three.warnings == ("no agent publishes `request`; did you mean `requests`?",)


def test_an_agent_that_does_not_say_what_it_saw_delays_no_answer() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    request = client.ask("select n from requests")
    agent.accept()
    agent.ship(agent.got(Subscribe)[0], [(stage.now_ms, {"n": 1})])
    stage.tick()
    assert client.inbox[1:] == []
    stage.pass_time(80)
    assert isinstance(client.inbox[1][0], Answering)
    assert client.rows(request) == [{"n": 1}]


def test_streams_are_shown_with_what_agents_have_seen_of_them() -> None:
    stage = Stage()
    client = stage.client()
    agents = [stage.agent(name, "requests", service=name) for name in "ab"]
    request = client.show("streams")
    look(agents[0])
    stage.tick()
    assert not client.got(Shown)
    look(agents[1])
    stage.tick()
    (stream,) = shown(client, request)  # type: ignore[misc]
    assert (stream["stream"], stream["agents"], stream["rate"]) == ("requests", 2, 25.0)
    assert stream["services"] == ["a", "b"]
    assert {"path": "status", "kinds": ["int"], "example": "200"} in stream["fields"]


def test_agents_and_queries_are_shown() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    asked = client.ask("select n from requests")
    stage.pass_time(100)
    agent.accept()
    cost = QueryCost(1, 0, tested=5, candidates=2, screen="def screen")
    agent.send(Heartbeat(stage.now_us, stage.now_ms, 2_000, 3_000, 7, (), (cost,)))
    agent.ship(agent.got(Subscribe)[0], [(stage.now_ms, {"n": 1})])
    stage.tick()
    (seen,) = shown(client, client.show("agents"))  # type: ignore[misc]
    assert (seen["service"], seen["host"], seen["streams"]) == ("shop", "host", ["requests"])
    assert (seen["offset_ms"], seen["lag_ms"], seen["dropped"]) == (2.0, 3.0, 7)
    assert (seen["queries"], seen["gone"], seen["errors"]) == ([1], False, 0)
    (query,) = shown(client, client.show("queries"))  # type: ignore[misc]
    assert (query["query"], query["text"]) == (client.query_of(asked), "select n from requests")
    assert (query["users"], query["subscribers"], query["rows"]) == (["user c"], 1, 1)
    (costs,) = query["agents"]
    assert (costs["name"], costs["state"]) == ("shop@host", "runs")
    assert costs["cost"]["tested"] == 5


def test_a_plan_is_shown_with_what_it_does_in_each_agent() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    text = "select n from requests where n > 1"
    before = shown(client, client.show("explain", text))
    assert before["agents"] == [{"agent": "a", "name": "shop@host", "state": "not asked"}]  # type: ignore[call-overload,index]
    assert "filter n > 1" in before["plan"]  # type: ignore[call-overload,index]
    client.ask(text)
    agent.accept()
    agent.send(Heartbeat(stage.now_us, stage.now_ms, costs=(QueryCost(1, 0, tested=9),)))
    after = shown(client, client.show("explain", text))
    assert after["query"] == 1  # type: ignore[call-overload,index]
    assert after["agents"][0]["cost"]["tested"] == 9  # type: ignore[call-overload,index]
    wrong = client.show("explain", "select")
    assert client.got(Rejected, wrong)[0].is_query


def test_a_query_is_cancelled_for_all_who_asked_it() -> None:
    stage = Stage()
    one, two = stage.client("1"), stage.client("2")
    first, second = one.ask("select n from requests"), two.ask("select n from requests")
    stage.pass_time(100)
    request = two.send_cancel(1)
    stage.tick()
    assert shown(two, request) == {"cancelled": 1, "subscribers": 2}
    ends = one.ended(first), two.ended(second)
    assert [(end.reason, end.failed) for end in ends if end] == [("cancelled by user 2", False)] * 2
    again = two.send_cancel(1)
    assert two.got(Rejected, again)[0].reason == "no query 1 is running"


def test_who_has_not_connected_is_told_so() -> None:
    stage = Stage()
    client = FakeClient(stage, b"x", "x")
    stage.clients[b"x"] = client
    client.send(Alive())
    assert client.got(Unknown)
    agent = FakeAgent(stage, "y", "shop")
    stage.agents[agent.peer] = agent
    agent.send(Heartbeat(stage.now_us, stage.now_ms))
    assert agent.got(Unknown)


def test_hello_and_heartbeats_are_answered_with_both_clocks() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    (welcome,) = agent.got(Welcome)
    assert (welcome.job, welcome.hello_us, welcome.received_us) == (
        "job",
        stage.now_us,
        stage.now_us,
    )
    agent.send(Heartbeat(123, 0))
    assert agent.got(Beat) == [Beat(123, stage.now_us, stage.now_us)]
    assert client.got(Connected)[0].job == "job"


def test_credit_goes_back_to_an_agent_as_its_payloads_come() -> None:
    stage = Stage(Settings("job", agent_credit=1_000))
    agent = stage.agent("a", "requests")
    for number in range(1, 11):
        agent.send(Batch((Part(99, 0, number, 0, 0, 0),)), b"x" * 100)
    assert sum(credit.size for credit in agent.got(Credit)) == 900


def test_an_agent_is_asked_about_a_stream_when_it_offers_it() -> None:
    stage = Stage()
    agent, client = stage.agent("a"), stage.client()
    client.ask("select * from clicks, requests")
    assert not agent.got(Subscribe)
    agent.send(Heartbeat(stage.now_us, stage.now_ms, streams=("requests",)))
    agent.send(Heartbeat(stage.now_us, stage.now_ms, streams=("requests", "clicks")))
    asked = [(each.query, each.source, each.stream) for each in agent.got(Subscribe)]
    assert asked == [(1, 1, "requests"), (1, 0, "clicks")]
