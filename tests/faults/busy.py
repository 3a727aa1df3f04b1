"""Whether windows that say *exact* agree with what a busy service has counted by its own clock."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from time import monotonic

import numpy as np

from benchmarks.processes import source_job, start, stop, until
from mql.columnar.layout import Ints
from mql.ledger import Completeness, Exactness
from source_jobs.client import Client, HttpClient, connect
from tests.faults.busy_service import STREAM

GOOD_TO_MS = 10
"""Times of events are good to this."""
QUERY = f"select count(a) as n from {STREAM} window 1"
_ENDED_S = 10.0


@dataclass(frozen=True, slots=True)
class Case:
    """A service: threads that burn, plain events a second, and what a slow one takes."""

    busy: int = 0
    rate: int = 500
    slow_ms: int = 0

    @property
    def arguments(self) -> tuple[str, ...]:
        """How the service is told."""
        named = {"--busy": self.busy, "--rate": self.rate, "--slow-ms": self.slow_ms}
        return tuple(text for name, value in named.items() for text in (name, str(value)))


CASES = {
    "4 busy threads, 500 events/s": Case(busy=4, rate=500),
    "4 busy threads, 3,000 events/s": Case(busy=4, rate=3_000),
    "an event takes 120 ms": Case(rate=200, slow_ms=120),
    "an event takes 400 ms": Case(rate=200, slow_ms=400),
}


@dataclass(frozen=True, slots=True)
class Window:
    """What a window says, and what the service has counted.

    `surely` were published in it, further than 10 ms from its edges; `maybe` as well as those that
    were published within 10 ms of an edge, whichever side.
    """

    known: Completeness
    told: int
    surely: int
    maybe: int

    @property
    def is_exact(self) -> bool:
        """Whether it says so."""
        return self.known.exactness is Exactness.EXACT

    @property
    def is_right(self) -> bool:
        """Whether no event is missing or too many, but for those near its edges."""
        return self.surely <= self.told <= self.maybe


@dataclass(frozen=True, slots=True)
class Outcome:
    """The windows that the query covered, all that was published, and how long a call took."""

    windows: tuple[Window, ...]
    published: int
    longest_ms: int

    @property
    def wrong(self) -> list[Window]:
        """Windows that say *exact* and are not."""
        return [window for window in self.windows if window.is_exact and not window.is_right]

    @property
    def exact(self) -> int:
        """How many say *exact*."""
        return sum(window.is_exact for window in self.windows)

    @property
    def edge_share(self) -> float:
        """The share of events that may be in either of two windows."""
        unsure = sum(window.maybe - window.surely for window in self.windows)
        return unsure / 2 / max(sum(window.maybe for window in self.windows), 1)


def measure(case: Case, seconds: float) -> Outcome:
    """Run a service and a source job, and compare what they say."""
    with source_job() as job:
        process = start("tests.faults.busy_service", "--source-job", job.agents, *case.arguments)
        try:
            assert process.stdout is not None
            assert process.stdin is not None
            process.stdout.readline()
            with connect(job.clients, timeout_s=30) as client:
                until(lambda: bool(client.agents()), "the service is known")
                told = _read(client, seconds)
            process.stdin.close()
            calls = np.array(json.loads(process.stdout.readline()), np.int64).reshape(-1, 3)
            process.wait(_ENDED_S)
        finally:
            stop(process)
    windows = tuple(_window(known, number, calls) for known, number in told)
    return Outcome(windows, len(calls), int((calls[:, 2] - calls[:, 0]).max()) // 1000)


def _read(client: Client | HttpClient, seconds: float) -> list[tuple[Completeness, int]]:
    """What the windows say that the query covered."""
    told, until_s = [], monotonic() + seconds
    with closing(client.subscribe(QUERY, timeout_s=30)) as answer:
        for piece in answer:
            known = piece.completeness
            if known is not None and not known.partial:
                told.append((known, sum(int(str(row["n"])) for row in piece.rows())))
            if monotonic() > until_s:
                break
    return told


def _window(known: Completeness, told: int, calls_us: Ints) -> Window:
    first_us, last_us, _ = calls_us.T
    start_us, end_us, near_us = known.start_ms * 1000, known.end_ms * 1000, GOOD_TO_MS * 1000
    surely = (first_us >= start_us + near_us) & (last_us < end_us - near_us)
    maybe = (last_us >= start_us - near_us) & (first_us < end_us + near_us)
    return Window(known, told, int(surely.sum()), int(maybe.sum()))


def problems_of(outcome: Outcome) -> list[str]:
    """What is not as it should be."""
    return [
        f"the window of {window.known.start_ms} says exact and {window.told:,} events; "
        f"{window.surely:,} to {window.maybe:,} were published"
        for window in outcome.wrong
    ]
