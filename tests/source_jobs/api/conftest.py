"""A source job with agents that publish, for all of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from publish_agent import Agent
from source_jobs.api.server import HttpServer
from source_jobs.job import SourceJob
from tests.live.support import publishing, source_job, until
from tests.source_jobs.api.support import Asker, serving


def event(number: int) -> dict[str, object]:
    return {"n": number, "user": f"u{number % 5}", "status": 500 if number % 7 == 0 else 200}


@pytest.fixture(scope="session")
def job() -> Iterator[SourceJob]:
    with source_job() as made:
        yield made


@pytest.fixture(scope="session")
def agent(job: SourceJob) -> Iterator[Agent]:
    streams = {"requests": event, "payments": event, "secrets": event}
    with publishing(job, "web", streams) as made:
        until(lambda: len(job.state.agents.offering("secrets")))
        yield made


@pytest.fixture(scope="session")
def server(job: SourceJob, agent: Agent) -> Iterator[HttpServer]:
    assert agent
    with serving(job) as made:
        yield made


@pytest.fixture
def asker(server: HttpServer) -> Asker:
    return Asker(server.url)
