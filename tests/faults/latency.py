"""A publishing service's own p99 latency: without an agent, and with one in every state.

One process is measured, so that nothing but the agent differs; the variants take turns in short
rounds, so that a machine which others use, too, does not decide. The p99 of each round is divided
by that of the round without an agent in the same turn; the median of these ratios is the figure,
with an interval of 95% from a bootstrap over the turns.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from random import Random
from time import sleep

import numpy as np

from benchmarks.processes import Job, source_job, start, stop, until
from source_jobs.client import Client, HttpClient, connect
from tests.faults.fleet import Process

MOST = 1.05
"""The p99 may be so much of what it is without an agent."""

_SETTLE_S = 0.3
_RESAMPLES = 4_000


@dataclass(frozen=True, slots=True)
class Variant:
    """What state the agent is in: what is asked of it, and whether its source job is stalled."""

    name: str
    agent: bool = True
    query: str = ""
    stalled: bool = False


VARIANTS = (
    Variant("no agent", agent=False),
    Variant("idle agent"),
    Variant("agent counts every event", query="select count(*) from requests window 1"),
    Variant("agent tests every event", query="select * from requests where user_id == 'nobody'"),
    Variant("agent ships every event", query="select * from requests"),
    Variant("agent whose source job is stalled", query="select * from requests", stalled=True),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One variant's p99 beside that without an agent: medians over the turns."""

    variant: str
    p50_us: float
    p99_us: float
    ratio: float
    low: float
    high: float

    @property
    def is_met(self) -> bool:
        """Whether it is surely, or as well as can be told, within the limit."""
        return self.low <= MOST


class _Host:
    """The measured service."""

    def __init__(self) -> None:
        self.popen: subprocess.Popen[str] = start("tests.faults.host")

    def do(self, command: str) -> object:
        """Have it do something; what it answers."""
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        self.popen.stdin.write(command + "\n")
        self.popen.stdin.flush()
        return json.loads(self.popen.stdout.readline())


def measure(kind: str, turns: int, seconds: float, seed: int = 1) -> list[Figure]:
    """Let the variants take turns; `seconds` for each round."""
    random = Random(seed)  # noqa: S311 - no secret
    rounds: dict[str, list[tuple[float, float]]] = {v.name: [] for v in VARIANTS}
    with ExitStack() as stack:
        host = _Host()
        stack.callback(stop, host.popen)
        jobs = {v.name: stack.enter_context(_asked(v)) for v in VARIANTS if v.agent}
        host.do(f"measure {kind} {seconds}")  # what the first round would pay for
        for _ in range(turns):
            for variant in random.sample(VARIANTS, len(VARIANTS)):
                rounds[variant.name].append(_round(host, variant, jobs, kind, seconds))
    return [_figure(v.name, rounds[v.name], rounds[VARIANTS[0].name], seed) for v in VARIANTS]


@contextmanager
def _asked(variant: Variant) -> Iterator[tuple[Job, Client | HttpClient]]:
    """A source job of which is asked what the variant says."""
    with source_job() as job, connect(job.clients, timeout_s=30) as client, ExitStack() as stack:
        if variant.query:
            answer = stack.enter_context(client.subscribe(variant.query, timeout_s=10))
            threading.Thread(target=lambda: list(answer), daemon=True).start()
        yield job, client


def _round(
    host: _Host,
    variant: Variant,
    jobs: dict[str, tuple[Job, Client | HttpClient]],
    kind: str,
    seconds: float,
) -> tuple[float, float]:
    """One round of one variant: its p50 and p99 in µs."""
    if not variant.agent:
        sleep(_SETTLE_S)
        return _percentiles(host.do(f"measure {kind} {seconds}"))
    job, client = jobs[variant.name]
    assert job.process is not None
    process = Process(job.process)
    host.do(f"agent {job.agents}")
    until(lambda: _is_ready(client, asked=bool(variant.query)), "the agent is ready")
    if variant.stalled:
        process.freeze()
    sleep(_SETTLE_S)
    try:
        return _percentiles(host.do(f"measure {kind} {seconds}"))
    finally:
        host.do("close")
        process.thaw()


def _is_ready(client: Client | HttpClient, *, asked: bool) -> bool:
    if not asked:
        return any(not agent["gone"] for agent in client.agents())
    states = [agent["state"] for query in client.queries() for agent in query["agents"]]  # type: ignore[attr-defined]
    return "runs" in states


def _percentiles(latencies: object) -> tuple[float, float]:
    middle, high = np.percentile(np.array(latencies, float), [50, 99])
    return float(middle), float(high)


def _figure(
    name: str, rounds: list[tuple[float, float]], alone: list[tuple[float, float]], seed: int
) -> Figure:
    p50, p99 = np.median(np.array(rounds), axis=0)
    ratios = np.array([mine[1] / other[1] for mine, other in zip(rounds, alone, strict=True)])
    drawn = np.random.default_rng(seed).choice(ratios, (_RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return Figure(name, float(p50), float(p99), float(np.median(ratios)), float(low), float(high))
