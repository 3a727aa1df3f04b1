"""A service whose own latency is measured: it answers requests, and publishes an event for each.

Reads commands, a line each, and answers each with a line: `agent ADDRESS` makes an agent, `close`
ends it, `measure KIND SECONDS` answers requests for so long and gives their latencies in µs.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from time import perf_counter, perf_counter_ns, sleep

from benchmarks.publisher import STREAM, make_event
from publish_agent import Agent, Stream

_BODY = json.dumps([make_event(number) for number in range(60)])
_WAIT_S = 0.008
_PAUSE_S = 0.002
"""Between requests: the service is not saturated, which no latency would survive."""


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


KINDS: dict[str, Callable[[], object]] = {"computes": compute, "waits": wait}


def measure(handle: Callable[[], object], seconds: float, stream: Stream | None) -> list[float]:
    """Answer requests one after another; the latency of each in µs, publishing included."""
    latencies = []
    end, number = perf_counter() + seconds, 0
    while perf_counter() < end:
        began = perf_counter_ns()
        handle()
        event = make_event(number)
        if stream is not None:
            stream.publish(event)
        latencies.append((perf_counter_ns() - began) / 1000)
        number += 1
        sleep(_PAUSE_S)
    return latencies


def main() -> None:
    """Do what standard input says, until it ends.

    Where that is allowed, its threads go before those of all others (`SCHED_FIFO`), so that other
    work on the machine is not taken for the agent's.
    """
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    agent: Agent | None = None
    stream: Stream | None = None
    for line in sys.stdin:
        answer: object = "ok"
        match line.split():
            case ["agent", address]:
                agent = Agent(service="host", source_jobs=[address])
                stream = agent.stream(STREAM)
            case ["close"] if agent is not None:
                agent.close()
                agent = stream = None
            case ["measure", kind, seconds]:
                answer = measure(KINDS[kind], float(seconds), stream)
            case _:
                answer = "what?"
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
