"""A service that does nothing but publish, and records each event where a kill cannot reach it.

    python -m tests.faults.service --source-job tcp://127.0.0.1:7766 --service s1 --record FILE

publishes at the rate that its record says until its standard input ends. Events come ten times a
second, some at once, as they do from a service that is asked in bursts. While the record says so,
the thread that publishes waits without giving the interpreter to any other, the agent's included.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from time import perf_counter, time_ns

import click

from benchmarks.live.publisher import STREAM, make_event
from publish_agent import Agent, Stream
from tests.faults.record import CAPACITY, Record

_TICK_S = 0.1
_SWITCH_S, _HOLDS_S = sys.getswitchinterval(), 3600.0
"""After so long a thread is asked to give the interpreter to others that wait for it."""
_MOST_BEHIND_S = 0.5
"""A service that slept does not make up for more."""


@click.command()
@click.option("--source-job", required=True, help="Where the source job listens for agents.")
@click.option("--service", required=True, help="The service's name.")
@click.option("--record", required=True, type=click.Path(path_type=Path), help="Its record.")
@click.option("--buffer-events", default=65_536, show_default=True, help="The agent's buffer.")
def main(source_job: str, service: str, record: Path, buffer_events: int) -> None:
    """Publish until standard input ends."""
    agent = Agent(
        service=service,
        source_jobs=[source_job],
        buffer_events=buffer_events,
        cpu_share=100,  # events are accounted for one by one: none may be sampled
    )
    ended = threading.Event()
    threading.Thread(target=_wait_for_end, args=(ended,), daemon=True).start()
    stream = agent.stream(STREAM)
    click.echo("ready")
    _publish(stream, Record(record), ended)
    agent.close()


def _publish(stream: Stream, record: Record, ended: threading.Event) -> None:
    number, due, before = record.published, 0.0, perf_counter()
    while not _wait(record, ended) and number < CAPACITY:
        now = perf_counter()
        passed, before = now - before, now
        due += record.rate * min(passed, _MOST_BEHIND_S)
        while due >= 1 and number < CAPACITY:
            event = make_event(number)
            time_us = time_ns() // 1000
            record.begin(number, time_us)
            record.end(number, time_us, stream.publish(event))
            number, due = number + 1, due - 1


def _wait(record: Record, ended: threading.Event) -> bool:
    """Wait for the next tick; whether the service has to end."""
    if not record.starves:
        sys.setswitchinterval(_SWITCH_S)
        return ended.wait(_TICK_S)
    sys.setswitchinterval(_HOLDS_S)
    end = perf_counter() + _TICK_S
    while perf_counter() < end:
        pass
    return ended.is_set()


def _wait_for_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


if __name__ == "__main__":
    main()
