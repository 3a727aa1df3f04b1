"""The agent in real processes, with real sockets, threads and forks."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq
import zmq.auth

from mql.batch import EVENT
from mql.ledger import Tally
from mql.wire.codec import encode, from_agents
from mql.wire.messages import (
    PROTOCOL,
    Accept,
    AgentMessage,
    Batch,
    Beat,
    Goodbye,
    Heartbeat,
    Hello,
    Message,
    Subscribe,
    Unsubscribe,
    Welcome,
)
from mql.wire.payload import read_batch
from publish_agent import Agent, Status

pytestmark = pytest.mark.timeout(60)

ROOT = Path(__file__).resolve().parents[2]
ALL = "select * from requests"


class Router:
    """A source job as far as an agent can tell: it welcomes, beats, and keeps what comes."""

    def __init__(self, port: int | None = None, name: str = "job", secret: bytes = b"") -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.ROUTER)
        self.socket.linger = 0
        if secret:
            self.socket.curve_secretkey, self.socket.curve_server = secret, True
        if port is None:
            self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        else:
            self.port = port
            self.socket.bind(f"tcp://127.0.0.1:{port}")
        self.name = name
        self.frames: list[bytes] = []
        self.messages: list[tuple[bytes, AgentMessage, bytes]] = []
        self._decoder = from_agents()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def send(self, peer: bytes, message: Message) -> None:
        self.socket.send_multipart([peer, *encode(message)])

    def run(self, until: Callable[[], object], seconds: float = 5.0) -> None:
        """Take messages until something holds."""
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, f"it did not come: {[m for _, m, _ in self.messages]}"
            if self.socket.poll(20):
                self._take()

    def _take(self) -> None:
        peer, *frames = self.socket.recv_multipart()
        self.frames += frames
        message, payload = self._decoder.decode(frames)
        self.messages.append((peer, message, payload))
        now = time.time_ns() // 1000
        match message:
            case Hello():
                self.send(peer, Welcome(PROTOCOL, self.name, 1 << 26, message.sent_us, now, now))
            case Heartbeat():
                self.send(peer, Beat(message.sent_us, now, now))
            case _:
                pass

    def of(self, kind: type[AgentMessage]) -> list[AgentMessage]:
        return [message for _, message, _ in self.messages if isinstance(message, kind)]

    def peers(self) -> dict[str, bytes]:
        """The agents that have said hello, by name."""
        return {m.agent: peer for peer, m, _ in self.messages if isinstance(m, Hello)}

    def subscribe(self, query: int, text: str, peer: bytes | None = None) -> None:
        """Ask an agent, and wait until it has accepted."""
        self.run(self.peers)
        accepted = len(self.of(Accept))
        peer = peer or next(iter(self.peers().values()))
        self.send(peer, Subscribe(query, 0, "requests", text, 1000))
        self.run(lambda: len(self.of(Accept)) > accepted)

    def total(self, query: int = 1) -> Tally:
        total = Tally(0)
        for message in self.of(Batch):
            assert isinstance(message, Batch)
            for part in message.parts:
                if part.query == query:
                    for tally in part.tallies:
                        total += tally
        return total

    def texts(self) -> list[str]:
        """The events that came, as text."""
        payloads = [payload for _, message, payload in self.messages if payload]
        return [str(t).strip() for p in payloads for t in read_batch(p).column(EVENT).to_pylist()]

    def close(self) -> None:
        self.socket.close(0)
        self._context.term()


@pytest.fixture
def router() -> Iterator[Router]:
    made = Router()
    yield made
    made.close()


@pytest.fixture
def agent(router: Router) -> Iterator[Agent]:
    made = Agent("checkout", router.address, redact=["password"])
    yield made
    made.close()


def test_an_event_reaches_who_asks_for_it(router: Router, agent: Agent) -> None:
    requests = agent.stream("requests")
    router.subscribe(1, f"{ALL} where status >= 500")
    statuses = [requests.publish({"status": s, "password": "hunter2"}) for s in (200, 500, 503)]
    assert statuses == [Status.SKIPPED, Status.ACCEPTED, Status.ACCEPTED]
    router.run(lambda: router.total().seen == 3)
    assert router.texts() == ['{"status":500}', '{"status":503}']
    assert router.total() == Tally(0, shipped=2, filtered_out=1)
    assert not any(b"hunter2" in frame for frame in router.frames)


def test_not_one_event_byte_leaves_without_a_subscription(router: Router, agent: Agent) -> None:
    requests = agent.stream("requests")
    router.run(router.peers)
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        requests.publish({"status": 200, "marker": "7d1f"})
        router.run(lambda: True)
        if router.socket.poll(0):
            router._take()
    assert not router.of(Batch)
    assert not any(b"7d1f" in frame or b"marker" in frame for frame in router.frames)
    assert sum(map(len, router.frames)) < 2_000


def test_the_thread_starts_with_the_first_stream_and_ends_with_close(router: Router) -> None:
    before = threading.active_count()
    agent = Agent("checkout", router.address)
    assert threading.active_count() == before
    agent.publish("requests", {"a": 1})
    assert threading.active_count() == before + 1
    router.run(router.peers)
    agent.close()
    assert threading.active_count() == before
    router.run(lambda: router.of(Goodbye))
    assert agent.publish("requests", {}) is Status.CLOSED
    assert agent.stream("others").publish({}) is Status.CLOSED
    agent.close()


def test_streams_are_limited_and_names_are_texts(
    agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("", "x" * 1_000, "\ud800", 3):
        assert agent.publish(name, {}) is Status.SKIPPED  # type: ignore[arg-type]
    for i in range(1_100):
        assert agent.stream(f"s{i}").publish({}) is Status.SKIPPED
    assert len(caplog.records) == 4 + 100


def test_a_log_handler_that_publishes_waits_for_nothing(agent: Agent) -> None:
    class ToStream(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            agent.publish("logs", {"message": record.getMessage()})

    handler, log = ToStream(), logging.getLogger("publish_agent")
    log.addHandler(handler)
    try:
        thread = threading.Thread(target=agent.publish, args=("", {}), daemon=True)
        thread.start()
        thread.join(5)
        assert not thread.is_alive()
    finally:
        log.removeHandler(handler)


def test_many_threads_publish_and_each_event_is_counted_once(router: Router, agent: Agent) -> None:
    requests = agent.stream("requests")
    router.subscribe(1, f"{ALL} where n == 1")
    accepted = [0] * 8

    def publish(thread: int) -> None:
        for i in range(2_000):
            accepted[thread] += requests.publish({"n": i % 50}) is Status.ACCEPTED

    threads = [threading.Thread(target=publish, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    router.run(lambda: not any(t.is_alive() for t in threads))
    router.run(lambda: router.total().seen == 16_000)
    assert router.total().shipped == sum(accepted) == 8 * 40
    assert router.total().filtered_out == 16_000 - 320


def test_it_works_under_asyncio(router: Router, agent: Agent) -> None:
    requests = agent.stream("requests")
    router.subscribe(1, ALL)

    async def publish(number: int) -> Status:
        await asyncio.sleep(0)
        return requests.publish({"n": number})

    async def everything() -> list[Status]:
        return await asyncio.gather(*(publish(i) for i in range(100)))

    assert set(asyncio.run(everything())) == {Status.ACCEPTED}
    router.run(lambda: router.total().shipped == 100)


def test_several_source_jobs_are_served_at_once(router: Router) -> None:
    other = Router(name="other")
    agent = Agent("checkout", [router.address, other.address])
    requests = agent.stream("requests")
    router.subscribe(1, f"{ALL} where a == 1")
    other.subscribe(1, ALL)
    requests.publish({"a": 1})
    requests.publish({"a": 2})
    router.run(lambda: router.total().seen == 2)
    other.run(lambda: other.total().seen == 2)
    assert (router.total().shipped, other.total().shipped) == (1, 2)
    agent.close()
    other.close()


def test_it_comes_back_to_a_source_job_that_was_restarted() -> None:
    first = Router()
    agent = Agent("checkout", first.address)
    requests = agent.stream("requests")
    first.subscribe(1, ALL)
    first.close()
    second = Router(port=first.port, name="second")
    second.subscribe(2, ALL)
    requests.publish({"a": 1})
    second.run(lambda: second.total(2).shipped == 1)
    assert not second.total(1).seen
    agent.close()
    second.close()


def test_a_source_job_that_comes_later_is_found() -> None:
    probe = Router()
    probe.close()
    agent = Agent("checkout", probe.address)
    agent.stream("requests")
    time.sleep(0.3)
    late = Router(port=probe.port)
    late.run(late.peers)
    assert len(late.of(Hello)) == 1, "nothing stale has waited in the socket"
    agent.close()
    late.close()


def test_a_name_stands_for_its_addresses(router: Router) -> None:
    agent = Agent("checkout", f"tcp://localhost:{router.port}")
    agent.stream("requests")
    router.run(router.peers)
    agent.close()


def test_without_a_source_job_close_does_not_wait() -> None:
    probe = Router()
    probe.close()
    agent = Agent("checkout", probe.address)
    assert agent.publish("requests", {"a": 1}) is Status.SKIPPED
    begin = time.monotonic()
    agent.close()
    assert time.monotonic() - begin < 0.5


def test_a_source_job_that_stops_reading_does_not_hold_up_the_end(router: Router) -> None:
    agent = Agent("checkout", router.address)
    requests = agent.stream("requests")
    router.subscribe(1, ALL)
    for _ in range(50):
        requests.publish({"x": "x" * 200_000})
    begin = time.monotonic()
    agent.close()
    assert time.monotonic() - begin < 0.6


def test_curve_keeps_strangers_out(tmp_path: Path) -> None:
    _, secret = zmq.auth.create_certificates(tmp_path, "agent")
    job_public, job_secret = zmq.auth.create_certificates(tmp_path, "job")
    private = zmq.auth.load_certificate(job_secret)[1]
    assert private is not None
    router = Router(secret=private)
    stranger = Agent("stranger", router.address)
    friend = Agent("friend", router.address, key=secret, server_key=job_public)
    stranger.stream("requests")
    friend.stream("requests")
    router.run(router.peers)
    end = time.monotonic() + 0.5
    router.run(lambda: time.monotonic() > end)
    assert {m.service for m in router.of(Hello) if isinstance(m, Hello)} == {"friend"}
    stranger.close()
    friend.close()
    router.close()


def test_disabled_means_no_thread_and_no_bytes(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MQL_DISABLED", "1")
    before = threading.active_count()
    agent = Agent("checkout", router.address)
    assert agent.publish("requests", {"a": 1}) is Status.SKIPPED
    assert threading.active_count() == before
    agent.close()


def test_unsubscribing_makes_publishing_a_look_and_a_return(router: Router, agent: Agent) -> None:
    requests = agent.stream("requests")
    router.subscribe(1, ALL)
    assert requests.publish({}) is Status.ACCEPTED
    router.send(next(iter(router.peers().values())), Unsubscribe(1))
    router.run(lambda: requests.publish({}) is Status.SKIPPED)


# Forks


def child(agent: Agent, count: int) -> None:
    requests = agent.stream("requests")
    end = time.monotonic() + 5
    while requests.publish({"pid": "child"}) is Status.SKIPPED and time.monotonic() < end:
        time.sleep(0.01)
    for _ in range(count - 1):
        requests.publish({"pid": "child"})


def test_a_forked_child_is_an_agent_of_its_own(router: Router, agent: Agent) -> None:
    requests = agent.stream("requests")
    router.subscribe(1, ALL)
    parent = next(iter(router.peers()))
    process = multiprocessing.get_context("fork").Process(target=child, args=(agent, 10))
    process.start()
    router.run(lambda: len(router.peers()) == 2)
    (name,) = set(router.peers()) - {parent}
    router.subscribe(1, ALL, router.peers()[name])
    requests.publish({"pid": "parent"})
    router.run(lambda: len(router.texts()) >= 11)
    process.join(5)
    assert process.exitcode == 0
    router.run(lambda: router.of(Goodbye))
    assert sorted(set(router.texts())) == ['{"pid":"child"}', '{"pid":"parent"}']
    hellos = {m.agent: m.pid for m in router.of(Hello) if isinstance(m, Hello)}
    assert hellos == {parent: os.getpid(), name: process.pid}
    assert router.texts().count('{"pid":"child"}') == 10, "a child's last events come too"


def test_a_child_that_does_not_publish_has_no_thread(agent: Agent, router: Router) -> None:
    agent.stream("requests")
    router.run(router.peers)
    pid = os.fork()
    if pid == 0:
        os._exit(threading.active_count())
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 1


# Ends of processes

PROGRAM = """
import sys, time
from publish_agent import Agent, Status
agent = Agent("checkout", sys.argv[1])
requests = agent.stream("requests")
end = time.monotonic() + 8
while requests.publish({"n": 0}) is Status.SKIPPED and time.monotonic() < end:
    time.sleep(0.01)
for n in range(1, 100):
    requests.publish({"n": n})
print(time.time(), flush=True)
"""


ENDINGS = [
    "",
    "sys.exit(3)",
    "raise SystemExit",
    "import threading; threading.Thread(target=time.sleep, args=(0.2,)).start()",
]


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_last_events_come_and_the_exit_is_quick(router: Router, ending: str) -> None:
    process = program(PROGRAM + ending, router.address)
    router.subscribe(1, ALL)
    router.run(lambda: process.poll() is not None, 15)
    out, err = process.communicate()
    assert time.time() - float(out.split()[0]) < 1.0
    assert not err
    router.run(lambda: router.of(Goodbye))
    assert router.total().shipped == 100


def test_a_process_without_a_source_job_ends_quickly() -> None:
    code = "import time; from publish_agent import Agent; agent = Agent('x', 'tcp://127.0.0.1:9')"
    code += "; agent.publish('s', {}); print(time.time())"
    process = program(code, "")
    out, err = process.communicate(timeout=20)
    assert not err
    assert time.time() - float(out) < 1.0
    assert process.returncode == 0


def program(code: str, address: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, address],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
