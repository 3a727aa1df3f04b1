"""A real source job, in a process of its own, while a peer does its worst over real sockets."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from mql.wire.codec import encode
from mql.wire.messages import Alive, Batch, Goodbye, Heartbeat, Part, Show, Unknown
from mql.wire.payload import write_batch
from publish_agent import Agent
from source_jobs.client.actions import SourceJobError
from source_jobs.client.client import Client, connect
from tests.cli.support import command, environment
from tests.hostile.peers import ANY_PORT, CONNECT, Raw, ask, hello
from tests.live.support import until

pytestmark = pytest.mark.timeout(120)

HUNDRED_MB = 100_000_000
MOST_GROWTH = 60 << 20
WINDOWS = "select count(*) as n from requests window 0.5"


@dataclass
class Served:
    """A source job's process, and an honest agent and client of it."""

    process: subprocess.Popen[str]
    agents: str
    clients: str
    client: Client
    most_bytes: int = 0

    @property
    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        self.most_bytes = max(self.most_bytes, pages * os.sysconf("SC_PAGE_SIZE"))
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def assert_serves(self) -> None:
        """New answers begin, and windows come with all events."""
        assert self.process.poll() is None
        with self.client.subscribe(WINDOWS, timeout_s=20) as answer:
            closed = 0
            while closed < 2:
                piece = answer.get(timeout_s=20)
                assert piece is not None
                closed += piece.closes and bool(piece.rows())


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    arguments = command("serve", "--agents", ANY_PORT, "--clients", ANY_PORT)
    with subprocess.Popen(
        arguments, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        agents, clients = (process.stdout.readline().split()[-1] for _ in range(2))
        agent = Agent(service="shop", source_jobs=[agents])
        stop = threading.Event()
        thread = threading.Thread(target=publish, args=(agent, stop))
        thread.start()
        try:
            with connect(clients, timeout_s=20) as client:
                until(lambda: answers(client), 60)
                made = Served(process, agents, clients, client)
                made.assert_serves()
                yield made
        finally:
            stop.set()
            thread.join()
            agent.close()
            process.terminate()
            process.wait(10)


def publish(agent: Agent, stop: threading.Event) -> None:
    while not stop.wait(0.01):
        agent.publish("requests", {"n": 1})


@contextmanager
def watched(served: Served, most_bytes: int = MOST_GROWTH) -> Iterator[None]:
    """Note how much memory the source job takes meanwhile; then it still serves."""
    before, done = served.resident_bytes, threading.Event()
    served.most_bytes = before

    def watch() -> None:
        while not done.wait(0.02):
            _ = served.resident_bytes

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
        served.assert_serves()
    finally:
        done.set()
        watcher.join()
    assert served.most_bytes - before < most_bytes


@pytest.mark.parametrize("side", ["agents", "clients"])
def test_frames_of_100_mb_are_refused_before_they_take_memory(served: Served, side: str) -> None:
    huge = bytes(HUNDRED_MB)
    header = b"".join(map(bytes, encode(Batch((Part(1, 0, 1, 0, 0, 0, has_rows=True),)))))
    with watched(served):
        for frames in ([huge], [header, huge], [b"\x01" + huge]):
            with Raw(getattr(served, side), linger_ms=5_000) as bad:
                bad.say(hello("bad") if side == "agents" else CONNECT)
                bad.send(frames)
                assert bad.was_cut


def test_a_header_that_is_too_long_costs_its_sender_the_connection_and_nobody_else(
    served: Served,
) -> None:
    with watched(served, 200 << 20), Raw(served.clients) as bad:
        bad.say(CONNECT)
        bad.hears(0.3)
        for size in (1 << 20, 2 << 20):  # as large as a frame may be
            bad.send([b"\x01" + bytes(size)])
            assert bad.hears_that(Unknown())
        bad.say(Alive())
        assert bad.hears_that(Unknown())
        for size in (5 << 20, 60 << 20):
            with Raw(served.clients, linger_ms=5_000) as worse:
                worse.say(CONNECT)
                worse.send([b"\x01" + bytes(size)])
                assert worse.was_cut


def test_wrong_versions_replayed_numbers_and_forged_acknowledgements(served: Served) -> None:
    """Another version; parts, credits, accepts and refusals that nobody asked for or did before."""
    with watched(served), Raw(served.agents) as bad:
        bad.say(hello("bad"))
        assert bad.hears(0.5)
        for number in (0, 2, 255):
            for message in (hello("bad"), Heartbeat(1, 1), Goodbye()):
                bad.send([bytes([number]) + bytes(frame)[1:] for frame in encode(message)])
        bad.say(hello("bad"))
        query = next(q["query"] for q in [*served.client.queries(), {"query": 1}])
        assert isinstance(query, int)
        for sequence in (5, 5, 4, 0, -1, 2**63 - 1):
            bad.say(Batch((Part(query, 0, sequence, 2**62, 1, 2**60),)))
            bad.say(hello("bad"))
        assert encode(Unknown()) in bad.hears(0.5)
    assert [a["service"] for a in served.client.agents() if not a["gone"]].count("shop") == 1


def test_a_flood_of_long_queries_holds_up_nobody_for_long(served: Served) -> None:
    """The dearest queries that are taken, as fast as they go: others have their turn between."""
    values = ", ".join(map(str, range(9_000)))
    text = f"select a from requests where b in (1, {values})"
    with watched_loosely(served), Raw(served.clients) as bad:
        bad.say(CONNECT)
        for number in range(40):
            bad.say(ask(text.replace("(1,", f"(-{number},", 1), request=number + 1))
        began = time.monotonic()
        until(lambda: answers(served.client), 60)
        assert time.monotonic() - began < 60
        served.assert_serves()


def answers(client: Client) -> bool:
    try:
        return bool(client.agents())
    except SourceJobError:
        return False


@contextmanager
def watched_loosely(served: Served) -> Iterator[None]:
    """Plans are held while their queries run; what they take has a limit."""
    before = served.resident_bytes
    yield
    assert served.resident_bytes - before < 600 << 20
    served.assert_serves()


def test_a_client_that_asks_to_be_shown_things_and_never_reads_takes_no_memory(
    served: Served,
) -> None:
    with watched(served), Raw(served.clients) as bad:
        bad.say(CONNECT)
        for number in range(20_000):
            bad.say(Show(number + 1, "agents"))
        time.sleep(1)


def test_rows_that_take_no_bytes_take_no_time(served: Served) -> None:
    """60 payloads of 336 bytes with a million rows kept everybody waiting for six seconds."""
    nulls = pa.nulls(1_000_000)
    payload = write_batch(pa.record_batch({"*time": nulls, "n": nulls})).to_pybytes()
    assert len(payload) < 500
    with watched(served), Raw(served.agents) as bad, served.client.subscribe(WINDOWS) as answer:
        bad.say(hello("bad"))
        query = answer.query_id
        assert query is not None
        before_s = served.cpu_s
        for number in range(60):
            part = Part(query, 0, number + 1, 1, 1_000_000, 1_000_000, has_rows=True)
            bad.say(hello("bad"))
            bad.say(Batch((part,)), payload)
        assert len(bad.hears(2.0)) >= 60, "each is refused, and the agent begins again"
        assert served.cpu_s - before_s < 1.5
