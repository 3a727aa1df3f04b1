"""An agent's figures in its host's Prometheus registry, where the host asks for that.

They are read when the registry is scraped, in the scraper's thread; publishing does not notice.
Labels are causes, which are few: no stream, query or value of an event is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from publish_agent.protocol.agent_stats import Figures


class AgentCollector(Collector):
    """Reads the figures at each scrape."""

    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures

    def describe(self) -> Iterable[Metric]:
        """What there is, without asking."""
        return self._metrics(Figures())

    def collect(self) -> Iterator[Metric]:
        """What there is now."""
        return self._metrics(self._figures())

    def _metrics(self, now: Figures) -> Iterator[Metric]:
        for name, about, value in (
            ("mql_agent_streams", "Streams that are offered.", now.streams),
            ("mql_agent_source_jobs", "Source jobs that are connected.", now.source_jobs),
            ("mql_agent_queries", "Queries that run here.", now.queries),
            ("mql_agent_waiting_queries", "Queries that wait to be planned.", now.waiting),
            ("mql_agent_buffered_bytes", "Bytes of events that wait.", now.buffered_bytes),
            ("mql_agent_lag_seconds", "How late its thread woke last.", now.lag_us / 1e6),
        ):
            yield GaugeMetricFamily(name, about, value=value)
        dropped = CounterMetricFamily(
            "mql_agent_dropped_events", "Events that were dropped here.", labels=["cause"]
        )
        dropped.add_metric(["buffer"], now.unkept)
        dropped.add_metric(["credit"], now.uncredited)
        yield dropped
        for name, about, value in (
            ("mql_agent_tested_events", "Events that queries tested.", now.spent.tested),
            ("mql_agent_candidate_events", "Events that screens let by.", now.spent.candidates),
            ("mql_agent_shipped_events", "Events that were sent.", now.spent.shipped),
            ("mql_agent_sent_bytes", "Bytes that were sent for queries.", now.spent.sent_bytes),
            ("mql_agent_cpu_seconds", "Its thread's time on queries.", now.spent.spent_ns / 1e9),
        ):
            yield CounterMetricFamily(name, about, value=value)


def register(figures: Callable[[], Figures], registry: CollectorRegistry | None) -> None:
    """Add an agent to a registry, or to the usual one."""
    (registry or REGISTRY).register(AgentCollector(figures))
