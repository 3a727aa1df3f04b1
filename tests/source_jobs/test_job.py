"""The source job with real sockets: it binds, answers, and lets in whom it should."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
import zmq.auth

from mql.wire.codec import encode, to_agents, to_clients
from mql.wire.messages import (
    PROTOCOL,
    Answer,
    Answering,
    Ask,
    Connect,
    Connected,
    Hello,
    Message,
    Subscribe,
    ToAgent,
    ToClient,
    Unsubscribe,
    Welcome,
)
from source_jobs.job import SourceJob
from source_jobs.security.addresses import check_addresses
from source_jobs.security.keys import load_pair

ANY = "tcp://127.0.0.1:*"

pytestmark = pytest.mark.timeout(30)


class Dealers:
    """Makes sockets that are connected, and closes them in the end."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._made: list[zmq.Socket[bytes]] = []

    def __call__(self, address: str, keys: tuple[Path, Path] | None = None) -> zmq.Socket[bytes]:
        """`keys` are its own secret file and the server's public one."""
        socket = self._context.socket(zmq.DEALER)
        self._made.append(socket)
        socket.rcvtimeo = 5_000
        if keys is not None:
            socket.curve_publickey, secret = zmq.auth.load_certificate(keys[0])
            assert secret
            socket.curve_secretkey = secret
            socket.curve_serverkey = zmq.auth.load_certificate(keys[1])[0]
        socket.connect(address)
        return socket

    def close(self) -> None:
        for socket in self._made:
            socket.close(0)
        self._context.term()


@pytest.fixture
def dealer() -> Iterator[Dealers]:
    made = Dealers()
    yield made
    made.close()


def say(socket: zmq.Socket[bytes], message: Message) -> None:
    socket.send_multipart(encode(message))


def agent_hears(socket: zmq.Socket[bytes]) -> ToAgent:
    return to_agents().decode(socket.recv_multipart())[0]


def client_hears(socket: zmq.Socket[bytes]) -> ToClient:
    return to_clients().decode(socket.recv_multipart())[0]


def hello(name: str) -> Hello:
    now_us = time.time_ns() // 1000
    return Hello(PROTOCOL, name, "shop", "host", 1, "1", now_us, {}, ("requests",))


CONNECT = Connect(PROTOCOL, "c", "me", "1", 1 << 20)


def test_agents_and_clients_come_together(dealer: Dealers) -> None:
    with SourceJob(ANY, ANY) as job:
        agent = dealer(job.agents_address)
        client = dealer(job.clients_address)
        say(agent, hello("a"))
        assert isinstance(agent_hears(agent), Welcome)
        say(client, CONNECT)
        assert isinstance(client_hears(client), Connected)
        say(client, Ask(1, "select count(*) from requests window 0.1"))
        heard = [agent_hears(agent), agent_hears(agent)]
        (asked,) = [message for message in heard if isinstance(message, Subscribe)]
        assert asked.stream == "requests"
        assert isinstance(client_hears(client), Answering)
        answer = client_hears(client)
        assert isinstance(answer, Answer)
        assert answer.completeness
        client.close(0)  # so the query ends in the agents
        heard = [agent_hears(agent)]
        while isinstance(heard[-1], Subscribe):  # it is asked again, having said nothing
            heard.append(agent_hears(agent))
        assert isinstance(heard[-1], Unsubscribe)


def test_a_job_that_has_stopped_frees_its_ports() -> None:
    with SourceJob(ANY, ANY) as job:
        agents, clients = job.agents_address, job.clients_address
        with pytest.raises(OSError, match="cannot listen at"):
            SourceJob(agents, ANY)
    SourceJob(agents, clients).start().stop()


def test_a_job_that_has_stopped_still_says_where_it_was() -> None:
    with SourceJob(ANY, ANY) as job:
        addresses = job.agents_address, job.clients_address
    assert (job.agents_address, job.clients_address) == addresses


def make_keys(directory: Path, name: str) -> tuple[Path, Path]:
    directory.mkdir(exist_ok=True)
    public, secret = zmq.auth.create_certificates(directory, name)
    Path(secret).chmod(0o600)
    return Path(public), Path(secret)


def test_only_those_on_the_allow_lists_get_in(dealer: Dealers, tmp_path: Path) -> None:
    job_public, job_secret = make_keys(tmp_path / "job", "job")
    _, agent_secret = make_keys(tmp_path / "agents", "agent")
    _, client_secret = make_keys(tmp_path / "clients", "client")
    with SourceJob(
        ANY,
        ANY,
        keys=load_pair(job_secret),
        allow_agents=tmp_path / "agents",
        allow_clients=tmp_path / "clients",
    ) as job:
        for keys in [None, (client_secret, job_public), (agent_secret, agent_secret)]:
            stranger = dealer(job.agents_address, keys)
            stranger.rcvtimeo = stranger.sndtimeo = 300  # once refused it cannot even send
            with pytest.raises(zmq.Again):  # noqa: PT012 - whichever of the two
                say(stranger, hello("stranger"))
                stranger.recv_multipart()
            stranger.close(0)
        agent = dealer(job.agents_address, (agent_secret, job_public))
        say(agent, hello("a"))
        assert isinstance(agent_hears(agent), Welcome)
        client = dealer(job.clients_address, (client_secret, job_public))
        say(client, CONNECT)
        assert isinstance(client_hears(client), Connected)


def test_without_keys_it_listens_to_this_machine_only() -> None:
    for address in ["tcp://*:*", "tcp://0.0.0.0:*", "tcp://10.0.0.1:7766", "tcp://[::]:7766"]:
        with pytest.raises(ValueError, match="without keys anybody"):
            SourceJob(address, ANY)
        with pytest.raises(ValueError, match="without keys anybody"):
            SourceJob(ANY, address)
    SourceJob("tcp://*:*", ANY, insecure=True).start().stop()


def test_keys_need_allow_lists_and_allow_lists_need_keys(tmp_path: Path) -> None:
    wide = ("tcp://*:1", "tcp://*:2")
    check_addresses(wide, "keys", (tmp_path, tmp_path), insecure=False)
    with pytest.raises(ValueError, match="keys need an allow-list"):
        check_addresses(wide, "keys", (tmp_path, None), insecure=False)
    with pytest.raises(ValueError, match="is not a directory"):
        check_addresses(wide, "keys", (tmp_path, tmp_path / "none"), insecure=False)
    with pytest.raises(ValueError, match="needs keys"):
        check_addresses((ANY, ANY), None, (tmp_path, None), insecure=False)
    with pytest.raises(ValueError, match="is not insecure"):
        check_addresses(wide, "keys", (tmp_path, tmp_path), insecure=True)


def test_junk_from_the_network_stops_nobody(dealer: Dealers) -> None:
    with SourceJob(ANY, ANY) as job:
        for address in (job.agents_address, job.clients_address):
            junk = dealer(address)
            for frames in ([b""], [b"\x01\xff"], [b"a"] * 9, [b"x" * 2_000_000]):
                junk.send_multipart(frames)
            junk.recv_multipart()
            junk.close(0)
        client = dealer(job.clients_address)
        say(client, CONNECT)
        assert isinstance(client_hears(client), Connected)


def test_a_job_that_never_ran_frees_its_ports_when_it_is_stopped() -> None:
    job = SourceJob(ANY, ANY)
    agents, clients = job.agents_address, job.clients_address
    job.stop()
    job.stop()
    job.run()  # which has nothing to serve any more
    again = SourceJob(agents, clients)
    again.start().stop()
    again.stop()
    with SourceJob(agents, clients) as last:
        assert last.agents_address == agents


def test_a_job_with_keys_that_never_ran_leaves_no_thread(tmp_path: Path) -> None:
    _, secret = make_keys(tmp_path / "own", "job")
    for name in ("agents", "clients"):
        (tmp_path / name).mkdir()
    before = threading.active_count()
    allowed = {f"allow_{name}": tmp_path / name for name in ("agents", "clients")}
    SourceJob(ANY, ANY, keys=secret, **allowed).stop()  # type: ignore[arg-type]
    assert threading.active_count() == before


def test_stopping_while_it_begins_ends_it_once() -> None:
    for _ in range(20):
        job = SourceJob(ANY, ANY)
        threads = [threading.Thread(target=each) for each in (job.run, job.stop, job.stop)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
        SourceJob(job.agents_address, job.clients_address).stop()
