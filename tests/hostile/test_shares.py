"""No key has more of anything than is still free, so that others always find some."""

from __future__ import annotations

import json

import pytest

from mql.wire.codec import encode
from mql.wire.messages import (
    PROTOCOL,
    Alive,
    Answering,
    Connected,
    Heartbeat,
    Hello,
    Leave,
    Rejected,
    Subscribe,
    Welcome,
)
from mql.wire.upstream import Feed
from source_jobs.settings import Settings
from source_jobs.shares import Shares
from tests.source_jobs.protocol.stage import FakeClient, Stage

ROWS = "select * from requests"
BAD, GOOD = b"bad key", b"good key"


def greet(stage: Stage, peer: bytes, name: str, key: bytes) -> bool:
    """Whether an agent is welcomed."""
    hello = Hello(PROTOCOL, name, "shop", "h", 1, "1", 1, {}, ("requests",))
    frames = [bytes(frame) for frame in encode(hello)]
    sends = stage.state.from_agent(peer, frames, stage.now_us, key)
    return any(b"welcome" in bytes(send.frames[0]) for send in sends)


def test_an_agents_key_leaves_room_for_the_agents_of_others() -> None:
    """One connection took all 10,000 places, name by name: nobody else was welcomed."""
    stage = Stage(Settings("job", agents=100))
    names = [greet(stage, b"bad", f"bad {number}", BAD) for number in range(60)]
    names += [greet(stage, b"worse", f"worse {number}", BAD) for number in range(60)]
    assert sum(names) == 50
    assert all(greet(stage, b"good %d" % n, f"good {n}", GOOD) for n in range(25))
    assert greet(stage, b"bad", "bad 1", BAD), "who is known is welcome"
    stage.state.validate()


def test_a_connection_that_greets_without_end_is_not_listened_to() -> None:
    """Each time its agent was sent the texts of all queries: what is not read piles up."""
    stage = Stage()
    client = stage.client()
    client.ask(ROWS)
    agent = stage.agent("a", "requests")
    for _ in range(1_000):
        agent.hello(("requests",))
    assert len(agent.got(Subscribe)) == len(agent.got(Welcome)) < 100
    stage.pass_time(1_000)
    before = len(agent.got(Welcome))
    agent.hello(("requests",))
    assert len(agent.got(Welcome)) == before + 1


def test_a_clients_key_leaves_room_for_the_clients_queries_and_texts_of_others() -> None:
    settings = Settings("job", clients=20, queries=40, queries_per_client=30, text_bytes=2_000)
    stage = Stage(settings)
    bad = [stage.client(f"bad {number}", key=BAD) for number in range(15)]
    assert [len(client.got(Connected)) for client in bad] == [1] * 10 + [0] * 5
    (rejected,) = bad[-1].got(Rejected)
    assert "one key" in rejected.reason
    asked = [(bad[n % 10], bad[n % 10].ask(f"{ROWS} where n = {n}")) for n in range(40)]
    long = [(bad[0], bad[0].ask(f"{ROWS} where s = '{n}{'x' * 300}'")) for n in range(5)]
    stage.pass_time(100)
    assert begun(asked) == 20
    assert begun(long) == 0
    good = stage.client("good", key=GOOD)
    assert begun([(good, good.ask(f"{ROWS} where m = {n}")) for n in range(10)]) == 10
    (rejected,) = bad[0].got(Rejected, long[0][1])
    assert "one key" in rejected.reason
    for client in bad:
        client.is_alive = False
    stage.pass_time(5_000)
    bad = [stage.client("bad again", key=BAD)]
    assert begun([(bad[0], bad[0].ask(f"{ROWS} where s = '{'x' * 800}'"))]) == 1


def begun(asked: list[tuple[FakeClient, int]]) -> int:
    asked[0][0].stage.pass_time(100)
    return sum(len(client.got(Answering, request)) for client, request in asked)


def test_readers_of_one_key_that_read_nothing_leave_room_for_those_of_others() -> None:
    """Any number of them took the room for all, down to less than a piece of rows."""
    stage = Stage(Settings("job", queue_bytes=1 << 20, queued_bytes=4 << 20))
    agent = stage.agent("a", "requests")
    stalled = [stage.client(f"s {n}", credit=0, key=BAD) for n in range(40)]
    for client in stalled:
        client.ask(ROWS)
    slow = stage.client("slow", credit=0, key=GOOD)
    slow.ask(ROWS)
    stage.pass_time(100)
    agent.accept()
    (asked,) = agent.got(Subscribe)
    for number in range(60):
        agent.ship(asked, [(stage.now_ms, {"n": number, "text": "x" * 100_000})])
        stage.pass_time(20)
    room: Shares = stage.state._room
    assert room._by_key[BAD] <= 2_200_000  # half, but for what pieces take beside their rows
    assert room._by_key[GOOD] > 500_000


WAYS = {
    "rows of a window": "select text from requests where n > {} window 3600",
    "values": "select LIST(text) from requests where n > {} window 3600",
    "texts": "select MAX(text) from requests where n > {} group by n window 3600",
    "keys of groups": "select COUNT(n) from requests where n > {} group by text window 3600",
    "events to be joined": "select * from requests join others 3600 seconds on n where n > {}",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("states", [False, True])
def test_what_queries_of_one_key_hold_leaves_room_for_those_of_others(
    way: str, *, states: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them could hold 1 GiB, a thousand of them all the memory there is."""
    monkeypatch.setattr("source_jobs.query.execution._RELEASE_BYTES", 0)  # on to the operators
    stage = Stage(Settings("job", held_bytes=8 << 20))
    agent = stage.agent("a", "requests", "others")
    agent.aggregates = states
    bad, good = stage.client("bad", key=BAD), stage.client("good", key=GOOD)
    holding = [bad.ask(WAYS[way].format(-number)) for number in (1, 2, 3)]
    one = good.ask(WAYS[way].format(-4))
    stage.pass_time(100)
    agent.accept()
    for number in range(5):
        for asked in agent.got(Subscribe):
            event: dict[str, object] = {"n": number, "text": f"{number}{'x' * 400_000}"}
            agent.ship(asked, [(stage.now_ms, event)])
        stage.pass_time(50)
    ends = [bad.ended(request) for request in holding]
    failed = [ended for ended in ends if ended is not None]
    assert all(ended.failed and "of all queries" in ended.reason for ended in failed)
    assert 1 <= len(failed) < 3
    assert good.ended(one) is None
    held: Shares = stage.state.queries.held
    assert 1_600_000 < held._by_key[BAD] < 4_400_000
    assert held._by_key[GOOD] > 1_900_000
    good.show("metrics")
    assert json.loads(good.inbox[-1][1])["running"]["held_bytes"] == held.used
    for request in [one, *holding]:
        for client in (good, bad):
            client.send(Leave(request))
    assert held.used == 0
    stage.state.validate()


def test_an_alive_that_follows_at_once_is_not_answered_and_names_are_short() -> None:
    """12,000 of them, each answered with the names of 100 source jobs, took 310 MB."""
    stage = Stage()
    agent = stage.agent("a", "requests")
    feeds = tuple(Feed(f"{number:03}" + "j" * 197, "s" * 200, "i" * 200) for number in range(100))
    agent.send(Heartbeat(1, 1, feeds=feeds))
    client = stage.client()
    stage.pass_time(100)
    before = len(client.inbox)
    for _ in range(1_000):
        client.send(Alive())
    assert len(client.inbox) == before + 1
    (alive,) = client.got(Alive)
    assert len(alive.feeds) == 100
    assert len(encode(alive)[0]) < 32_000
    stage.pass_time(100)
    client.send(Alive())
    assert len(client.got(Alive)) == 2
