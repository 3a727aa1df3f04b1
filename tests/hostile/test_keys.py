"""Who has no key on the right list can neither read nor inject; who loses it, loses both."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import pytest

from mql.ledger import Completeness, Tally
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
from publish_agent import agent as agent_module
from publish_agent.runtime import worker
from publish_agent.runtime.host_notes import Notes
from source_jobs.client.actions import SourceJobError
from source_jobs.client.client import Client, connect
from source_jobs.client.subscription import Subscription
from source_jobs.job import SourceJob
from source_jobs.sources.source_job import JobSource
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
    """The services that are there; one that was cut off is expected, and is not among them."""
    return [agent.service for agent in list(job.state.agents) if not agent.has_vanished]


def rows_of(client: Client) -> list[dict[str, object]]:
    """The rows of the first piece that has some."""
    with client.subscribe(QUERY) as answer:
        while True:
            piece = answer.get(timeout_s=10)
            assert piece is not None
            if rows := piece.rows():
                return rows


def next_windows(answer: Subscription, from_ms: int) -> list[Completeness]:
    """What is known of the first windows that begin after a time."""
    known = (piece.completeness for piece in answer)
    return list(islice((each for each in known if each and each.start_ms >= from_ms), 3))


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
            told = next_windows(answer, now_ms)
            assert {(known.expected, known.missing) for known in told} == {(1, ("raw@host",))}
            assert {(known.reported, known.tally.seen) for known in told} == {(0, 0)}
            assert {known.exactness for known in told} == {"lower bound"}, "it may still publish"
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
        owner.say(Alive(sent_us=7))
        (answer,) = heard_by_client(owner)
        assert isinstance(answer, Alive), "it is the owner's connection still"
        assert (answer.echo_us, answer.feeds) == (7, ())
        assert answer.sent_us >= answer.received_us > 0


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


def said(caplog: pytest.LogCaptureFixture, logger: str, words: str = "refused by key") -> list[str]:
    return [r.message for r in caplog.records if r.name.startswith(logger) and words in r.message]


@pytest.mark.usefixtures("fresh_notes")
def test_both_sides_say_once_that_an_agent_is_refused_by_key(
    keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    """An agent with an unlisted key said nothing for as long as it ran, and nor did the job."""
    service = keys.make("service")
    own = {"key": str(service), "server_key": str(keys.own / "job.key")}
    with keys.serve() as job, publishing(job, "shop", STREAMS, **own):
        until(lambda: said(caplog, "publish_agent") and said(caplog, "source_jobs"))
        time.sleep(3)  # it tries again after two seconds
        assert len(said(caplog, "publish_agent")) == 1
        assert len(said(caplog, "source_jobs")) == 1
        assert job.agents_address in said(caplog, "publish_agent")[0]
        (keys.agents / "service.key").write_bytes((keys.own / "service.key").read_bytes())
        until(lambda: names(job) == ["shop"])
        keys.revoke("service", keys.agents)
        until(lambda: len(said(caplog, "source_jobs")) == 2)


@pytest.mark.usefixtures("fresh_notes")
@pytest.mark.parametrize("what", ["no key", "another server"])
def test_an_agent_whose_keys_do_not_fit_says_so_once(
    keys: Keys, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    service = keys.make("service", keys.agents)
    keys.make("another")
    own = {"key": str(service), "server_key": str(keys.own / "another.key")}
    with keys.serve() as job, publishing(job, "shop", STREAMS, **(own if what != "no key" else {})):
        until(lambda: said(caplog, "publish_agent", "wants keys"))
        time.sleep(2)
        assert len(said(caplog, "publish_agent", "wants keys")) == 1


def test_a_client_whose_key_is_refused_or_revoked_is_told(keys: Keys) -> None:
    """It only heard that the source job was gone."""
    person, stranger = keys.make("person", keys.clients), keys.make("stranger")
    server = keys.own / "job.key"
    with keys.serve() as job:
        with pytest.raises(SourceJobError, match="refused by key"):
            connect(job.clients_address, key=stranger, server_key=server)
        with connect(job.clients_address, key=person, server_key=server) as client:
            assert isinstance(client, Client)
            client.subscribe(QUERY)
            assert client.refused == ""
            keys.revoke("person", keys.clients)
            until(lambda: client.refused and not client.connected)
            with pytest.raises(SourceJobError, match="refused by key"):
                client.agents()
            (keys.clients / "person.key").write_bytes((keys.own / "person.key").read_bytes())
            until(lambda: client.connected)
            assert client.refused == ""


def test_the_answer_of_a_source_job_that_refuses_is_said_to_wait(
    keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    person, server = keys.make("person", keys.clients), keys.own / "job.key"
    with keys.serve() as job:
        address = job.clients_address
        with JobSource(address, QUERY, "s", lambda *_: None, key=person, server_key=server) as own:
            until(lambda: own.started and list(job.state.sessions))
            keys.revoke("person", keys.clients)
            until(lambda: said(caplog, "source_jobs", "the source of s waits"))
            time.sleep(1.5)
            (line,) = said(caplog, "source_jobs", "the source of s waits")
            assert "the source of s waits: refused by key" in line


@pytest.fixture
def fresh_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agents of other tests may have said the same within the last minute."""
    for module in (worker, agent_module):
        monkeypatch.setattr(module, "NOTES", Notes())


GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + bytes(32)
"""A handshake's first bytes; the rest never comes."""


def half_open(address: str, number: int) -> Iterator[socket.socket]:
    """Connections that begin a greeting and never end it."""
    port = int(address.rpartition(":")[2])
    for _ in range(number):
        made = socket.create_connection(("127.0.0.1", port))
        made.sendall(GREETING)
        yield made


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_of_those_who_do_not_say_who_they_are_there_are_no_more_than_so_many(
    keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten thousand of them took 13 KiB each, for as long as they came."""
    service, person = keys.make("service", keys.agents), keys.make("person", keys.clients)
    with keys.serve(strangers_max=50) as job:
        with Raw(job.agents_address, service, keys.job) as early:
            early.say(hello("early"))
            until(lambda: names(job) == ["raw"])
            before = descriptors()
            with ExitStack() as opened:
                for made in half_open(job.agents_address, 300):
                    opened.enter_context(made)
                with connect(job.clients_address, key=person, server_key=keys.own / "job.key"):
                    pass
                late = opened.enter_context(Raw(job.agents_address, service, keys.job))
                late.say(hello("late"))
                assert any(isinstance(m, Welcome) for m in heard_by_agent(late, 2))
                until(lambda: said(caplog, "source_jobs", "had not said who they are"), 1)
                until(lambda: descriptors() <= before + 300 + 50 + 40)
                time.sleep(2.5)
                until(lambda: descriptors() <= before + 300 + 40)  # ZeroMQ gave up the others
                early.say(hello("early"))
                assert any(isinstance(m, Welcome) for m in heard_by_agent(early, 2))
    assert len(said(caplog, "source_jobs", "had not said who they are")) == 1
