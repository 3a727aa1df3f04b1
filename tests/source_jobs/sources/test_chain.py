"""Source jobs one after another, as processes that are stopped and killed: `mql serve --from`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from publish_agent import Agent
from source_jobs import JobSource
from source_jobs.client import connect
from source_jobs.client.subscription import Subscription
from source_jobs.client.window import LiveWindow
from source_jobs.job import SourceJob
from tests.live.support import source_job

pytestmark = pytest.mark.timeout(120)
SECOND_NS = 1_000_000_000
EDGE_NS = 150_000_000
"""Nothing is published so near to the edges of seconds: clocks differ by less."""


class Published(Counter[int]):
    """How many events a service published in each second since 1970, by its own account."""


@contextmanager
def service(job: SourceJob) -> Iterator[Published]:
    published, stop = Published(), threading.Event()
    agent = Agent(service="checkout", host="web-1", source_jobs=[job.agents_address], cpu_share=100)

    def publish() -> None:
        while not stop.wait(0.005):
            now_ns = time.time_ns()
            if EDGE_NS < now_ns % SECOND_NS < SECOND_NS - EDGE_NS:
                agent.publish("requests", {"status": 200})
                published[now_ns // SECOND_NS] += 1

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield published
    finally:
        stop.set()
        thread.join()
        agent.close()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def serve(agents: int, clients: int, *arguments: str) -> subprocess.Popen[bytes]:
    """`mql serve` at two ports of this machine."""
    return subprocess.Popen(
        [
            sys.executable, "-m", "cli", "serve", *arguments,
            "--agents", f"tcp://127.0.0.1:{agents}", "--clients", f"tcp://127.0.0.1:{clients}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


class Windows:
    """The windows of an answer while they come."""

    def __init__(self, answer: Subscription) -> None:
        self._answer = answer
        self.all: list[LiveWindow] = []

    def read(self, seconds: float) -> list[LiveWindow]:
        """Those that close within some time."""
        end, found = time.monotonic() + seconds, []
        while (left := end - time.monotonic()) > 0:
            window = self._answer.get(left)
            if window is not None and window.closes:
                found.append(window)
        self.all += found
        return found

    def read_until_exact(self, count: int, seconds: float = 20) -> None:
        """Read on until so many more windows, one after another, have been exact."""
        end, found = time.monotonic() + seconds, []
        while not all(map(is_exact, found[-count:])) or len(found) < count:
            assert time.monotonic() < end, [window.completeness for window in found[-count:]]
            found += self.read(0.2)


def is_exact(window: LiveWindow) -> bool:
    known = window.completeness
    return known is not None and known.exactness == "exact" and not known.partial


def test_no_window_is_exact_and_wrong_while_the_middle_one_is_stopped_and_killed() -> None:
    ports = free_ports(2)
    with source_job() as first, source_job() as last, service(first) as published:
        asks = "--from", first.clients_address, "--query", "select * from requests", "--as", "mid"
        middle = serve(*ports, *asks)
        upstream = f"tcp://127.0.0.1:{ports[1]}"
        agent = Agent(service="end", source_jobs=[last.agents_address], cpu_share=100)
        with (
            JobSource(upstream, "select * from mid", "end", agent),
            connect(last.clients_address) as client,
            client.subscribe("select count(*) as n from end window 1", timeout_s=None) as answer,
        ):
            windows = Windows(answer)
            windows.read_until_exact(1)

            os.kill(middle.pid, signal.SIGSTOP)
            windows.read(2.0)
            os.kill(middle.pid, signal.SIGCONT)
            windows.read_until_exact(1)

            kill(middle)
            killed = windows.read(2.5)
            middle = serve(*ports, *asks)
            windows.read_until_exact(1)
        agent.close()
        kill(middle)
    for window in windows.all:
        assert window.start_ms is not None
        count = window.rows()[0]["n"]
        if is_exact(window):
            assert count == published[window.start_ms // 1000], window.completeness
    assert killed
    named = {name for w in killed if w.completeness for name in w.completeness.missing}
    assert named == {upstream}
    assert sum(map(is_exact, windows.all)) >= 3


def test_a_source_job_that_would_feed_itself_does_not_start() -> None:
    agents, clients = free_ports(2)
    process = serve(
        agents, clients,
        "--from", f"tcp://localhost:{clients}", "--query", "select * from loop", "--as", "loop",
    )  # fmt: skip
    _, said = process.communicate(timeout=20)
    name = f"{socket.gethostname()}:{clients}"
    assert process.returncode == 1
    assert f"a circle of source jobs: {name} → {name}" in said.decode()
