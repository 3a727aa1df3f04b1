"""Who has no key on the right list can neither read nor inject; who loses it, loses both."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mql.ledger import Tally
from mql.wire.codec import to_agents, to_clients
from mql.wire.messages import (
    Accept,
    Alive,
    Answer,
    Batch,
    Connected,
    Heartbeat,
    Part,
    Subscribe,
    Unknown,
    Welcome,
)
from publish_agent import Agent
from source_jobs.client.client import Client, connect
from source_jobs.client.items import SourceJobError
from source_jobs.job import SourceJob
from tests.hostile.peers import ANY_PORT, CONNECT, Keys, Raw, Tap, ask, hello
from tests.live.support import publishing, until

pytestmark = pytest.mark.timeout(60)

TOLD = "the quick brown payload"
QUERY = "select * from requests"
STREAMS: dict[str, Callable[[int], object]] = {"requests": lambda number: {"n": number, "s": TOLD}}


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def names(job: SourceJob) -> list[str]:
    return [agent.service for agent in list(job.state.agents)]


def rows_of(client: Client) -> list[dict[str, object]]:
    """The rows of the first piece that has some."""
    with client.subscribe(QUERY) as answer:
        while True:
            piece = answer.get(timeout_s=10)
            assert piece is not None
            if rows := piece.rows():
                return rows


def heard_by_agent(raw: Raw, within_s: float = 0.5) -> list[object]:
    return [to_agents().decode(frames)[0] for frames in raw.hears(within_s)]


def heard_by_client(raw: Raw, within_s: float = 0.5) -> list[object]:
    return [to_clients().decode(frames)[0] for frames in raw.hears(within_s)]


@pytest.mark.parametrize("who", ["no key", "unlisted", "the other list", "a wrong server key"])
def test_who_is_not_on_the_list_of_a_side_hears_nothing_and_is_not_heard(
    keys: Keys, who: str
) -> None:
    """Tried on both sides while events flow and an answer is read by somebody who may."""
    service, person = keys.make("service", keys.agents), keys.make("person", keys.clients)
    stranger = keys.make("stranger")
    as_agent = {"no key": None, "unlisted": stranger, "the other list": person}.get(who, service)
    as_client = {"no key": None, "unlisted": stranger, "the other list": service}.get(who, person)
    server = keys.make("another") if who == "a wrong server key" else keys.job
    own = {"key": str(service), "server_key": str(keys.own / "job.key")}
    with keys.serve() as job, publishing(job, "shop", STREAMS, **own):
        with Raw(job.agents_address, as_agent, server) as bad_agent:
            with Raw(job.clients_address, as_client, server) as bad_client:
                bad_agent.say(hello("stranger"))
                bad_agent.say(Heartbeat(1, 1, streams=("requests",)))
                bad_client.say(CONNECT)
                bad_client.say(ask(QUERY))
                with connect(job.clients_address, key=person, server_key=keys.own / "job.key") as c:
                    assert rows_of(c)[0]["s"] == TOLD
                    assert {a["service"] for a in c.agents()} == {"shop"}
                    assert [q["users"] for q in c.queries() if q["users"] == ["nobody"]] == []
                assert bad_agent.hears(0.3) == []
                assert bad_client.hears(0.3) == []
        assert names(job) == ["shop"]


def test_a_client_whose_key_is_revoked_gets_nothing_more(keys: Keys) -> None:
    service, person = keys.make("service", keys.agents), keys.make("person", keys.clients)
    own = {"key": str(service), "server_key": str(keys.own / "job.key")}
    with keys.serve() as job, publishing(job, "shop", STREAMS, **own):
        with Raw(job.clients_address, person, keys.job) as reader:
            reader.say(CONNECT)
            reader.say(ask(QUERY))
            assert any(isinstance(m, Answer) for m in heard_by_client(reader, 2))
            keys.revoke("person", keys.clients)
            until(lambda: not list(job.state.sessions))
            assert reader.was_cut
            reader.hears(0.3)  # what was on its way
            with Raw(job.clients_address, person, keys.job) as again:
                for raw in (reader, again):
                    raw.say(CONNECT)
                    raw.say(ask(QUERY, 2))
                    assert raw.hears(0.5) == []
            assert not list(job.state.queries)
            assert not list(job.state.sessions)


def test_an_agent_whose_key_is_revoked_injects_nothing_more(keys: Keys) -> None:
    service, person = keys.make("service", keys.agents), keys.make("person", keys.clients)
    with keys.serve() as job, Raw(job.agents_address, service, keys.job) as agent:
        agent.say(hello("raw"))
        with connect(job.clients_address, key=person, server_key=keys.own / "job.key") as client:
            until(lambda: names(job) == ["raw"])
            answer = client.subscribe("select count(*) as n from requests window 0.2")
            heard = heard_by_agent(agent)
            (asked,) = [m for m in heard if isinstance(m, Subscribe)][:1]
            assert any(isinstance(m, Welcome) for m in heard)
            agent.say(Accept(asked.query, asked.source, time.time_ns() // 1_000_000))
            keys.revoke("service", keys.agents)
            until(lambda: not names(job))
            now_ms = time.time_ns() // 1_000_000
            tally = Tally(now_ms, filtered_out=9)
            part = Part(asked.query, asked.source, 1, now_ms, 0, 9, (tally,))
            with Raw(job.agents_address, service, keys.job) as again:
                for raw in (agent, again):
                    raw.say(hello("raw"))
                    raw.say(Batch((part,)))
                    assert heard_by_agent(raw, 0.4) == []
            assert not names(job)
            answer.close()
            assert job.state.agents.errors == 0


def test_a_key_that_comes_to_the_list_is_let_in_and_others_are_not_disturbed(keys: Keys) -> None:
    service = keys.make("service", keys.agents)
    person = keys.make("person", keys.clients)
    late = keys.make("late")
    own = {"key": str(service), "server_key": str(keys.own / "job.key")}
    server = keys.own / "job.key"
    with keys.serve() as job, publishing(job, "shop", STREAMS, **own):
        with connect(job.clients_address, key=person, server_key=server) as client:
            with client.subscribe("select count(*) as n from requests window 0.1") as answer:
                with pytest.raises(SourceJobError):
                    connect(job.clients_address, key=late, server_key=server, timeout_s=0.5)
                (keys.clients / "late.key").write_bytes((keys.own / "late.key").read_bytes())
                (keys.clients / "junk.key").write_text("no key")
                with connect(job.clients_address, key=late, server_key=server, timeout_s=5) as one:
                    assert rows_of(one)
                keys.revoke("late", keys.clients)
                time.sleep(1.2)
                while (piece := answer.get(timeout_s=0.5)) and not piece.closes:
                    pass
                assert piece is not None
                assert piece.gap is None


def test_an_agent_that_was_refused_comes_in_once_its_key_is_on_the_list(keys: Keys) -> None:
    service = keys.make("service")
    own = {"key": str(service), "server_key": str(keys.own / "job.key")}
    with keys.serve() as job, publishing(job, "shop", STREAMS, **own):
        time.sleep(0.5)
        assert names(job) == []
        (keys.agents / "service.key").write_bytes((keys.own / "service.key").read_bytes())
        until(lambda: names(job) == ["shop"])


def test_an_agents_name_is_its_own(keys: Keys) -> None:
    """With the same key, another one, and on the connection of the owner itself."""
    first, second = keys.make("first", keys.agents), keys.make("second", keys.agents)
    with keys.serve() as job:
        with Raw(job.agents_address, first, keys.job) as owner:
            owner.say(hello("a1", "its proof"))
            assert any(isinstance(m, Welcome) for m in heard_by_agent(owner))
            for secret, proof in ((first, ""), (first, "a guess"), (second, "its proof")):
                with Raw(job.agents_address, secret, keys.job) as thief:
                    thief.say(hello("a1", proof))
                    assert heard_by_agent(thief) == [Unknown()]
            owner.say(Heartbeat(1, 1, streams=("requests",)))
            assert Unknown() not in heard_by_agent(owner)
            with Raw(job.agents_address, first, keys.job) as reconnected:
                reconnected.say(hello("a1", "its proof"))
                assert any(isinstance(m, Welcome) for m in heard_by_agent(reconnected))


def test_a_client_cannot_end_what_another_one_with_its_name_asks(keys: Keys) -> None:
    first, second = keys.make("first", keys.clients), keys.make("second", keys.clients)
    with keys.serve() as job, Raw(job.clients_address, first, keys.job) as owner:
        owner.say(CONNECT)
        assert any(isinstance(m, Connected) for m in heard_by_client(owner))
        with Raw(job.clients_address, second, keys.job) as other:
            other.say(CONNECT)
            assert any(isinstance(m, Connected) for m in heard_by_client(other))
        owner.say(Alive())
        assert heard_by_client(owner) == [Alive()]


def test_payloads_are_readable_on_a_plain_wire_and_not_on_an_encrypted_one(keys: Keys) -> None:
    """The capture that shows it: all bytes between agent, source job and client, both ways."""
    service, person = keys.make("service", keys.agents), keys.make("person", keys.clients)
    with SourceJob(ANY_PORT, ANY_PORT) as job:
        agents, clients = capture(job, {}, {})
    for seen in (agents, clients):
        assert TOLD.encode() in seen
        assert b"requests" in seen
    own = {"server_key": str(keys.own / "job.key")}
    with keys.serve() as job:
        agents, clients = capture(job, {"key": str(service), **own}, {"key": str(person), **own})
    for seen in (agents, clients):
        assert len(seen) > 1_000
        assert b"CURVE" in seen
        for readable in (TOLD.encode(), b"requests", b"select", b"shop", b"hello"):
            assert readable not in seen


def capture(
    job: SourceJob, of_agent: dict[str, str], of_client: dict[str, str]
) -> tuple[bytes, bytes]:
    """Ask for events with a known text in them; the bytes on either wire."""
    with Tap(job.agents_address) as agents, Tap(job.clients_address) as clients:
        agent = Agent(service="shop", source_jobs=[agents.address], **of_agent)
        requests = agent.stream("requests")
        with connect(clients.address, timeout_s=5, **of_client) as client:  # type: ignore[arg-type]
            with client.subscribe(QUERY) as answer:
                end = time.monotonic() + 10
                rows: list[dict[str, object]] = []
                while not rows and time.monotonic() < end:
                    requests.publish({"s": TOLD})
                    piece = answer.get(timeout_s=0.02)
                    rows = [] if piece is None else piece.rows()
        agent.close()
        assert rows
        assert rows[0]["s"] == TOLD
        return agents.bytes, clients.bytes
