"""A service whose own latency is measured: it answers requests, and publishes an event for each.

Reads commands, a line each, and answers each with a line of JSON: `agent ADDRESS [CPU_SHARE]` makes
an agent, `close` ends it, `core N` has it run there, `measure KIND SECONDS` answers requests for so
long and tells of their latencies, `publish SECONDS` only publishes, and tells of the calls,
`offer USER` publishes an event of a user, and tells what became of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from time import perf_counter_ns, sleep

import numpy as np

from benchmarks.live.publisher import STREAM, make_event
from publish_agent import Agent, Stream
from publish_agent.capture.event_buffer import Status

_BODY = json.dumps([make_event(number) for number in range(60)])
_WAIT_S = 0.008
_PAUSE_S = 0.002
"""Between requests of a service that is not saturated."""
_TRIALS, _STEPS = 200, 100


def compute() -> object:
    """What a request computes: about a millisecond of reading, adding up and writing JSON."""
    orders = json.loads(_BODY)
    by_country: dict[str, float] = {}
    for _ in range(8):
        for order in orders:
            country = str(order["country"])
            by_country[country] = by_country.get(country, 0.0) + float(order["latency_ms"])
    return json.dumps({"orders": orders[:20], "sums": by_country})


def wait() -> object:
    """The same, after having waited for a database."""
    sleep(_WAIT_S)
    return compute()


def _count(steps: int) -> int:
    total = 0
    for step in range(steps):
        total += step % 7
    return total


@cache
def _steps(us: float) -> int:
    """How many steps of pure Python take so long here, when nothing is in their way."""
    best = min(_timed(_STEPS) for _ in range(_TRIALS))
    return max(1, round(us * 1_000 * _STEPS / best))


def _timed(steps: int) -> int:
    began = perf_counter_ns()
    _count(steps)
    return perf_counter_ns() - began


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of request, and how long the service rests after each."""

    handle: Callable[[], object]
    pause_s: float = 0.0


KINDS = {
    "computes": Kind(compute, _PAUSE_S),
    "waits": Kind(wait, _PAUSE_S),
    "takes-12us": Kind(lambda: _count(_steps(12.0))),
    "takes-2.5us": Kind(lambda: _count(_steps(2.5))),
}


def measure(kind: Kind, seconds: float, stream: Stream | None) -> dict[str, float]:
    """Answer requests one after another; the latencies in µs, publishing included.

    `took` is 1 if the agent takes such events.
    """
    handle, pause_s, latencies = kind.handle, kind.pause_s, []
    publish = None if stream is None else stream.publish
    handle()
    began = perf_counter_ns()
    end, number = began + int(seconds * 1e9), 0
    while began < end:
        began = perf_counter_ns()
        handle()
        event = make_event(number)
        if publish is not None:
            publish(event)
        latencies.append(perf_counter_ns() - began)
        number += 1
        if pause_s:
            sleep(pause_s)
    took = publish is not None and publish(make_event(number)) is Status.ACCEPTED
    return {**_told(latencies), "took": float(took)}


def publish_for(seconds: float, stream: Stream) -> dict[str, float]:
    """Publish one event after another; how long the calls took, in µs."""
    publish, taken, number = stream.publish, [], 0
    began = perf_counter_ns()
    end = began + int(seconds * 1e9)
    while began < end:
        event = make_event(number)
        began = perf_counter_ns()
        publish(event)
        taken.append(perf_counter_ns() - began)
        number += 1
    return _told(taken)


def _told(taken_ns: Sequence[int]) -> dict[str, float]:
    taken = np.array(taken_ns, np.float64) / 1_000
    p50, p99, p999 = np.percentile(taken, [50, 99, 99.9]).tolist()
    return {
        "mean_us": float(taken.mean()),
        "p50_us": p50,
        "p99_us": p99,
        "p999_us": p999,
        "longest_us": float(taken.max()),
    }


def main() -> None:
    """Do what standard input says, until it ends.

    Where that is allowed, its threads go before those of all others (`SCHED_FIFO`; on one core, by
    a high priority), so that other work on the machine is not taken for the agent's.
    """
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    agent: Agent | None = None
    stream: Stream | None = None
    for line in sys.stdin:
        answer: object = "ok"
        match line.split():
            case ["core", core]:
                os.sched_setaffinity(0, {int(core)})
                # One that never rests would never let its other threads begin.
                with contextlib.suppress(OSError, AttributeError):
                    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
                    os.setpriority(os.PRIO_PROCESS, 0, -20)
            case ["agent", address, *share]:
                cpu_share = float(share[0]) if share else None
                agent = Agent(service="host", source_jobs=[address], cpu_share=cpu_share)
                stream = agent.stream(STREAM)
            case ["close"] if agent is not None:
                agent.close()
                agent = stream = None
            case ["measure", kind, seconds]:
                answer = measure(KINDS[kind], float(seconds), stream)
            case ["offer", user] if stream is not None:
                answer = stream.publish({"user_id": user}).name
            case ["publish", seconds] if stream is not None:
                answer = publish_for(float(seconds), stream)
            case _:
                answer = "what?"
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
