"""What one client that asks and leaves new texts, as fast as it can, costs a service.

    python -m benchmarks.live.flood                     half a minute
    python -m benchmarks.live.flood --rate 1200 --seconds 20 --unlimited

A service, a source job and clients; the service's processor time is measured by itself, first while
another client's query runs alone, then during the flood. `--unlimited` takes the source job's own
limits away, so that the agent has to protect its service.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter, sleep

import click

from benchmarks.live.budget import Phase, Service
from benchmarks.live.offering import STREAM
from benchmarks.processes import FREE_PORT, start, stop, until
from publish_agent.settings import CPU_SHARE
from source_jobs.client import Client, HttpClient, connect
from source_jobs.job import SourceJob
from source_jobs.settings import Settings

ASKED = f"select count(*) as n from {STREAM} where status >= 500 window 1"
_PLENTY = 1_000_000
_SETTLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Flood:
    """What a service took without and with it, and how many texts were asked in that time."""

    quiet: Phase
    flooded: Phase
    asked: int

    @property
    def more_cores(self) -> float:
        """What it costs the service."""
        return self.flooded.cores - self.quiet.cores

    @property
    def throughput(self) -> float:
        """The part of the service's events that it still publishes."""
        return self.flooded.offered_s / self.quiet.offered_s


def measure(rate: float, seconds: float, events_s: float, *, unlimited: bool = False) -> Flood:
    """Ask and leave `rate` new texts a second, for so long."""
    settings = Settings("job")
    if unlimited:
        settings = replace(
            settings, new_at_once=_PLENTY, new_per_s=_PLENTY, all_new_at_once=_PLENTY,
            all_new_per_s=_PLENTY,
        )  # fmt: skip
    with _serving(settings, events_s) as (job, service, client), client.subscribe(ASKED):
        sleep(_SETTLE_S)
        quiet = service.measure(client, seconds)
        ended = threading.Event()
        counts: list[int] = []
        flood = threading.Thread(target=_flood, args=(job, rate, ended, counts), daemon=True)
        flood.start()
        flooded = service.measure(client, seconds)
        ended.set()
        flood.join()
    return Flood(quiet, flooded, *counts)


@contextmanager
def _serving(
    settings: Settings, events_s: float
) -> Iterator[tuple[SourceJob, Service, Client | HttpClient]]:
    job = SourceJob(FREE_PORT, FREE_PORT, settings=settings).start()
    process = start(
        "benchmarks.live.offering", "--source-job", job.agents_address, "--rate", str(events_s)
    )
    try:
        with connect(job.clients_address, timeout_s=30) as client:
            service = Service(process)
            until(lambda: client.agents() != [], "the service is known")
            yield job, service, client
    finally:
        stop(process)
        job.stop()


def _flood(job: SourceJob, rate: float, ended: threading.Event, counts: list[int]) -> None:
    """Ask and leave, a hundredth of a second's texts at a time."""
    asked = 0
    began = perf_counter()
    with connect(job.clients_address, timeout_s=30) as client:
        while not ended.is_set():
            due = int((perf_counter() - began) * rate) - asked
            some = range(asked, asked + due)
            opened = [client.subscribe(_new(number), timeout_s=None) for number in some]
            sleep(0.01)
            for subscription in opened:
                subscription.close()
            asked += due
    counts.append(asked)


def _new(number: int) -> str:
    return f"select path, latency_ms from {STREAM} where latency_ms > {number} and n{number} == 1"


@click.command()
@click.option("--rate", default=600.0, show_default=True, help="New texts a second.")
@click.option("--seconds", default=10.0, show_default=True, help="Of each part.")
@click.option("--events", default=20_000.0, show_default=True, help="Events a second.")
@click.option("--unlimited", is_flag=True, help="The source job limits nothing.")
def main(rate: float, seconds: float, events: float, *, unlimited: bool) -> None:
    """Measure a flood of new queries."""
    found = measure(rate, seconds, events, unlimited=unlimited)
    click.echo(f"asked and left          {found.asked:,}")
    click.echo(f"cores of the service    {found.quiet.cores:.3f} and {found.flooded.cores:.3f}")
    click.echo(f"more                    {found.more_cores:.3f} (cpu_share is {CPU_SHARE})")
    click.echo(f"events it publishes     {found.throughput:.1%} of before")


if __name__ == "__main__":
    main()
