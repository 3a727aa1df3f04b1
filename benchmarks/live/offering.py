"""A service that publishes as fast as it is told, and says each second what that took.

    python -m benchmarks.live.offering --source-job tcp://127.0.0.1:7766 --rate 200000

prints one line of JSON a second until its standard input ends: what was published, what became
of it, the processor time and the memory of the process; and of each second of the clock how many
events it surely published in it, and how many perhaps.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from pathlib import Path
from time import perf_counter, process_time, sleep, time

import click

from publish_agent import Agent

STREAM = "requests"
_EVENTS = 1_000
_PAUSE_S = 0.002
_SECONDS = 60
"""So many seconds of the clock are told of."""


@click.command()
@click.option("--source-job", required=True, help="Where the source job listens for agents.")
@click.option("--rate", default=200_000.0, show_default=True, help="Events a second.")
@click.option("--cpu-share", type=float, help="The agent's budget, in cores.")
def main(source_job: str, rate: float, cpu_share: float | None) -> None:
    """Publish at a steady rate until standard input ends."""
    agent = Agent(service="offering", source_jobs=[source_job], cpu_share=cpu_share)
    publish = agent.stream(STREAM).publish
    ended = threading.Event()
    threading.Thread(target=_wait_for_end, args=(ended,), daemon=True).start()
    events = [make_event(number) for number in range(_EVENTS)]
    statuses: Counter[int] = Counter()
    seconds: dict[int, list[int]] = {}
    published, number = 0, 0
    start = told = perf_counter()
    while not ended.is_set():
        now = perf_counter()
        due = int((now - start) * rate) - published
        before = int(time())
        statuses.update([publish(events[(number + i) % _EVENTS]) for i in range(due)])
        after = int(time())
        for second in (before, after) if before != after else (before,):
            seconds.setdefault(second, [0, 0])[before != after] += due
        number, published = (number + due) % _EVENTS, published + due
        if now - told >= 1:
            told = now
            report(published, statuses, seconds)
            seconds = {s: seconds[s] for s in seconds if s > before - _SECONDS}
        sleep(_PAUSE_S)
    agent.close()


def report(published: int, statuses: Counter[int], seconds: dict[int, list[int]]) -> None:
    """Print what has been so far."""
    named = {str(status): count for status, count in statuses.items()}
    line = {
        "at_s": perf_counter(),
        "published": published,
        "statuses": named,
        "cpu_s": process_time(),
        "rss": resident_bytes(),
        "seconds": seconds,
    }
    print(json.dumps(line), flush=True)


def resident_bytes() -> int:
    """The memory of this process that is in use."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def make_event(number: int) -> dict[str, object]:
    """An event of some 200 bytes."""
    return {
        "number": number,
        "user_id": f"u{number * 7919 % 100_000}",
        "status": 500 if number % 61 == 0 else 200,
        "latency_ms": (number * 31 % 997) / 10,
        "path": f"/items/{number % 100}",
        "deploy": {"version": "2.8.1", "canary": number % 10 == 0},
    }


def _wait_for_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


if __name__ == "__main__":
    main()
