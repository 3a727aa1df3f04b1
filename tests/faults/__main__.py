"""Real processes, real faults.

    python -m tests.faults                      every scenario, about fifteen minutes
    python -m tests.faults kill-job partition   some of them
    python -m tests.faults --quick              the short form, with fewer services

runs them, in an order of its own, and prints a row for each: how long until an answer told of it;
how long until answers were whole again once nothing hurt any more; of the events that were
published (by the publishers' records) how many are absent from the answer; how many of those it
reported by number, and how many lie in spans of time, or with agents, that it named. `disk`,
`busy` and `latency` have tables of their own.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.processes import services, source_job
from source_jobs.client import connect
from tests.faults.busy import CASES, Outcome, problems_of
from tests.faults.busy import measure as measure_busy
from tests.faults.clock import library
from tests.faults.disk import write_all
from tests.faults.fleet import fleet
from tests.faults.latency import KINDS, measure
from tests.faults.run import Result, run
from tests.faults.scenarios import SCENARIOS

GROUPS = {"near": 10, "far": 4, "relayed": 3, "timed": 3}
SHORT_GROUPS = {"near": 4, "relayed": 2}
OTHERS = ("disk", "busy", "latency")
RATE, TURNS = 100, 20
BOUNDED = "waits"
"""The kind of service whose latency has a bound; of the other it is only shown."""

_ROUND_S = 1.0
_BUSY_S = 30.0
_WIDTH = 120
_COLUMNS = ("fault", "told after", "whole after", "published", "absent", "reported", "named", "")
_LATENCIES = ("variant", "p50", "p99", "p99, to no agent", "95% interval")


@click.command()
@click.argument("names", nargs=-1, metavar="[SCENARIO]…")
@click.option("--quick", is_flag=True, help="The short form.")
@click.option("--rate", default=RATE, show_default=True, help="Events a second of each service.")
@click.option("--turns", default=TURNS, show_default=True, help="Of each variant, for `latency`.")
def main(names: tuple[str, ...], rate: int, turns: int, *, quick: bool) -> None:
    """Run scenarios, print tables, and fail if one did not go as it should."""
    there = (*SCENARIOS, *OTHERS)
    unknown = [name for name in names if name not in there]
    if unknown:
        raise click.UsageError(f"no such scenario: {unknown[0]}; there are {', '.join(there)}")
    short = [name for name, scenario in SCENARIOS.items() if scenario.short]
    chosen = names or (short if quick else there)
    problems: list[str] = []
    faults = [name for name in SCENARIOS if name in chosen]
    if faults:
        problems += _faults(faults, SHORT_GROUPS if quick else GROUPS, rate)
    if "disk" in chosen:
        problems += _disk()
    if "busy" in chosen:
        problems += _busy()
    if "latency" in chosen:
        problems += [problem for kind in KINDS for problem in _latency(kind, turns)]
    for problem in problems:
        click.echo(problem, err=True)
    sys.exit(1 if problems else 0)


def _faults(names: list[str], groups: dict[str, int], rate: int) -> list[str]:
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        with fleet(Path(folder), groups, rate, library()) as made:
            with connect(made.clients_address, timeout_s=30) as client:
                made.wait_known(client)
                for name in names:
                    click.echo(f"{name} …", err=True)
                    results.append(run(name, SCENARIOS[name], made, client))
            click.echo(f"{sum(groups.values())} services at {rate} events/s each; {made.networks}")
    table = Table(*_COLUMNS, box=MARKDOWN)
    for result in results:
        table.add_row(*_cells(result))
    Console(width=_WIDTH).print(table)
    return [f"{result.scenario}: {problem}" for result in results for problem in result.problems]


def _disk() -> list[str]:
    table, problems = Table("a full disk", "ends after", "and says", "", box=MARKDOWN), []
    with tempfile.TemporaryDirectory() as folder, source_job() as job, services(job, 2, 200):
        for written in write_all(Path(folder), job.clients):
            verdict = "failed" if written.problems else "ok"
            said = written.said.replace(folder, "…")
            table.add_row(written.what, f"{written.seconds:.1f} s", said, verdict)
            problems += [f"{written.what}: {problem}" for problem in written.problems]
    Console(width=_WIDTH).print(table)
    return problems


def _busy() -> list[str]:
    names = "a service", "windows", "exact", "wrong", "events", "near an edge", ""
    table, problems = Table(*names, box=MARKDOWN), []
    for name, case in CASES.items():
        click.echo(f"{name} …", err=True)
        outcome = measure_busy(case, _BUSY_S)
        found = problems_of(outcome)
        table.add_row(name, *_counts(outcome), "failed" if found else "ok")
        problems += [f"{name}: {problem}" for problem in found]
    Console(width=_WIDTH).print(table)
    return problems


def _counts(outcome: Outcome) -> list[str]:
    numbers = len(outcome.windows), outcome.exact, len(outcome.wrong), outcome.published
    return [*(f"{number:,}" for number in numbers), f"{outcome.edge_share:.1%}"]


def _latency(kind: str, turns: int) -> list[str]:
    click.echo(f"latency of a service whose request {kind} …", err=True)
    figures = measure(kind, turns, _ROUND_S)
    click.echo(f"a service whose request {kind}, {turns} turns of {_ROUND_S:.0f} s")
    table = Table(
        f"a service whose request {kind}", "p50", "p99", "p99, to no agent", "95% interval"
    )
    for each in figures:
        table.add_row(
            each.variant,
            f"{each.p50_us / 1000:.2f} ms",
            f"{each.p99_us / 1000:.2f} ms",
            f"{each.ratio:.3f}",
            f"{each.low:.3f} to {each.high:.3f}",
        )
    Console(width=_WIDTH).print(table)
    bounded = figures if kind == BOUNDED else []
    return [f"latency, {f.variant}: {f.ratio:.3f} times" for f in bounded if not f.is_met]


def _cells(result: Result) -> list[str]:
    if result.skipped:
        return [result.what, *[""] * 6, f"skipped: {result.skipped}"]
    told = result.told
    numbers = [""] * 4
    if told is not None:
        numbers = [f"{n:,}" for n in (told.published, told.absent, told.lost, told.taken)]
    return [
        result.what,
        _seconds(result.notice_s),
        _seconds(result.recover_s),
        *numbers,
        "failed" if result.problems else "ok",
    ]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


if __name__ == "__main__":
    main()
