"""Metrics for Prometheus: names, types and labels, of the HTTP server and of an agent's host."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics import MetricWrapperBase

from tests.surface import inside
from tests.surface.live import seen
from tests.surface.record import text_of


def metrics() -> str:
    found = seen()
    sections = {
        "of an agent, in its host's registry": list(_samples(found.agent_metrics)),
        "of the HTTP server, at /metrics": list(_samples(found.metrics)),
        "of the HTTP server itself, counted or not": sorted(_own()),
    }
    about = "Metrics have these names, labels and types, and labels of few values these values."
    return text_of(about, sections)


def _samples(found: dict[str, set[str]]) -> Iterator[str]:
    for name, values in sorted(found.items()):
        told = f": {' '.join(sorted(values))}" if values else ""
        yield f"{name}{told}"


def _own() -> Iterator[str]:
    """What the server counts, whether or not there has been anything to count."""
    made = inside.ServerMetrics(lambda: 0, lambda: 0)
    for value in vars(made).values():
        if isinstance(value, MetricWrapperBase):
            labels = ", ".join(value._labelnames)
            yield f"{value._name}{{{labels}}} {value._type}"
