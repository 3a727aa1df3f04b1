"""An agent's metrics in its host's registry."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from publish_agent import Agent
from source_jobs import connect
from tests.live.support import publishing, source_job, until


def figures(registry: CollectorRegistry) -> dict[str, float]:
    lines = generate_latest(registry).decode().splitlines()
    return {n: float(v) for n, v in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def test_an_agent_tells_its_hosts_registry_what_it_does() -> None:
    registry = CollectorRegistry()
    with source_job() as job, publishing(job, "web", {"requests": lambda n: {"n": n}}) as agent:
        agent.export_metrics(registry)
        with connect(job.clients_address) as client:
            answer = client.subscribe("select n from requests", ttl_ms=600)
            until(lambda: figures(registry)["mql_agent_queries"] == 1)
            rows = sum(len(piece.rows()) for piece in answer)
        until(lambda: figures(registry)["mql_agent_queries"] == 0)
        told = figures(registry)
    assert told["mql_agent_streams"] == told["mql_agent_source_jobs"] == 1
    assert told["mql_agent_shipped_events_total"] >= rows > 0  # of a query that is over
    assert told["mql_agent_sent_bytes_total"] > 0
    assert told["mql_agent_cpu_seconds_total"] > 0
    assert told['mql_agent_dropped_events_total{cause="buffer"}'] == 0


def test_an_agent_without_a_thread_tells_of_nothing() -> None:
    registry = CollectorRegistry()
    agent = Agent(service="idle", source_jobs=["tcp://127.0.0.1:9"])
    agent.export_metrics(registry)
    assert set(figures(registry).values()) == {0.0}
    agent.close()
