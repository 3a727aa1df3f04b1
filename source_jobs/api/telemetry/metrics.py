"""Metrics for Prometheus: what this server did, and, asked at each scrape, what the source job did.

Labels have values out of bounded sets: routes, formats, causes, and at most a hundred services and
streams, with the rest of them added up as `(other)`. No query, user or token is a label.
"""

from __future__ import annotations

from collections import Counter as Sums
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mql.errors import MQLError

_MOST_VALUES = 100
_OTHER = "(other)"
Record = Mapping[str, object]


class Metrics:
    """What the server counts of itself."""

    def __init__(self, running: Callable[[], int], readers: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "mql_http_requests", "Requests by route and status.", ["route", "status"],
            registry=self.registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "mql_http_request_seconds", "Time until the answer began.", ["route"],
            registry=self.registry, buckets=(0.005, 0.02, 0.1, 0.5, 2.0, 10.0),
        )  # fmt: skip
        self.sent = Counter(
            "mql_http_sent_bytes", "Bytes of answers sent.", ["format"], registry=self.registry
        )
        self.lost = Counter(
            "mql_http_reader_lost_rows", "Rows that readers were too slow for.",
            registry=self.registry,
        )  # fmt: skip
        self.given_up = Counter(
            "mql_http_given_up_connections", "Connections given up by the server, by cause.",
            ["cause"], registry=self.registry,
        )  # fmt: skip
        queries = Gauge("mql_http_queries", "Queries that run over HTTP.", registry=self.registry)
        queries.set_function(running)
        streams = Gauge("mql_http_readers", "Streams that are open.", registry=self.registry)
        streams.set_function(readers)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a source job shows at one moment."""

    metrics: Record
    agents: list[dict[str, object]]
    streams: list[dict[str, object]]


@dataclass(slots=True, eq=False)
class SourceJobCollector(Collector):
    """Asks the source job at each scrape. Its sums never go back."""

    ask: Callable[[], Asked]
    _most: dict[str, float] = field(default_factory=dict)

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: the source job may not be there yet."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All that the source job tells."""
        return self.seen_by(lambda _stream: True)

    def seen_by(self, may_read: Callable[[str], bool]) -> Iterator[Metric]:
        """What it tells those who may read some streams."""
        up = GaugeMetricFamily("mql_source_job_up", "Whether the source job answers.")
        try:
            asked = self.ask()
        except MQLError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from self._sums(asked.metrics)
        yield from _agents(asked.agents)
        yield from _streams([s for s in asked.streams if may_read(str(s["stream"]))])

    def _sums(self, told: Record) -> Iterator[Metric]:
        events = CounterMetricFamily(
            "mql_events", "Events published while a query ran, by what became of them.",
            labels=["fate"],
        )  # fmt: skip
        for fate in ("sampled_out", "filtered_out", "shipped"):
            events.add_metric([fate], self._grown(f"events {fate}", told[fate]))
        yield events
        drops = CounterMetricFamily(
            "mql_dropped_events", "Events and rows that answers lack, by cause.", labels=["cause"]
        )
        causes = cast("Record", told["dropped"])
        lost = {name: told[name] for name in ("transit", "late", "subscriber")}
        for cause, count in {**causes, **lost}.items():
            drops.add_metric([cause], self._grown(f"drops {cause}", count))
        yield drops
        cost = cast("Record", told["cost"])
        for name, about, value in (
            ("mql_queries", "Queries begun.", told["queries"]),
            ("mql_rows", "Rows of answers.", told["rows"]),
            ("mql_protocol_errors", "Messages that no protocol allows.", told["errors"]),
            ("mql_query_tested_events", "Events that agents tested.", cost["tested"]),
            ("mql_query_candidate_events", "Events that screens let through.", cost["candidates"]),
            ("mql_query_sent_bytes", "Bytes that agents sent for queries.", cost["sent_bytes"]),
        ):
            yield CounterMetricFamily(name, about, value=self._grown(name, value))
        seconds = self._grown("cost seconds", cost["spent_ns"]) / 1e9
        yield CounterMetricFamily(
            "mql_query_agent_seconds", "CPU time of queries in agents' threads.", value=seconds
        )
        running = cast("Record", told["running"])
        for name, what in (("mql_running_queries", "queries"), ("mql_clients", "clients")):
            yield GaugeMetricFamily(name, f"Number of {what} now.", value=_number(running[what]))
        yield GaugeMetricFamily(
            "mql_waiting_queries",
            "Queries of clients that have not begun.",
            value=_number(running.get("waiting", 0)),
        )
        yield GaugeMetricFamily(
            "mql_queued_bytes",
            "Bytes of answers that wait for clients, or were sent and not read.",
            value=_number(running.get("queued_bytes", 0)),
        )
        yield GaugeMetricFamily(
            "mql_held_bytes",
            "Bytes of rows, groups and values that queries hold.",
            value=_number(running.get("held_bytes", 0)),
        )

    def _grown(self, name: str, value: object) -> float:
        """A sum that may be told a little smaller, as of an unfinished window, at its most."""
        self._most[name] = most = max(self._most.get(name, 0.0), _number(value))
        return most


@dataclass(frozen=True, slots=True, eq=False)
class Scrape(Collector):
    """What one caller is told: the server's own, and of the source job what the caller may see."""

    own: CollectorRegistry
    source: SourceJobCollector
    may_read: Callable[[str], bool]

    def collect(self) -> Iterator[Metric]:
        """All of it."""
        yield from self.own.collect()
        yield from self.source.seen_by(self.may_read)


def _agents(agents: list[dict[str, object]]) -> Iterator[Metric]:
    count = GaugeMetricFamily("mql_agents", "Agents by state.", labels=["service", "state"])
    dropped = GaugeMetricFamily(
        "mql_agent_dropped_events", "Events that the agents there ever dropped.", labels=["service"]
    )
    lag = GaugeMetricFamily(
        "mql_agent_lag_seconds", "How late the latest agent's thread wakes.", labels=["service"]
    )
    names = bounded(str(agent["service"]) for agent in agents)
    states: Sums[tuple[str, str]] = Sums()
    drops: Sums[str] = Sums()
    lags: dict[str, float] = {}
    for agent in agents:
        name = names[str(agent["service"])]
        states[name, "gone" if agent["gone"] else "connected"] += 1
        drops[name] += int(_number(agent["dropped"]))
        lags[name] = max(lags.get(name, 0.0), _number(agent["lag_ms"]) / 1000)
    for (name, state), number in states.items():
        count.add_metric([name, state], number)
    for name, number in drops.items():
        dropped.add_metric([name], number)
    for name, seconds in lags.items():
        lag.add_metric([name], seconds)
    yield from (count, dropped, lag)


def _streams(streams: list[dict[str, object]]) -> Iterator[Metric]:
    rate = GaugeMetricFamily(
        "mql_stream_events_per_second", "Events published, as agents see it.", labels=["stream"]
    )
    names = bounded(str(stream["stream"]) for stream in streams)
    rates: Sums[str] = Sums()
    for stream in streams:
        rates[names[str(stream["stream"])]] += _number(stream["rate"])  # type: ignore[assignment]
    for name, per_second in rates.items():
        rate.add_metric([name], per_second)
    yield rate


def bounded(names: Iterable[str]) -> dict[str, str]:
    """What each name is as a label: itself, or `(other)` beyond the first hundred by alphabet.

    >>> bounded(["b", "a"])
    {'a': 'a', 'b': 'b'}
    """
    ordered = sorted(set(names))
    return {name: name if i < _MOST_VALUES else _OTHER for i, name in enumerate(ordered)}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
