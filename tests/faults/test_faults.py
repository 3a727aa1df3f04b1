"""The short form of `make faults`: few services, the faults that take seconds, and a full disk."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.processes import services, source_job
from publish_agent.capture.event_buffer import Status
from source_jobs.client import Client, HttpClient, connect
from tests.faults.disk import write_all
from tests.faults.fleet import Fleet, fleet
from tests.faults.record import Record
from tests.faults.relay import Relay
from tests.faults.run import run
from tests.faults.scenarios import SCENARIOS

pytestmark = pytest.mark.timeout(120)

RATE = 40
RECOVERS_S = 15.0
"""Where tests run others may, too; `make faults` holds the five seconds."""


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Fleet, Client | HttpClient]]:
    folder = tmp_path_factory.mktemp("records")
    with fleet(folder, {"near": 4, "relayed": 2}, RATE, None) as made:
        with connect(made.clients_address, timeout_s=30) as client:
            made.wait_known(client)
            yield made, client


SHORT = [name for name, each in SCENARIOS.items() if each.short]
KILLS = "kill-agents"
"""Comes last here: nobody waits for the minute in which the killed ones are expected."""


@pytest.mark.parametrize("name", sorted(SHORT, key=lambda name: name == KILLS))
def test_what_is_lost_is_told_and_answers_are_whole_again(
    running: tuple[Fleet, Client | HttpClient], name: str
) -> None:
    result = run(name, SCENARIOS[name], *running, RECOVERS_S, to_the_end=False)
    assert not result.problems, result
    assert result.told is not None
    assert result.told.published > 100, "something was measured"


def test_a_full_disk_is_told_in_plain_words(tmp_path: Path) -> None:
    with source_job() as job, services(job, 1, 200):
        written = list(write_all(tmp_path, job.clients))
    assert [(each.what, each.problems) for each in written if each.problems] == []
    assert len(written) == 9


def test_a_record_outlives_who_wrote_it(tmp_path: Path) -> None:
    record = Record.create(tmp_path / "record", rate=5)
    for number, status in enumerate([Status.SKIPPED, Status.ACCEPTED, Status.DROPPED_BUFFER]):
        record.begin(number, 1_000_000 + number)
        record.end(number, 1_000_000 + number, status)
    record.begin(3, 1_000_003)  # and then it is killed
    again = Record(record.path)
    assert again.published == 4
    assert again.asked().tolist() == [1, 2, 3]
    assert again.times_us().tolist() == [1_000_000, 1_000_001, 1_000_002, 1_000_003]
    assert again.count(Status.DROPPED_BUFFER) == 1
    assert again.rate == 5
    record.pause(paused=True)
    assert again.rate == 0


def test_a_relay_passes_on_delays_holds_and_cuts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, Relay() as relay:
        relay.aim(server.getsockname()[1])
        host, _, port = relay.address.removeprefix("tcp://").partition(":")
        near = socket.create_connection((host, int(port)), 5)
        far, _ = server.accept()
        with near, far:
            far.settimeout(5)
            near.sendall(b"at once")
            assert far.recv(100) == b"at once"
            relay.delay(0.2)
            began = time.monotonic()
            near.sendall(b"later")
            assert far.recv(100) == b"later"
            assert time.monotonic() - began > 0.15
            relay.heal()
            relay.hold()
            time.sleep(0.05)
            near.sendall(b"held")
            far.settimeout(0.2)
            with pytest.raises(TimeoutError):
                far.recv(100)
            relay.heal()
            far.settimeout(5)
            assert far.recv(100) == b"held"
            relay.cut()
            assert far.recv(100) == b""
