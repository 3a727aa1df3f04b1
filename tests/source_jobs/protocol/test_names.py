"""What agents call their streams: names without end hurt nobody else, and are counted."""

from __future__ import annotations

import json
import logging
import time
from typing import cast

import pytest

from mql.wire.codec import encode
from mql.wire.messages import (
    PROTOCOL,
    Answering,
    Catalogue,
    FieldSeen,
    Heartbeat,
    Hello,
    Look,
    Message,
    QueryCost,
    Rejected,
    Show,
    Shown,
    StreamSeen,
    Subscribe,
    Unknown,
)
from source_jobs.protocol.pages import PAGE_BYTES_MAX
from source_jobs.settings import Settings
from tests.source_jobs.protocol.stage import FakeClient, Stage

Records = list[dict[str, object]]


def pages(client: FakeClient, what: str, **more: object) -> list[Records]:
    """All pages of a list; each has its bound."""
    found: list[Records] = []
    after = ""
    for request in range(1_000, 2_000):
        client.inbox.clear()
        client.send(Show(request, what, after=after, **more))  # type: ignore[arg-type]
        client.stage.pass_time(100)
        ((shown, payload),) = [
            (message, payload)
            for message, payload in client.inbox
            if isinstance(message, Shown) and message.request == request
        ]
        records = json.loads(payload)
        assert len(payload) <= PAGE_BYTES_MAX + 2 or len(records) == 1
        found.append(records)
        after = shown.after
        if not after:
            return found
    raise AssertionError("no end")


def listed(client: FakeClient, what: str, **more: object) -> Records:
    return [record for page in pages(client, what, **more) for record in page]


def long_names(agent: int, length: int) -> list[str]:
    return [f"{agent:03} {number:04} ".ljust(length, "n") for number in range(1_000)]


@pytest.mark.parametrize("length", [900, 200])
def test_what_ten_agents_call_their_streams_costs_a_client_nothing(length: int) -> None:
    """Ten agents with 1,000 streams of 900 letters kept a source job busy for 72 s."""
    stage = Stage()
    for number in range(10):
        stage.agent(f"a{number}", *long_names(number, length))
    stage.agent("good", "requests")
    client = stage.client()
    began = time.process_time()
    wrong = client.ask(f"select * from {'n' * (length - 20)}, reqests, {'x' * 199}")
    right = client.ask("select * from requests")
    stage.pass_time(200)
    assert time.process_time() - began < 1
    (answering,) = client.got(Answering, wrong)
    assert any("did you mean `requests`?" in warning for warning in answering.warnings)
    assert client.got(Answering, right)[0].warnings == ()
    shown = {a["service"]: a for a in listed(client, "agents")}
    assert shown["shop"]["streams_left_out"] in (0, 500, 1_000)


def test_agents_without_end_leave_room_for_others_and_lists_have_pages(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """200 agents with 1,000 streams broke `streams` for all: 182 MB."""
    stage = Stage()
    with caplog.at_level(logging.WARNING):
        for number in range(200):
            stage.agent(f"a{number:03}", *long_names(number, 200))
    assert len(caplog.records) == 1
    assert "streams of 'shop@host' are left out" in caplog.text
    client = stage.client()
    shown = listed(client, "streams")
    names = [cast("str", each["stream"]) for each in shown]
    assert names == sorted(set(names))
    assert 9_000 < len(names) <= 10_000  # half of the total: other keys have the other half
    assert len(pages(client, "streams")) > 1
    agents = listed(client, "agents")
    assert len(agents) == 200
    taken = sum(len(cast("Records", a["streams"])) for a in agents)
    assert taken == len(names)
    left_out = sum(cast("int", a["streams_left_out"]) for a in agents)
    assert left_out == 200_000 - taken
    assert len(pages(client, "streams", brief=True)) < len(pages(client, "streams")) + 1


def test_each_key_and_each_agent_leaves_room_for_another() -> None:
    stage = Stage(Settings("job", stream_names=100))
    for key in (b"k1", b"k2", b"k3"):
        for number in range(5):
            name = f"{key.decode()} {number}"
            offered = tuple(f"{name} {stream}" for stream in range(100))
            hello = Hello(PROTOCOL, name, "s", "h", 1, "1", stage.now_us, {}, offered)
            peer = f"peer of {name}".encode()
            stage.state.from_agent(peer, frames(hello), stage.now_us, key)
            stage.state.validate()
    taken: dict[bytes, int] = {}
    for agent in stage.state.agents:
        taken[agent.key] = taken.get(agent.key, 0) + len(agent.streams)
    assert taken == {b"k1": 49, b"k2": 25, b"k3": 13}
    first = [len(agent.streams) for agent in stage.state.agents if agent.key == b"k1"]
    assert first == sorted(first, reverse=True)
    assert max(first) == 25


def test_names_that_others_of_the_key_offer_take_no_room() -> None:
    stage = Stage(Settings("job", stream_names=20))
    for number in range(50):
        stage.agent(f"a{number}", "one", "two", "three")
    client = stage.client()
    assert all(a["streams_left_out"] == 0 for a in listed(client, "agents"))
    assert [s["agents"] for s in listed(client, "streams")] == [50, 50, 50]


def test_room_is_given_back_when_an_agent_is_forgotten_or_greets_again() -> None:
    stage = Stage(Settings("job", stream_names=20))
    greedy = stage.agent("greedy", *map(str, range(1_000)))
    other = stage.agent("other", *map(str, range(2_000, 2_010)))
    client = stage.client()
    before = {a["agent"]: a["streams_left_out"] for a in listed(client, "agents")}
    assert before == {"greedy": 995, "other": 7}
    greedy.hello(["few"])
    other.send(Heartbeat(1, 1, streams=tuple(map(str, range(2_000, 2_010)))))
    after = {a["agent"]: a["streams_left_out"] for a in listed(client, "agents")}
    assert after["greedy"] == 0
    assert after["other"] < 7
    stage.state.validate()


def test_names_that_no_stream_has_are_passed_over_and_long_ones_of_an_agent_refused() -> None:
    stage = Stage()
    agent = stage.agent("a", "", "x" * 201, "good", "y" * 200)
    client = stage.client()
    assert [s["stream"] for s in listed(client, "streams")] == ["good", "y" * 200]
    ((shown,),) = pages(client, "agents")
    assert shown["streams_left_out"] == 2
    agent.send(Hello(PROTOCOL, "n" * 201, "s", "h", 1, "1", 1))
    assert agent.got(Unknown)
    agent.send(Hello(PROTOCOL, "n", "s", "h", 1, "1", 1, proof="p" * 201))
    assert len(agent.got(Unknown)) == 2


def test_what_is_told_of_fields_has_the_agents_own_limits() -> None:
    stage = Stage()
    agent = stage.agent("a", "requests")
    client = stage.client()
    client.send(Show(1, "streams"))
    assert agent.got(Look)
    told = [FieldSeen(f"f{n}", ("string",) * 50, "e" * 500) for n in range(500)]
    fields = (FieldSeen("p" * 2_001, ("string",)), *told)
    agent.send(
        Catalogue((StreamSeen("requests", float("nan"), fields), StreamSeen("not its own", 1.0)))
    )
    stage.tick()
    ((stream,),) = pages(client, "streams")
    assert stream["rate"] == 0
    seen = cast("Records", stream["fields"])
    assert len(seen) == 199  # the first of two hundred is too long
    assert {len(cast("str", field["example"])) for field in seen} == {100}
    assert {len(cast("list[str]", field["kinds"])) for field in seen} == {1}


def test_fields_take_no_more_room_than_there_is() -> None:
    stage = Stage(Settings("job", catalogue_bytes=100_000))
    fields = tuple(FieldSeen(f"f{n}", ("string",), "e" * 100) for n in range(200))
    for number in range(50):
        agent = stage.agent(f"a{number}", f"s{number}")
        agent.send(Catalogue((StreamSeen(f"s{number}", 1.0, fields[: 10 if number else 200]),)))
        stage.state.validate()
    shown = {s["stream"]: s["fields"] for s in listed(stage.client(), "streams")}
    assert len(cast("Records", shown["s1"])) == 10
    assert not shown["s49"]


def test_a_query_with_many_names_that_nobody_knows_costs_little() -> None:
    stage = Stage()
    for number in range(10):
        stage.agent(f"a{number}", *long_names(number, 200))
    agent = stage.agent("good", "requests")
    fields = [FieldSeen(f"e['{'k' * 180}{n:03}']['b']", ("string",)) for n in range(200)]
    agent.send(Catalogue((StreamSeen("requests", 1.0, tuple(fields)),)))
    client = stage.client()
    streams = ", ".join(f"{number:03} 0000 ".replace(" ", "_") + "n" * 190 for number in range(60))
    began = time.process_time()
    client.ask(f"select a from {', '.join('n' + s for s in streams.split(', '))}")
    wanted = ", ".join(f"e['{'k' * 150}{n}'] as c{n}" for n in range(300))
    request = client.ask(f"select {wanted} from requests")
    stage.pass_time(200)
    cost_s = time.process_time() - began
    (answering,) = client.got(Answering, request)
    assert len(answering.warnings) == 20
    assert cost_s < 2


def test_a_page_is_as_long_as_is_wanted_and_the_next_one_follows_it() -> None:
    stage = Stage()
    for number in range(5):
        stage.agent(f"a{number}", f"s{number}", f"t{number}", service=f"service {number % 2}")
    client = stage.client()
    for number in range(5):
        client.ask(f"select * from s{number}")
    for what, key, size in (
        ("agents", "agent", 5),
        ("streams", "stream", 10),
        ("queries", "query", 5),
    ):
        found = pages(client, what, limit=2)
        assert [len(page) for page in found] == [2] * (size // 2) + [1] * (size % 2)
        keys = [record[key] for page in found for record in page]
        assert len(set(map(str, keys))) == size
        assert keys == [record[key] for record in listed(client, what)]
    for after in ("-1", "x", "9" * 400, "\u0663"):
        client.inbox.clear()
        client.send(Show(7, "queries", after=after, limit=-1))
        ((_, payload),) = client.inbox
        assert len(json.loads(payload)) == 5


def test_words_about_a_query_are_cut() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    client.ask("select * from requests")
    (asked,) = agent.got(Subscribe)
    agent.send(Heartbeat(1, 1, costs=(QueryCost(asked.query, 0, screen="w" * 100_000),)))
    ((query,),) = pages(client, "queries")
    assert "w" * 500 in str(query["agents"])
    assert "w" * 501 not in str(query["agents"])


def frames(message: Message) -> list[bytes]:
    return [bytes(frame) for frame in encode(message)]


def test_patterns_of_what_an_asker_may_be_told_are_held_against_few_names() -> None:
    """A hundred of them against ten thousand names took 3.5 s, for one query."""
    stage = Stage()
    for number in range(10):
        stage.agent(f"a{number}", *("a" * 190 + f"{number:03}{n:04}" for n in range(1_000)))
    stage.agent("good", "a" * 190 + "_known")
    client, word = stage.client(), "a" * 190 + "_know"
    patterns = tuple("*aa" * 2 + f"b{number}" for number in range(99))
    began = time.process_time()
    hidden = client.ask(f"select * from {word}x", knows=(*patterns, "b*"))
    shown = client.ask(f"select * from {word}y", knows=(*patterns, "*_known"))
    stage.pass_time(200)
    assert time.process_time() - began < 0.5
    for request, hint in ((hidden, False), (shown, True)):
        (answering,) = client.got(Answering, request)
        assert ("_known`?" in answering.warnings[0]) is hint
    request = client.ask("select * from b", knows=("*" * 201,))
    assert client.got(Rejected, request)
