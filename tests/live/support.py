"""A source job and agents in this process, on free ports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from publish_agent import Agent
from source_jobs.job import SourceJob

ANY_PORT = "tcp://127.0.0.1:*"
LIMIT_S = 10.0


@contextmanager
def source_job(**options: object) -> Iterator[SourceJob]:
    """A source job, in a thread."""
    job = SourceJob(ANY_PORT, ANY_PORT, **options)  # type: ignore[arg-type]
    with job:
        yield job


@contextmanager
def publishing(
    job: SourceJob, service: str, streams: Mapping[str, Callable[[int], object]], **options: object
) -> Iterator[Agent]:
    """An agent, and a thread that publishes an event to each stream every few milliseconds.

    Unless a test says so it does not sample: a busy machine would decide what is tested.
    """
    options = {"cpu_share": 100.0, **options}
    agent = Agent(service=service, source_jobs=[job.agents_address], **options)  # type: ignore[arg-type]
    stop = threading.Event()

    def publish() -> None:
        number = 0
        while not stop.wait(0.004):
            for stream, make in streams.items():
                agent.publish(stream, make(number))
            number += 1

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield agent
    finally:
        stop.set()
        thread.join()
        agent.close()


def until(condition: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    """Wait until something is so."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.01)
