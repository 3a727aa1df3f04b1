"""A service whose threads burn, or whose events take long to publish; it keeps its own time.

    python -m tests.faults.busy_service --source-job tcp://127.0.0.1:7766 --busy 4 --rate 500

publishes until its standard input ends. Then it prints, as JSON, three times of each of its
`publish` calls (µs since 1970, by its own clock): when it can have begun, at the earliest and at
the latest, and when it had returned.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass, field
from random import Random

import click

import publish_agent.preload  # noqa: F401 - beside threads that compute, an import takes seconds
from publish_agent import Agent, Stream

STREAM = "work"
_TICK_S = 0.004
_PUBLISHERS = 2
_BEFORE_S = 0.13
"""Slow events begin up to so long before the end of a second."""


@dataclass(slots=True)
class Times:
    """When calls of `publish` began, between two times, and returned; any thread adds to it."""

    calls: list[tuple[int, int, int]] = field(default_factory=list)

    def publish(self, stream: Stream, event: object) -> None:
        """Publish a plain event: the call has begun when it has returned."""
        before_us = _now_us()
        stream.publish(event)
        after_us = _now_us()
        self.calls.append((before_us, after_us, after_us))

    def publish_slowly(self, stream: Stream, span_s: float) -> None:
        """Publish an event with a value that is slow to read: it had begun when that was read."""
        value = Slow(span_s)
        before_us = _now_us()
        stream.publish({"a": value})
        after_us = _now_us()
        self.calls.append((before_us, value.read_us or after_us, after_us))


class Slow:
    """A value of a type of its own, whose text takes time."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self.read_us = 0

    def __str__(self) -> str:
        self.read_us = self.read_us or _now_us()
        time.sleep(self._span_s)
        return "slow"


@click.command()
@click.option("--source-job", required=True, help="Where the source job listens for agents.")
@click.option("--busy", default=0, help="Threads that do nothing but compute.")
@click.option("--rate", default=500, help="Plain events a second.")
@click.option("--slow-ms", default=0, help="How long one more event takes in each second.")
def main(source_job: str, busy: int, rate: int, slow_ms: int) -> None:
    """Publish until standard input ends."""
    agent = Agent(service="busy", source_jobs=[source_job], cpu_share=100)  # none may be sampled
    stream, times, ended = agent.stream(STREAM), Times(), threading.Event()
    threads = [threading.Thread(target=_burn, args=(ended,)) for _ in range(busy)]
    steady = stream, times, rate / _PUBLISHERS, ended
    threads += [threading.Thread(target=_publish, args=steady) for _ in range(_PUBLISHERS)]
    if slow_ms:
        slow = stream, times, slow_ms / 1000, ended
        threads.append(threading.Thread(target=_publish_slowly, args=slow))
    for thread in threads:
        thread.start()
    click.echo("ready")
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    agent.close()
    click.echo(json.dumps(times.calls))


def _burn(ended: threading.Event) -> None:
    number = 0
    while not ended.is_set():
        for _ in range(10_000):
            number = (number * 31 + 7) % 1_000_003


def _publish(stream: Stream, times: Times, rate: float, ended: threading.Event) -> None:
    due, before = 0.0, time.perf_counter()
    while not ended.wait(_TICK_S):
        now = time.perf_counter()
        due, before = due + rate * (now - before), now
        while due >= 1:
            times.publish(stream, {"a": 1})
            due -= 1


def _publish_slowly(stream: Stream, times: Times, span_s: float, ended: threading.Event) -> None:
    dice = Random(16)  # noqa: S311 - for the sake of variety
    while not ended.is_set():
        left_s = 1 - time.time() % 1 - dice.uniform(0.005, _BEFORE_S)
        ended.wait(left_s if left_s > 0 else left_s + 1)
        times.publish_slowly(stream, span_s)


def _now_us() -> int:
    return time.time_ns() // 1000


if __name__ == "__main__":
    main()
