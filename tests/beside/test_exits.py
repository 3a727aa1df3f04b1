"""A service ends when it wants to: during the first question, or right after it."""

from __future__ import annotations

import pytest

from benchmarks.processes import Job, source_job
from source_jobs.client import connect
from tests.publish_agent.router import program

QUERIES = [
    "select path, latency_ms from requests where status >= 300",
    "select count(*), average(latency_ms) from requests window 0.5",
]
DELAYS_MS = [0, 5, 40, 150, 300]
LIMIT_S = 30
TOGETHER = 2
LEAVING = "from tests.beside.leaving import main; main()"


def ends(job: Job, delays_ms: list[int]) -> list[tuple[int, str]]:
    """How services ended that left so long after the first question, some at a time."""
    found: list[tuple[int, str]] = []
    for at in range(0, len(delays_ms), TOGETHER):
        services = [
            program(LEAVING, job.agents, str(delay)) for delay in delays_ms[at : at + TOGETHER]
        ]
        for service in services:
            _, errors = service.communicate(timeout=LIMIT_S)
            found.append((service.returncode, errors))
    return found


@pytest.mark.timeout(90)
@pytest.mark.parametrize("query", QUERIES)
def test_a_service_may_end_at_any_moment_of_its_first_question(query: str) -> None:
    with source_job() as job, connect(job.clients) as client:
        with client.subscribe(query, ttl_ms=80_000):
            assert ends(job, DELAYS_MS) == [(0, "")] * len(DELAYS_MS)
