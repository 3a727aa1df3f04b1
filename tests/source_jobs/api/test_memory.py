"""What the server holds does not grow with what it was ever asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from publish_agent import Agent
from source_jobs.api.server import Upstream, start_process
from source_jobs.api.settings import Limits, Settings
from source_jobs.job import SourceJob
from tests.live.support import until
from tests.source_jobs.api.support import Asker, serving

QUERIES = int(os.environ.get("MQL_QUERIES", "300"))
WARM = 100
GROWTH_BYTES = 1_000
"""Of each query; its feed, which is forgotten, takes five times as much."""


def ask_and_end(asker: Asker, count: int, first: int) -> None:
    for number in range(first, first + count):
        identity = asker.ask(f"select n from requests where n == {-number % 50}")
        assert asker("DELETE", f"/api/queries/{identity}").status == 204


@pytest.mark.timeout(3_600)
def test_its_memory_is_as_large_after_many_queries(job: SourceJob, agent: Agent) -> None:
    assert agent
    limits = Limits(queries=20, per_minute=10**9)
    upstream = Upstream(job.clients_address)
    process = start_process(upstream, Settings(port=0, limits=limits), log_json=False)
    try:
        asker = Asker(process.url)
        ask_and_end(asker, WARM, 0)
        before = _resident_bytes(process.process.pid)
        ask_and_end(asker, QUERIES, WARM)
        assert _resident_bytes(process.process.pid) - before < 500_000 + GROWTH_BYTES * 300
    finally:
        process.close()


def _resident_bytes(pid: int | None) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_what_is_over_is_forgotten_the_oldest_first(job: SourceJob, agent: Agent) -> None:
    assert agent
    with serving(job, limits=Limits(queries=3, per_minute=10**9)) as server:
        asker = Asker(server.url)
        for _ in range(3):
            asker.stream("select n from requests limit 1")
        until(lambda: not list(server.door.running))  # nobody else knows of them
        identities = []
        for _ in range(8):
            identities.append(asker.ask("select n from requests where n < 0"))
            asker("DELETE", f"/api/queries/{identities[-1]}")
            until(lambda: not server.door.running.alive)
        found = [asker.get(f"/api/queries/{each}").status for each in identities]
        assert found == [404] * 5 + [200] * 3
        assert server.door.running._room.used == sum(f.replay.size for f in server.door.running)
