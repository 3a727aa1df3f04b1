"""Compare mql with DuckDB, polars and jq over one file of events, each on one core.

    python -m benchmarks.files                       nine queries, a million events, five runs
    python -m benchmarks.files --only 1,4 --runs 3
    python -m benchmarks.files --check               same rows from every tool? nothing is timed

Whole processes are measured, alternating the tools; the start-up of each is query 1 over a file
of a single event, and that of a long query its own. This process stays small (no NumPy, no
DuckDB): its own size would show up in the peaks of its children.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import click

from benchmarks.check import difference
from benchmarks.files.tools import TOOLS, Tool
from benchmarks.measure import FailedError, Place, Usage, floor, run
from benchmarks.queries import QUERIES, Query
from benchmarks.report import machine, markdown

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "bench"
BASELINE = "duckdb"

_HEADER = (
    *("query", "tool", "median s", "range s", "cpu s"),
    *("ns/event", "M/s after start", "x DuckDB", "peak MB"),
)
_VERSION_SECONDS = 60


@dataclass(slots=True)
class Series:
    """The runs of one tool over one file; `events` is zero for the start-up."""

    label: str
    tool: Tool
    query: Query
    file: Path
    events: int
    start: Series | None = None
    runs: list[Usage] = field(default_factory=list)
    failure: str = ""

    @property
    def wall(self) -> float:
        """The median of the seconds."""
        return median(usage.wall for usage in self.runs)

    @property
    def rate(self) -> float:
        """Events a second beyond the start-up; none where that was not measured."""
        beyond = self.wall - self.start.wall if self.start and self.start.runs else 0
        return self.events / beyond if beyond > 0 else 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, and over which files."""

    tools: Sequence[Tool]
    queries: Sequence[Query]
    file: Path
    single: Path
    events: int
    place: Place


def events_file(count: int) -> Path:
    """Return the file of so many events; write it unless there is one newer than its generator."""
    path = BUILD / f"events-{count}.ndjson"
    generator = ROOT / "benchmarks" / "events.py"
    if path.exists() and path.stat().st_mtime > generator.stat().st_mtime:
        return path
    BUILD.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    arguments = (sys.executable, "-m", "benchmarks.events", str(partial), "--count", str(count))
    if subprocess.run(arguments, cwd=ROOT, check=False).returncode:
        raise click.ClickException(f"cannot write {count:,} events to {partial}")
    return partial.replace(path)


def installed(names: Sequence[str]) -> list[tuple[Tool, str]]:
    """The named tools that answer, each with its version; tell about the others."""
    found = []
    for tool in TOOLS:
        if tool.name not in names:
            continue
        version, problem = _ask(tool.version)
        if problem:
            click.echo(f"{tool.name}: skipped, {problem}", err=True)
        else:
            found.append((tool, version))
    return found


def _ask(arguments: Sequence[str]) -> tuple[str, str]:
    """Return the last word of what a command prints, or else why there is none."""
    try:
        done = subprocess.run(
            arguments,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=_VERSION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    words = done.stdout.split()
    if done.returncode or not words:
        lines = done.stderr.strip().splitlines() or ["it says nothing"]
        return "", f"exit code {done.returncode}: {lines[-1]}"
    return words[-1].removeprefix("jq-"), ""


def _series(plan: Plan) -> list[list[Series]]:
    """The start-up, then every query: of each, the tools to alternate."""
    shared = [Series("start", tool, QUERIES[0], plan.single, 0) for tool in plan.tools]
    groups = [shared]
    for query in plan.queries:
        starts, label = shared, str(query.number)
        if query.shown:
            able = [tool for tool in plan.tools if tool.can(query)]
            starts = [Series(f"start {label}", tool, query, plan.single, 0) for tool in able]
            groups.append(starts)
        groups.append(
            [
                Series(label, start.tool, query, plan.file, plan.events, start)
                for start in starts
                if start.tool.can(query)
            ]
        )
    return groups


def measure(plan: Plan, runs: int) -> list[list[Series]]:
    """Run everything, the tools in turn, and tell of each run on standard error."""
    groups = _series(plan)
    _warm(plan.file)
    for group in groups:
        for number in range(1, runs + 1):
            for series in group:
                if not series.failure:
                    _step(series, plan.place, f"run {number}/{runs}")
    return groups


def _step(series: Series, place: Place, which: str) -> None:
    command = series.tool.command(series.query, str(series.file), os.devnull)
    try:
        usage = run(command, place)
    except FailedError as error:
        series.failure = str(error)
        click.echo(f"query {series.label}, {series.tool.name}: {error}", err=True)
        return
    series.runs.append(usage)
    click.echo(f"query {series.label}, {which}, {series.tool.name}: {usage.wall:.2f} s", err=True)


def _warm(path: Path) -> None:
    """Bring a file into the page cache."""
    with path.open("rb") as file:
        while file.read(1 << 20):
            pass


def table(groups: Iterable[Sequence[Series]], smallest: float) -> str:
    """An aligned markdown table of all runs; `smallest` is the least peak that can be seen."""
    rows = [cells for group in groups for cells in _rows(group, smallest)]
    return markdown(_HEADER, rows, left=2)


def _rows(group: Sequence[Series], smallest: float) -> Iterator[tuple[str, ...]]:
    bases = [series.wall for series in group if series.tool.name == BASELINE and series.runs]
    for series in group:
        names = (series.label, series.tool.name)
        if series.failure:
            yield (*names, "failed", *("" for _ in _HEADER[3:]))
        else:
            yield (*names, *_figures(series, bases, smallest))


def _figures(series: Series, bases: Sequence[float], smallest: float) -> tuple[str, ...]:
    walls = [usage.wall for usage in series.runs]
    cpu = median(usage.cpu for usage in series.runs)
    peak = median(usage.peak for usage in series.runs)
    return (
        f"{series.wall:.3f}",
        f"{min(walls):.2f}-{max(walls):.2f}",
        f"{cpu:.3f}",
        f"{series.wall / series.events * 1e9:,.0f}" if series.events else "",
        f"{series.rate / 1e6:.2f}" if series.rate else "",
        f"{series.wall / bases[0]:.2f}" if bases else "",
        f"{peak:.0f}" if peak > smallest * 1.05 else f"<{smallest:.0f}",
    )


def check(plan: Plan) -> bool:
    """Compare the rows of every tool with those of DuckDB, and print what differs."""
    tools = sorted(plan.tools, key=lambda tool: tool.name != BASELINE)
    if tools[0].name != BASELINE:
        raise click.ClickException(f"there is no {BASELINE} to compare with")
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for query in plan.queries:
            for tool in tools:
                if tool.can(query):
                    found, fine = _compared(plan, query, tool, Path(folder))
                    click.echo(f"query {query.number}, {tool.name}: {found}")
                    good = good and fine
    return good


def _compared(plan: Plan, query: Query, tool: Tool, folder: Path) -> tuple[str, bool]:
    """Say what a tool found, and whether DuckDB found it before."""
    expected = folder / f"{query.number}-{BASELINE}"
    out = folder / f"{query.number}-{tool.name}"
    try:
        run(tool.command(query, str(plan.file), str(out)), plan.place)
    except FailedError as error:
        return f"failed, {error}", False
    if not expected.exists():
        return f"nothing from {BASELINE} to compare with", False
    if tool.name == BASELINE:
        with out.open("rb") as file:
            return f"{sum(1 for _ in file):,} rows", True
    problem = difference(query, expected, out)
    return f"differs, {problem}" if problem else "the same rows", not problem


def _picked(text: str, known: Sequence[str]) -> list[str]:
    """The comma-separated words of an option, all of them known."""
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if word not in known:
            raise click.BadParameter(f"{word!r} is none of {', '.join(known)}")
    return words


def _picker(known: Sequence[str]) -> Callable[[object, object, str], list[str]]:
    return lambda _context, _option, text: _picked(text, known)


def _report(plan: Plan, found: Sequence[tuple[Tool, str]], runs: int) -> bool:
    size = plan.file.stat().st_size
    versions = ", ".join(f"{tool.name} {version}" for tool, version in found)
    lines = machine(plan.place.core, versions)
    lines.append(f"input: {plan.events:,} events, {size:,} bytes; median of {runs} runs")
    groups = measure(plan, runs)
    smallest = floor(plan.place)  # last: this process has grown meanwhile
    texts = [f"{query.number}. `{query.shown or query.mql}`" for query in plan.queries]
    failed = [series for group in groups for series in group if series.failure]
    notes = [f"query {s.label}, {s.tool.name} failed: {s.failure}" for s in failed]
    for part in ("\n".join(lines), "\n".join(texts), table(groups, smallest), "\n".join(notes)):
        if part:
            click.echo(part + "\n")
    return not failed


_NUMBERS = [str(query.number) for query in QUERIES]
_NAMES = [tool.name for tool in TOOLS]


@click.command()
@click.option("--events", default=1_000_000, show_default=True, type=click.IntRange(min=1))
@click.option("--runs", default=5, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--only",
    default=",".join(_NUMBERS),
    callback=_picker(_NUMBERS),
    help="Numbers of queries, such as 1,4.",
)
@click.option(
    "--tools",
    default=",".join(_NAMES),
    callback=_picker(_NAMES),
    help="Names of tools, such as mql,duckdb.",
)
@click.option("--core", type=int, help="The core to run on; by default the last there is.")
@click.option("--timeout", default=600.0, show_default=True, help="Seconds a run may take.")
@click.option("--check", "checking", is_flag=True, help="Compare rows with DuckDB instead.")
def main(
    events: int,
    runs: int,
    only: list[str],
    tools: list[str],
    core: int | None,
    timeout: float,
    checking: bool,
) -> None:
    """Compare mql with DuckDB, polars and jq over one file of events, each on one core."""
    cores = os.sched_getaffinity(0)
    if core is not None and core not in cores:
        raise click.BadParameter(f"core {core} is none of {sorted(cores)}")
    place = Place(ROOT, max(cores) if core is None else core, timeout)
    names = [*tools, BASELINE] if checking else tools
    found = installed(names)
    if not found:
        raise click.ClickException("none of the tools is there")
    if checking and "mql" in tools and found[0][0].name != "mql":
        raise click.ClickException("there is no mql to check")
    plan = Plan(
        tools=[tool for tool, _ in found],
        queries=[query for query in QUERIES if str(query.number) in only],
        file=events_file(events),
        single=events_file(1),
        events=events,
        place=place,
    )
    good = check(plan) if checking else _report(plan, found, runs)
    if not good:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
