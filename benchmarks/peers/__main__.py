"""Compare answers about live events with other Python tools, each on one core, in one process.

    python -m benchmarks.peers                       both tables, some minutes
    python -m benchmarks.peers --table dicts --rounds 3
    python -m benchmarks.peers --check               same rows from every tool? nothing is timed

Every tool has to give the same rows before it is timed. The turns of all tools are interleaved in
random order; figures are medians of processor time, of all threads, in ns per event.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from random import Random

import click

from benchmarks.peers import columns as peer_columns
from benchmarks.peers import dicts as peer_dicts
from benchmarks.peers.turns import TableOptions
from benchmarks.report import machine

os.environ["POLARS_MAX_THREADS"] = "1"  # read when polars is imported, which is later

TABLES: dict[str, Callable[[TableOptions], bool]] = {
    "dicts": peer_dicts.report,
    "arrow": peer_columns.report,
}


@click.command()
@click.option(
    "--table", "tables", type=click.Choice(list(TABLES)), multiple=True, help="One of them."
)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
@click.option("--tools", help="Names of tools, such as polars,DuckDB; all by default.")
@click.option("--check", "checking", is_flag=True, help="Compare rows, and time nothing.")
def main(tables: Sequence[str], rounds: int, tools: str | None, checking: bool) -> None:
    """Compare answers about live events with other Python tools, each on one core."""
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    names = None if tools is None else [name.strip() for name in tools.split(",")]
    options = TableOptions(rounds, names, checking, Random(1))
    click.echo("\n".join(machine(core)))
    good = True
    for name in tables or TABLES:
        click.echo("")
        good = TABLES[name](options) and good
        gc.unfreeze()
        gc.collect()
    if not good:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
