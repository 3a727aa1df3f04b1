"""Processes that publish and end before a query of a source job could reach their agent."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from mql.ledger import Completeness, Exactness
from publish_agent import Agent
from source_jobs.client import connect
from source_jobs.client.subscription import Subscription
from tests.live.support import source_job, until
from tests.publish_agent.router import program

pytestmark = [pytest.mark.timeout(60), pytest.mark.alone]

EVENTS = 2_000
PROCESSES = 3
PROGRAM = f"""
import sys
from publish_agent import Agent
agent = Agent("short", sys.argv[1])
stream = agent.stream("requests")
for number in range({EVENTS}):
    stream.publish({{"n": number}})
"""
ENDINGS = [("127.0.0.1", ""), ("localhost", "agent.close()"), ("localhost", "sys.exit(3)")]


def windows_past(answer: Subscription, time_ms: int) -> list[Completeness]:
    """The ledgers of windows up to the first that began after a time."""
    found = []
    for piece in answer:
        if piece.completeness is not None:
            found.append(piece.completeness)
            if piece.completeness.start_ms > time_ms:
                break
    return found


@pytest.mark.parametrize(("host", "ending"), ENDINGS)
def test_what_a_short_process_published_is_in_the_ledger(host: str, ending: str) -> None:
    with source_job() as job, connect(job.clients_address) as client:
        lasting = Agent("lasting", job.agents_address)
        lasting.stream("requests")
        until(client.agents)
        port = job.agents_address.rpartition(":")[2]
        with client.subscribe("select count(*) as n from requests window 0.5") as answer:
            next(iter(answer))
            for _ in range(PROCESSES):
                out, err = program(PROGRAM + ending, f"tcp://{host}:{port}").communicate(timeout=20)
                assert (out, err) == ("", "")
            windows = windows_past(answer, time.time_ns() // 1_000_000)
            client.cancel(answer.query_id)
            windows += [piece.completeness for piece in answer if piece.completeness]
        lasting.close()
    total = answer.total
    assert total is not None
    assert total.unseen + total.tally.seen == EVENTS * PROCESSES
    assert total.exactness is Exactness.LOWER_BOUND
    assert (total.missing, total.expected) == ((), total.reported)
    assert sum(window.unseen for window in windows) == total.unseen
    assert all(window.exactness is Exactness.LOWER_BOUND for window in windows if window.unseen)


# How long a close takes


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections, where nobody says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as made:
        yield f"tcp://127.0.0.1:{made.getsockname()[1]}"


def close_s(address: str, events: int) -> float:
    """How long the quickest of some closes takes, shortly after the start."""
    took = []
    for _ in range(3):
        agent = Agent("short", address)
        stream = agent.stream("requests")
        for number in range(events):
            stream.publish({"n": number})
        time.sleep(0.3)
        begin = time.monotonic()
        agent.close()
        took.append(time.monotonic() - begin)
    return min(took)


def test_who_has_published_waits_for_a_silent_source_job_but_not_long(silent: str) -> None:
    assert 0.25 < close_s(silent, 1) < 0.5


def test_who_has_published_nothing_waits_for_nobody(silent: str) -> None:
    assert close_s(silent, 0) < 0.15


def test_who_finds_no_source_job_does_not_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as made:
        port = made.getsockname()[1]
    assert close_s(f"tcp://127.0.0.1:{port}", 1) < 0.15
    assert close_s(f"tcp://localhost:{port}", 1) < 0.15
