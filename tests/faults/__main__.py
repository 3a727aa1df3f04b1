"""Real processes, real faults.

    python -m tests.faults                      every scenario, about six minutes
    python -m tests.faults kill-job partition   some of them
    python -m tests.faults --quick              the short form, with fewer services

prints a row for each: how long until an answer told of it, how long until answers were whole again
once nothing hurt any more, and what was lost, as the answers reported it and as the publishers'
records say.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from source_jobs.client import connect
from tests.faults.clock import library
from tests.faults.fleet import fleet
from tests.faults.run import Result, run
from tests.faults.scenarios import SCENARIOS

GROUPS = {"near": 10, "far": 4, "relayed": 3, "timed": 3}
SHORT_GROUPS = {"near": 4, "relayed": 2}
RATE = 100
_COLUMNS = ("fault", "told after", "whole after", "published", "absent", "reported", "named", "")


@click.command()
@click.argument("names", nargs=-1, metavar="[SCENARIO]…")
@click.option("--quick", is_flag=True, help="The short form.")
@click.option("--rate", default=RATE, show_default=True, help="Events a second of each service.")
def main(names: tuple[str, ...], rate: int, *, quick: bool) -> None:
    """Run scenarios, print a table, and fail if one did not go as it should."""
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        raise click.UsageError(f"no such scenario: {unknown[0]}; there are {', '.join(SCENARIOS)}")
    chosen = names or [n for n, scenario in SCENARIOS.items() if scenario.short or not quick]
    console, results = Console(stderr=True), []
    groups = SHORT_GROUPS if quick else GROUPS
    with tempfile.TemporaryDirectory() as folder:
        with fleet(Path(folder), groups, rate, library()) as made:
            with connect(made.clients_address, timeout_s=30) as client:
                made.wait_known(client)
                for name in chosen:
                    console.print(f"{name} …")
                    results.append(run(name, SCENARIOS[name], made, client))
                    for problem in results[-1].problems:
                        console.print(f"  {problem}")
            click.echo(f"{sum(groups.values())} services at {rate} events/s each; {made.networks}")
    _print(results)
    sys.exit(1 if any(result.problems for result in results) else 0)


def _print(results: list[Result]) -> None:
    table = Table(*_COLUMNS)
    for result in results:
        table.add_row(*_cells(result))
    Console(width=130).print(table)


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
