"""A network that swallows the first greeting, between agent or client and source job."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from publish_agent import Agent
from source_jobs.client import connect
from source_jobs.client.actions import AwayError
from source_jobs.job import SourceJob
from tests.faults.relay import Relay
from tests.hostile.peers import Keys
from tests.live.support import source_job, until

pytestmark = pytest.mark.timeout(60)
WITHIN_S = 5.0


@pytest.fixture
def job() -> Iterator[SourceJob]:
    with source_job() as job:
        yield job


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def test_who_had_a_greeting_swallowed_comes_in_within_five_seconds(job: SourceJob) -> None:
    with Relay() as one, Relay() as other:
        one.aim(port_of(job.agents_address))
        other.aim(port_of(job.clients_address))
        one.swallow(1)
        other.swallow(1)
        agent = Agent(service="swallowed", source_jobs=[one.address])
        agent.stream("requests")
        with connect(other.address, timeout_s=WITHIN_S) as client:
            until(client.agents, WITHIN_S)
            time.sleep(2.5)
            assert one.accepted == 2, "a third connection, though the second one is well"
            assert other.accepted == 2
        agent.close()


def test_a_source_job_gives_up_connections_without_a_greeting(job: SourceJob) -> None:
    ports = [port_of(job.agents_address), port_of(job.clients_address)]
    connections = [socket.create_connection(("127.0.0.1", port)) for port in ports]
    for connection in connections:
        connection.settimeout(WITHIN_S)
        while connection.recv(64):
            pass  # its own greeting, then the end
        connection.close()


def test_a_greeting_that_nothing_answers_says_nothing_of_keys(tmp_path: Path) -> None:
    """What accepts connections and is silent was said to want keys."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(AwayError, match="nothing answers there"):
            connect(address, timeout_s=3.0)
    keys = Keys(tmp_path)
    with keys.serve() as job, pytest.raises(AwayError, match="wants keys"):
        connect(job.clients_address, timeout_s=3.0)
