"""What an agent costs its host while a query wants all of 200,000 events a second.

    python -m benchmarks.live.budget                    about a minute
    python -m benchmarks.live.budget --rate 50000 --seconds 5

A service, a source job and a client as processes of their own. The service is measured from
outside, first while a query's screen leaves out every event, then while one wants all of them;
the difference is what the agent costs beside the screen. Then the events of each second are
counted, and what the service says is compared with the answer and its stated errors.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from math import comb
from time import sleep
from typing import Any

import click

from benchmarks.live.figure import Figure
from benchmarks.live.offering import STREAM
from benchmarks.processes import source_job, start, stop, until
from publish_agent.settings import BYTES_PER_S, CPU_SHARE, MEMORY
from source_jobs.client import Client, HttpClient, connect

NOTHING = f"select * from {STREAM} where status == 1"
EVERYTHING = f"select * from {STREAM}"
COUNTED = f"select count(*) as n, sum(latency_ms) as latency from {STREAM} window 1"
_SETTLE_S = 2
_ENOUGH = 0.95
_BY_CHANCE = 0.001
"""What is less likely than this, if as many windows are as true as is promised, is no chance."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What a service did while a query ran: cores, events a second, bytes sent a second."""

    cores: float
    offered_s: float
    kept_s: float
    sent_s: float
    rss_bytes: int
    most_rss_bytes: int


class Service:
    """A service that publishes, and its reports."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._reports: list[dict[str, Any]] = []
        threading.Thread(target=self._read, args=(process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._reports.extend(map(json.loads, process.stdout))

    def measure(self, client: Client | HttpClient, seconds: float) -> Phase:
        """Wait until it has settled, then for so long; what it did in that time."""
        sleep(_SETTLE_S)
        first, sent = self.report(), sent_bytes(client)
        number = len(self._reports)
        sleep(seconds)
        last, more = self.report(), sent_bytes(client)
        span_s = last["at_s"] - first["at_s"]
        accepted = (each["statuses"].get("1", 0) for each in (first, last))
        before, after = accepted
        rss = [report["rss"] for report in self._reports[number - 1 :]]
        return Phase(
            (last["cpu_s"] - first["cpu_s"]) / span_s,
            (last["published"] - first["published"]) / span_s,
            (after - before) / span_s,
            (more - sent) / seconds,
            first["rss"],
            max(rss),
        )

    def report(self) -> dict[str, Any]:
        """The next report that it makes."""
        number = len(self._reports)
        until(lambda: len(self._reports) > number, "the service has said what it did")
        return self._reports[-1]


def sent_bytes(client: Client | HttpClient) -> int:
    """What the agents have sent for the queries that run."""
    queries: list[Any] = list(client.queries())
    costs = [agent.get("cost") or {} for query in queries for agent in query["agents"]]
    return sum(cost.get("sent_bytes", 0) for cost in costs)


@contextlib.contextmanager
def offering(rate: float) -> Iterator[tuple[Service, Client | HttpClient]]:
    """A service that publishes at a rate, and a client that may ask."""
    with source_job() as job:
        process = start("benchmarks.live.offering", "--source-job", job.agents, "--rate", str(rate))
        try:
            with connect(job.clients) as client:
                until(lambda: bool(client.agents()), "the service is known")
                yield Service(process), client
        finally:
            stop(process)


@contextlib.contextmanager
def asked(client: Client | HttpClient, query: str) -> Iterator[None]:
    """A query whose answer is read and thrown away."""
    with client.subscribe(query) as answer:
        threading.Thread(target=lambda: list(answer), daemon=True).start()
        yield


def costs(
    service: Service, client: Client | HttpClient, rate: float, seconds: float
) -> list[Figure]:
    """The agent's processor time, memory and bytes."""
    with asked(client, NOTHING):
        screened = service.measure(client, seconds)
    with asked(client, EVERYTHING):
        taken = service.measure(client, seconds)
        agent: dict[str, Any] = client.agents()[0]
    beside = taken.cores - screened.cores * taken.offered_s / screened.offered_s
    grown = taken.most_rss_bytes - screened.rss_bytes
    share = taken.kept_s / taken.offered_s
    return [
        Figure(
            "offered", f"{taken.offered_s:,.0f} events/s", f"{rate:,.0f}",
            taken.offered_s > 0.9 * rate,
        ),
        Figure(
            "processor, beside the screen",
            f"{beside:.1%} of a core (the agent's own measure: {agent['cpu_share']:.1%})",
            f"< {CPU_SHARE:.0%}",
            max(beside, agent["cpu_share"]) < CPU_SHARE,
        ),
        Figure("memory, grown by", f"{grown / 1e6:.0f} MB", f"< {MEMORY / 1e6:.0f} MB",
               grown < MEMORY),
        Figure("sent", f"{taken.sent_s / 1e6:.2f} MB/s", f"< {BYTES_PER_S / 1e6:.0f} MB/s",
               taken.sent_s < BYTES_PER_S),
        Figure("kept", f"{share:.2%} of the events", "none", met=True),
    ]  # fmt: skip


def counts(service: Service, client: Client | HttpClient, seconds: float) -> list[Figure]:
    """How often the true count, which the service knows, is inside the stated error."""
    found: dict[int, tuple[float, float]] = {}
    with client.subscribe(COUNTED) as answer:
        for piece in answer:
            known = piece.completeness
            if known is not None and not known.partial and piece.start_ms is not None:
                (row,) = piece.rows()
                found[piece.start_ms // 1000] = float(str(row["n"])), known.errors.get("n", 0.0)
            if len(found) >= seconds:
                break
    service.report()
    told = service.report()["seconds"]
    inside, widest = 0, 0.0
    for second, (count, error) in found.items():
        surely, perhaps = told[str(second)]
        inside += surely - error <= count <= surely + perhaps + error
        widest = max(widest, error / max(surely, 1))
    text = f"{inside} of {len(found)} windows of a second; errors of up to {widest:.1%} stated"
    met = _chance(len(found), len(found) - inside) > _BY_CHANCE
    return [Figure("true count inside the stated error", text, f"{_ENOUGH:.0%}", met)]


def _chance(windows: int, outside: int) -> float:
    """That so many windows of some are outside, or more, if each is as seldom as is promised."""
    chances = (
        comb(windows, k) * (1 - _ENOUGH) ** k * _ENOUGH ** (windows - k)
        for k in range(outside, windows + 1)
    )
    return sum(chances)


@click.command()
@click.option("--rate", default=200_000.0, show_default=True, help="Events a second.")
@click.option("--seconds", default=15.0, show_default=True, help="How long each part measures.")
@click.option("--json", "as_json", is_flag=True, help="The figures as JSON.")
def main(rate: float, seconds: float, as_json: bool) -> None:
    """Measure, print a table, and fail if a limit was not kept."""
    with offering(rate) as (service, client):
        figures = costs(service, client, rate, seconds) + counts(service, client, seconds)
    if as_json:
        click.echo(json.dumps([[f.name, f.value, f.goal, f.met] for f in figures]))
    else:
        version = platform.python_version()
        click.echo(f"{platform.machine()}, {os.cpu_count()} cores, Python {version}")
        click.echo("| what | measured | goal | met |\n| --- | --- | --- | --- |")
        for figure in figures:
            met = "yes" if figure.met else "no"
            click.echo(f"| {figure.name} | {figure.value} | {figure.goal} | {met} |")
    sys.exit(0 if all(figure.met for figure in figures) else 1)


if __name__ == "__main__":
    main()
