"""A service ends when it wants to: during the first question, or right after it."""

from __future__ import annotations

import pytest

from benchmarks.processes import Job, source_job, start, stop
from source_jobs.client import connect

QUERIES = [
    "select * from requests",
    "select path, latency_ms, mixed from requests where status >= 300",
    "select count(*), p99(status), list(mixed), path from requests window 0.5 group by path",
]
DELAYS_MS = [0, 1, 2, 5, 10, 20, 40, 80, 150, 300]
LIMIT_S = 30
TOGETHER = 2


def ends(job: Job, delays_ms: list[float]) -> list[int]:
    """How services ended that left so long after the first question, some at a time."""
    codes: list[int] = []
    for at in range(0, len(delays_ms), TOGETHER):
        services = [
            start("tests.beside.leaving", job.agents, str(delay))
            for delay in delays_ms[at : at + TOGETHER]
        ]
        try:
            codes += [service.wait(LIMIT_S) for service in services]
        finally:
            for service in services:
                stop(service)
    return codes


@pytest.mark.timeout(90)
def test_a_service_may_end_at_any_moment_of_its_first_questions() -> None:
    with source_job() as job, connect(job.clients) as client:
        asked = [client.subscribe(query, ttl_ms=80_000) for query in QUERIES]
        assert ends(job, DELAYS_MS) == [0] * len(DELAYS_MS)
        for answer in asked:
            answer.close()
