"""The tools compared: how each is asked for its version and how each runs a query."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.measure import Command
from benchmarks.queries import Query

Build = Callable[[Query, str, str], Command]


@dataclass(frozen=True, slots=True)
class Tool:
    """`command` makes the command of a query, a file of events and a file for JSON lines.

    Into the null device a tool may skip what only comparing rows needs.
    """

    name: str
    version: tuple[str, ...]
    command: Build

    def can(self, query: Query) -> bool:
        """Whether the tool has a reasonable way to say the query."""
        return self.name != "jq" or bool(query.jq)


def mql_command(query: Query, events: str, out: str) -> Command:
    """The command line of this project."""
    timed = ("--time", "ts") if query.windowed else ()
    return Command(
        (
            *(sys.executable, "-m", "cli", "run", query.mql, events, *timed),
            *("--output", "jsonl", "--out", out),
        )
    )


def _duckdb_command(query: Query, events: str, out: str) -> Command:
    sql = query.duckdb
    if out == os.devnull:
        return Command(_runner("duckdb_runner", sql, events))
    ordered = f"{sql} order by ts // 10000" if query.windowed else sql
    return Command(_runner("duckdb_runner", ordered, events, out))


def _polars_command(query: Query, events: str, out: str) -> Command:
    outputs = () if out == os.devnull else (out,)
    arguments = _runner("polars_runner", str(query.number), events, *outputs)
    return Command(arguments, {"POLARS_MAX_THREADS": "1"})


def _jq_command(query: Query, events: str, out: str) -> Command:
    return Command(("jq", "-c", query.jq, events), output=out)


def _runner(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"benchmarks.{module}", *arguments)


def _version(package: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import {package}; print({package}.__version__)")


TOOLS = (
    Tool("mql", (sys.executable, "-m", "cli", "--version"), mql_command),
    Tool("duckdb", _version("duckdb"), _duckdb_command),
    Tool("polars", _version("polars"), _polars_command),
    Tool("jq", ("jq", "--version"), _jq_command),
)
