"""Who asks more of a real service than it plans at once is told that it has to wait."""

from __future__ import annotations

import pytest

from benchmarks.processes import FREE_PORT, until
from mql.ledger import Completeness
from publish_agent import Agent
from publish_agent.drain.cost.planning_budget import AT_ONCE
from source_jobs.client import connect
from source_jobs.job import SourceJob
from source_jobs.settings import Settings


@pytest.mark.timeout(60)
def test_who_asks_is_told_that_an_agent_lets_the_query_wait() -> None:
    plenty = 10 * AT_ONCE
    settings = Settings("job", queries_per_client=plenty, new_at_once=plenty)
    job = SourceJob(FREE_PORT, FREE_PORT, settings=settings).start()
    agent = Agent("shop", [job.agents_address], host="h1", cpu_share=0.002)
    try:
        agent.stream("s")
        with connect(job.clients_address, timeout_s=30) as client:
            until(lambda: bool(client.agents()), "the service is known")
            asked = [
                client.subscribe(
                    f"select count(*) as n from s where a > {i} window 1", timeout_s=30
                )
                for i in range(AT_ONCE + 20)
            ]
            first = next(known for known in map(_known, asked[0]) if known.reported)
            last = next(known for known in map(_known, asked[-1]) if known.waiting)
            assert (first.waiting, first.missing) == (0, ())
            assert (last.reported, last.waiting, last.missing) == (0, 1, ("shop@h1",))
    finally:
        agent.close()
        job.stop()


def _known(window: object) -> Completeness:
    known = getattr(window, "completeness", None)
    assert isinstance(known, Completeness)
    return known
