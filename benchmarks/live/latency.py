"""A publishing service's own latency, with its agent in one state or another.

One process is measured, so that nothing but the agent differs; the variants take turns in short
rounds, in random order, so that a machine which others use, too, does not decide. A figure of each
round is put beside that of the first variant in the same turn; told is the median of that over the
turns, with an interval of 95% from a bootstrap.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random
from time import sleep
from typing import Any, cast

import numpy as np

from benchmarks.processes import Job, source_job, start, stop, until
from source_jobs.client import Client, HttpClient, connect

Round = dict[str, float]
"""What a service told of a round: `mean_us`, `p50_us`, `p99_us`, `p999_us`, `longest_us`, `took`.
"""

_SETTLE_S = 0.3
_RESAMPLES = 4_000
_QUERIES_PER_CLIENT = 200
_READY_S = 120.0


@dataclass(frozen=True, slots=True)
class Variant:
    """What state the agent is in: what is asked of it, its budget, whether its job is stalled."""

    name: str
    agent: bool = True
    queries: tuple[str, ...] = ()
    cpu_share: float | None = None
    stalled: bool = False


@dataclass(frozen=True, slots=True)
class Spread:
    """A median over the turns, and its interval of 95%."""

    middle: float
    low: float
    high: float


@dataclass(slots=True)
class Rounds:
    """The rounds of one variant, and those of the first one in the same turns."""

    variant: Variant
    alone: list[Round]
    mine: list[Round] = field(default_factory=list)

    def median(self, what: str) -> float:
        """The median over the turns."""
        return float(np.median([each[what] for each in self.mine]))

    def ratio(self, what: str) -> Spread:
        """How many times what it is in the first variant."""
        return self._spread(lambda mine, alone: mine[what] / alone[what])

    def added(self, what: str) -> Spread:
        """By how much it is more than in the first variant."""
        return self._spread(lambda mine, alone: mine[what] - alone[what])

    def _spread(self, of: Callable[[Round, Round], float]) -> Spread:
        found = np.array([of(m, a) for m, a in zip(self.mine, self.alone, strict=True)])
        drawn = np.random.default_rng(1).choice(found, (_RESAMPLES, len(found)))
        low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
        return Spread(float(np.median(found)), float(low), float(high))


class Host:
    """The measured service; on one core, if one is named."""

    def __init__(self, core: int | None = None) -> None:
        self.popen: subprocess.Popen[str] = start("benchmarks.live.host")
        if core is not None:
            self.do(f"core {core}")

    def do(self, command: str) -> object:
        """Have it do something; what it answers."""
        self.begin(command)
        return self.answer()

    def begin(self, command: str) -> None:
        """Have it begin to do something."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(command + "\n")
        self.popen.stdin.flush()

    def answer(self) -> object:
        """What it answers once that is done."""
        assert self.popen.stdout is not None
        return json.loads(self.popen.stdout.readline())


def measure(
    variants: Sequence[Variant],
    kind: str,
    turns: int,
    seconds: float,
    *,
    core: int | None = None,
    seed: int = 1,
) -> list[Rounds]:
    """Let the variants take turns, `seconds` for each round; those of the first are the measure."""
    random = Random(seed)
    first = Rounds(variants[0], [])
    first.alone = first.mine
    rounds = [first, *(Rounds(variant, first.mine) for variant in variants[1:])]
    with ExitStack() as stack:
        host = Host(core)
        stack.callback(stop, host.popen)
        jobs = {v: stack.enter_context(_asked(v)) for v in variants if v.agent}
        host.do(f"measure {kind} {seconds}")  # what the first round would pay for
        for _ in range(turns):
            for each in random.sample(rounds, len(rounds)):
                each.mine.append(_round(host, each.variant, jobs, kind, seconds))
    return rounds


@contextmanager
def _asked(variant: Variant) -> Iterator[tuple[Job, Client | HttpClient]]:
    """A source job of which is asked what the variant says."""
    with source_job() as job, ExitStack() as stack:
        client = asker = _connected(job, stack)
        for number, query in enumerate(variant.queries):
            if number and number % _QUERIES_PER_CLIENT == 0:
                asker = _connected(job, stack)
            answer = stack.enter_context(asker.subscribe(query, timeout_s=10))
            if len(variant.queries) == 1:  # of many nothing comes but that nothing did
                threading.Thread(target=lambda answer=answer: list(answer), daemon=True).start()
        yield job, client


def _connected(job: Job, stack: ExitStack) -> Client | HttpClient:
    client = connect(job.clients, timeout_s=30)
    stack.callback(client.close)
    return client


def _round(
    host: Host,
    variant: Variant,
    jobs: dict[Variant, tuple[Job, Client | HttpClient]],
    kind: str,
    seconds: float,
) -> Round:
    """One round of one variant."""
    if not variant.agent:
        sleep(_SETTLE_S)
        return _told(host.do(f"measure {kind} {seconds}"))
    job, client = jobs[variant]
    assert job.process is not None
    share = "" if variant.cpu_share is None else f" {variant.cpu_share}"
    host.do(f"agent {job.agents}{share}")
    asked = len(variant.queries)
    until(lambda: _is_ready(client, asked), "the agent is ready", _READY_S)
    if variant.stalled:
        os.kill(job.process.pid, signal.SIGSTOP)
    sleep(_SETTLE_S)
    try:
        return _told(host.do(f"measure {kind} {seconds}"))
    finally:
        host.do("close")
        os.kill(job.process.pid, signal.SIGCONT)


def _is_ready(client: Client | HttpClient, asked: int) -> bool:
    """Whether an agent is there, and runs so many queries."""
    if not asked:
        return any(not agent["gone"] for agent in client.agents())
    queries: list[dict[str, Any]] = list(client.queries())
    running = [q for q in queries if any(agent["state"] == "runs" for agent in q["agents"])]
    return len(running) >= asked


def _told(answer: object) -> Round:
    assert isinstance(answer, dict), answer
    return cast("Round", answer)
