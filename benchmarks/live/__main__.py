"""How fast an answer starts and events arrive, with real processes and sockets.

    python -m benchmarks.live                    all of it, about two minutes
    python -m benchmarks.live --only latency --seconds 10

Starts a source job and services as processes of their own, asks, and measures from outside: from
`subscribe` to the first row, from `publish` in a service to the row in a client, what leaves a
service that nobody asks, and how long a killed client's query goes on costing.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import quantiles
from time import perf_counter, sleep, time_ns

import click

from benchmarks.live.figure import Figure
from benchmarks.processes import loopback_bytes, services, source_job, start, stop, until
from source_jobs.client import connect


def first_row(seconds: float) -> list[Figure]:
    """From `subscribe` to the first row, with 20 agents of 10 events a second each."""
    took: list[float] = []
    with source_job() as job, services(job, 20, 10), connect(job.clients) as client:
        end = perf_counter() + seconds
        number = 0
        while perf_counter() < end:
            number += 1
            query = f"select number from requests where number != {-number}"  # each one is new
            asked = perf_counter()
            with client.subscribe(query) as answer:
                next(window for window in answer if window.num_rows)
                took.append((perf_counter() - asked) * 1000)
    middle, high = percentiles(took)
    text = f"p50 {middle:.0f} ms, p99 {high:.0f} ms ({len(took)} times)"
    return [Figure("subscription to first row, 20 agents", text, "p99 < 200 ms", high < 200)]


def latency(seconds: float) -> list[Figure]:
    """From `publish` to the client, at 20,000 events a second from four services."""
    delays: list[float] = []
    with (
        source_job() as job,
        services(job, 4, 5000),
        connect(job.clients) as client,
        client.subscribe("select sent_us from requests") as answer,
    ):
        began = perf_counter()
        for window in answer:
            if window.num_rows:
                now = time_ns() // 1000
                sent = window.table.column("sent_us").to_pylist()
                delays += [(now - at) / 1000 for at in sent]
            if perf_counter() - began > seconds:
                break
    middle, high = percentiles(delays)
    rate = len(delays) / seconds
    text = f"p50 {middle:.1f} ms, p99 {high:.1f} ms ({rate:,.0f} events/s)"
    goal = "p50 < 20 ms, p99 < 80 ms"
    return [Figure("event to client, four services", text, goal, middle < 20 and high < 80)]


def idle(seconds: float) -> list[Figure]:
    """What leaves the services while nobody asks: nothing that holds an event."""
    with source_job() as job, services(job, 4, 5000):
        before = loopback_bytes()
        sleep(seconds)
        rate = (loopback_bytes() - before) / seconds / 4
    text = f"{rate:,.0f} bytes/s each, heartbeats in both directions"
    goal = "less than one event in a thousand: < 1,000 bytes/s"
    return [Figure("nobody asks, four services at 5,000 events/s", text, goal, rate < 1000)]


def killed(_seconds: float) -> list[Figure]:
    """How long the query of a client that was killed goes on."""
    with source_job() as job, services(job, 2, 500), connect(job.clients) as client:
        other = start("cli", "query", "select * from requests", "--source-job", job.clients)
        try:
            until(lambda: len(client.queries()) == 1, "the query runs")
            other.kill()
            took = until(lambda: not client.queries(), "the query has ended")
        finally:
            stop(other)
    goal = "< 5 s"
    return [Figure("a killed client's query goes on for", f"{took:.1f} s", goal, took < 5)]


def cost(seconds: float) -> list[Figure]:
    """The share of a core that the agents of four services take, by what is asked."""
    queries = {
        "nobody asks": None,
        "every row asked": "select number from requests",
        "a count a second asked": "select count(*) from requests window 1",
        "rows that never come asked": "select number from requests where user_id == 'nobody'",
    }
    figures = []
    with source_job() as job, services(job, 4, 50) as running, connect(job.clients) as client:
        for name, query in queries.items():
            with contextlib.ExitStack() as stack:
                if query:
                    answer = stack.enter_context(client.subscribe(query))
                    threading.Thread(target=lambda answer=answer: list(answer), daemon=True).start()
                sleep(1)
                before = [cpu_seconds(service.pid) for service in running]
                sleep(seconds)
                used = [cpu_seconds(service.pid) for service in running]
                share = sum(b - a for a, b in zip(before, used, strict=True)) / seconds / 4
                label = f"a service of 50 events/s, {name}"
                figures.append(Figure(label, f"{share:.1%} of a core", "none", met=True))
    return figures


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    """The median and the 99th percentile."""
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]


PARTS: dict[str, Callable[[float], list[Figure]]] = {
    "first-row": first_row,
    "latency": latency,
    "idle": idle,
    "killed": killed,
    "cost": cost,
}


@click.command()
@click.option("--only", type=click.Choice(list(PARTS)), help="One part.")
@click.option("--seconds", default=15.0, show_default=True, help="How long each part measures.")
@click.option("--json", "as_json", is_flag=True, help="The figures as JSON.")
def main(only: str | None, seconds: float, as_json: bool) -> None:
    """Measure, print a table, and fail if a goal was missed."""
    figures: list[Figure] = []
    for name, part in PARTS.items():
        if only in (None, name):
            click.echo(f"{name} …", err=True)
            figures += part(seconds)
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
