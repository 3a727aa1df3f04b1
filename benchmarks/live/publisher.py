"""A service that does nothing but publish: the load of the live benchmarks and tests.

    python -m benchmarks.live.publisher --source-job tcp://127.0.0.1:7766 --service s1 --rate 5000

publishes until its standard input ends, then prints what it counted as one line of JSON.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from time import perf_counter, sleep, time_ns

import click

from publish_agent import Agent

STREAM = "requests"
_COUNTRIES = ("DE", "FR", "JP", "KR", "NL", "US")
_SHORTEST_S, _LONGEST_S = 0.002, 0.1


@click.command()
@click.option("--source-job", required=True, help="Where the source job listens for agents.")
@click.option("--service", required=True, help="The service's name.")
@click.option("--rate", default=1000.0, show_default=True, help="Events a second.")
@click.option("--burst", default=0, help="Publish so many events at once, then wait.")
@click.option("--buffer-events", default=65_536, show_default=True, help="The agent's buffer.")
@click.option("--cpu-share", type=float, help="The agent's budget, in cores.")
def main(
    source_job: str,
    service: str,
    rate: float,
    burst: int,
    buffer_events: int,
    cpu_share: float | None,
) -> None:
    """Publish at a steady rate until standard input ends."""
    agent = Agent(
        service=service,
        source_jobs=[source_job],
        buffer_events=buffer_events,
        cpu_share=cpu_share,
    )
    stream = agent.stream(STREAM)
    ended = threading.Event()
    threading.Thread(target=_wait_for_end, args=(ended,), daemon=True).start()
    print("ready", flush=True)
    statuses: Counter[str] = Counter()
    number = 0
    pause = 1.0 if burst else min(max(1 / (rate or 1), _SHORTEST_S), _LONGEST_S)
    start = perf_counter()
    while not ended.is_set():
        due = int((perf_counter() - start) * rate) if not burst else number + burst
        for number in range(number, due):  # noqa: B020 - goes on where it was
            statuses[stream.publish(make_event(number)).name] += 1
        number = due
        sleep(pause)
    agent.close()
    print(json.dumps({"published": number, **statuses}), flush=True)


def make_event(number: int) -> dict[str, object]:
    """An event of some 200 bytes that says when it was made."""
    return {
        "sent_us": time_ns() // 1000,
        "number": number,
        "user_id": f"u{number * 7919 % 100_000}",
        "country": _COUNTRIES[number % len(_COUNTRIES)],
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
