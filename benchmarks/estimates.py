"""How often sums of a sample are as near to the truth as is stated, for all kinds of values.

    python -m benchmarks.estimates                  a table, two minutes
    python -m benchmarks.estimates --windows 100

Windows of made-up events are sampled with NumPy's dice as an agent does, its limits learned from
the windows before. Their states and errors come from the code that is measured; the truth, and the
bounds that it is compared with, come from NumPy alone.
"""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from time import process_time
from typing import Any

import click
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mql.columnar.layout import TIME, Mask
from mql.events.decode import EventReader
from mql.exec.aggregates.partial_aggregate import PartialAggregate
from mql.exec.build import Context, Pipeline
from mql.exec.limits import Limits
from mql.exec.operator import WEIGHT, Block, Counters, Window, window_index
from mql.exec.windows.event_time import EventClock
from mql.language.syntax import Property
from mql.layout import layout_of
from mql.planner.logical import WindowAggregate
from mql.result import Chunk
from publish_agent.capture.large_values import Learned
from source_jobs.query.estimates import stated_errors
from source_jobs.query.live_query import read_question

Random = np.random.Generator
Values = Callable[[Random, int], np.ndarray]

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
GROUPS = 5
"""Of the events of a window half are of the first group, a quarter of the second, and so on."""

SUM, COUNT = "SUM(x)", "COUNT(*)"
_ALL = "select count(*), sum(x) from s window 1"
_GROUPED = "select count(*), sum(x), g from s window 1 group by g"


def _rare(random: Random, size: int) -> np.ndarray:
    """Values of which one in five hundred is a thousand times larger."""
    return random.uniform(50, 150, size) * np.where(random.random(size) < 0.002, 1_000, 1)


PLAIN: dict[str, Values] = {
    "uniform": lambda random, size: random.uniform(0, 100, size),
    "normal": lambda random, size: random.normal(100, 15, size),
    "exponential": lambda random, size: random.exponential(10, size),
    "lognormal 0.5": lambda random, size: random.lognormal(3, 0.5, size),
    "lognormal 1": lambda random, size: random.lognormal(3, 1, size),
}
HEAVY: dict[str, Values] = {
    "lognormal 2": lambda random, size: random.lognormal(3, 2, size),
    "Pareto 1.1": lambda random, size: random.pareto(1.1, size) + 1,
    "0.2% x 1,000": _rare,
    "Pareto 1.1, both signs": lambda random, size: (
        (random.pareto(1.1, size) + 1) * random.choice([-1, 1], size)
    ),
}


@cache
def real_values() -> dict[str, Values]:
    """Sizes of a site's answers, and durations in two systems of microservices, where they are."""
    found: dict[str, np.ndarray] = {}
    log = DATA / "apache_access.ndjson"
    if log.exists():
        lines = log.read_bytes().splitlines()
        sizes = [msgspec.json.decode(line).get("bytes") for line in lines]
        found["bytes of a web log"] = np.array([size for size in sizes if size], np.float64)
    spans = sorted((DATA / "nezha" / "normal").rglob("spans.parquet"))
    for number, path in enumerate(spans[:2], 1):
        column = pq.read_table(path).column("duration_us")
        found[f"durations of spans, {number}"] = column.to_numpy().astype(np.float64)
    return {name: _drawn_from(values) for name, values in found.items()}


def _drawn_from(values: np.ndarray) -> Values:
    return lambda random, size: random.choice(values, size)


@dataclass(frozen=True)
class Sampled:
    """Windows of events: their values, their groups, and which were kept, for which reason."""

    weight: int
    windows: int
    window: np.ndarray
    x: np.ndarray
    g: np.ndarray
    thrown: np.ndarray
    limits: np.ndarray
    """By window; infinite where large values are kept by the dice alone."""

    @property
    def large(self) -> Mask:
        """The events that are kept for being large."""
        large: Mask = np.abs(self.x) > self.limits[self.window]
        return large


def sampled(
    values: Values, weight: int, events: int, windows: int, seed: int, *, keeps_large: bool = True
) -> Sampled:
    """Windows of about so many events, one of `weight` of which is kept."""
    random = np.random.default_rng(seed)
    sizes = random.poisson(events, windows)
    window = np.repeat(np.arange(windows), sizes)
    x, thrown = values(random, len(window)), random.random(len(window)) < 1 / weight
    g = np.minimum(random.geometric(0.5, len(window)), GROUPS)
    limits = np.full(windows, np.inf)
    if keeps_large:
        learned = Learned()
        learned.add(np.abs(values(random, events // weight + 1)), weight)
        ends = np.cumsum(sizes)
        for number, (start, end) in enumerate(zip(ends - sizes, ends, strict=True)):
            limits[number] = learned.limit(weight)
            here = np.abs(x[start:end])
            large = here > limits[number]
            learned.add(here[large], 1)
            learned.add(here[~large & thrown[start:end]], weight)
    return Sampled(weight, windows, window, x, g, thrown, limits)


def answers(
    load: Sampled, query: str, *, as_rows: bool = False
) -> Iterator[tuple[int, list[dict[str, Any]], dict[str, float]]]:
    """The rows of each window, and by how much they may be off (infinite: nothing is stated)."""
    question = read_question(query)
    counters = Counters()
    context = Context(lambda: 0, start_ms=0, counters=counters)
    pipeline = Pipeline(question.plan.job, context)
    blocks: list[Block] = []
    nothing = EventReader(question.plan.agent.ships).from_events([]).batch
    if as_rows:
        rows = _rows(load, load.thrown, nothing.schema.names)
        weights = np.full(rows.num_rows, load.weight)
        rows = rows.append_column(WEIGHT, pa.array(weights))
        ends = np.searchsorted(load.window[load.thrown], np.arange(load.windows), side="right")
        for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            part = EventClock().stamp(rows.slice(start, end - start), number * 1000)
            blocks += pipeline.push(part)
    else:
        step = question.plan.job[0]
        assert isinstance(step, WindowAggregate)
        for weight, kept in ((load.weight, load.thrown & ~load.large), (1, load.large)):
            states = _states(load, kept, step, nothing.schema.names, weight)
            if states is not None:
                pipeline.absorb(states, weight)
    blocks += pipeline.push(EventClock().stamp(nothing, 0))
    blocks += pipeline.finish(load.windows * 1000)
    layout = layout_of(question.plan.steps)
    for block in blocks:
        index = window_index(block)
        for number, bounds in enumerate(block.windows or ()):
            first, last = index.searchsorted([number, number + 1])
            found = Chunk(layout, block.batch.slice(first, last - first), bounds).rows()
            known = counters.errors.get(Window(bounds.start_ms, bounds.end_ms), {})
            assert bounds.start_ms is not None
            errors = stated_errors(question.plan, known, load.weight)
            yield bounds.start_ms // 1000, found, errors


def _rows(load: Sampled, kept: np.ndarray, names: list[str]) -> pa.RecordBatch:
    columns = {TIME: load.window[kept] * 1000, "x": load.x[kept], "g": load.g[kept]}
    return pa.RecordBatch.from_arrays([pa.array(columns[name]) for name in names], names)


def _states(
    load: Sampled, kept: np.ndarray, step: WindowAggregate, names: list[str], weight: int
) -> pa.RecordBatch | None:
    """The states that an agent would send of what was kept, which takes a window at a time."""
    partial = PartialAggregate(step, Limits(), lambda: 0, spread=weight > 1)
    rows = _rows(load, kept, names)
    ends = np.searchsorted(load.window[kept], np.arange(load.windows), side="right")
    for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        limit = float(load.limits[number])
        limits = {Property(("x",)): limit} if isfinite(limit) else {}
        partial.update(rows.slice(start, end - start), limits)
    return partial.take()


@dataclass(frozen=True)
class Coverage:
    """Of windows, or of the rows of groups: the shares that had a bound, and were within it.

    `width` is the median bound as a share of the true sum, and `fair` is what a bound from all
    values would be, if nothing was kept for being large.
    """

    stated: float
    inside: float
    counts_inside: float
    width: float
    fair: float


def coverage(load: Sampled, *, grouped: bool = False, as_rows: bool = False) -> Coverage:
    """Compare what is stated with the truth."""
    cells = load.window * (GROUPS + 1) + load.g if grouped else load.window
    size = load.windows * (GROUPS + 1) if grouped else load.windows
    sums = np.bincount(cells, load.x, size)
    sizes = np.bincount(cells, np.abs(load.x), size)
    counts = np.bincount(cells, minlength=size)
    spread = np.sqrt((load.weight - 1) * np.bincount(cells, load.x**2, size))
    bounds, off, fair, counted = [], [], [], []
    for window, rows, errors in answers(load, _GROUPED if grouped else _ALL, as_rows=as_rows):
        for row in rows:
            cell = window * (GROUPS + 1) + int(row["g"]) if grouped else window
            bounds.append(errors[SUM] / sizes[cell])
            off.append(abs(row[SUM] - sums[cell]) / sizes[cell])
            fair.append(1.96 * spread[cell] / sizes[cell])
            counted.append(abs(row[COUNT] - counts[cell]) <= errors[COUNT])
    bound, deviation = np.array(bounds), np.array(off)
    stated = np.isfinite(bound)
    inside = (deviation <= bound * (1 + 1e-9))[stated]
    return Coverage(
        float(stated.mean()),
        float(inside.mean()) if len(inside) else 1.0,
        float(np.mean(counted)),
        float(np.median(bound[stated])) if stated.any() else np.inf,
        float(np.median(fair)),
    )


def before(load: Sampled) -> tuple[float, float]:
    """How often a bound held that knows no limit, and has L from a window's cubes; its width."""
    k, z = load.weight, 1.96
    x, window = load.x[load.thrown], load.window[load.thrown]
    squares = np.bincount(window, x**2, load.windows)
    cubes = np.bincount(window, np.abs(x) ** 3, load.windows)
    step = (k - 1) * cubes / np.where(squares > 0, squares, 1)
    bound = z * np.sqrt(k * (k - 1) * squares + (z / 2 * step) ** 2) + z * z / 2 * step
    true = np.bincount(load.window, load.x, load.windows)
    sizes = np.bincount(load.window, np.abs(load.x), load.windows)
    off = np.abs(k * np.bincount(window, x, load.windows) - true)
    return float((off <= bound).mean()), float(np.median(bound / sizes))


@click.command()
@click.option("--windows", default=400, show_default=True)
def main(windows: int) -> None:
    """Print a table of all values, rates and sizes."""
    print(f"{platform.machine()}, {_processor()}, at {_commit()}, {windows} windows each")
    print("values | kept | events | before: inside, width | rows: stated, inside, width"
          " | now: stated, inside, width | fair | of groups: stated, inside")  # fmt: skip
    began = process_time()
    for name, values in (PLAIN | HEAVY | real_values()).items():
        for weight, events in ((2, 200), (5, 1_000), (20, 1_000), (20, 10_000), (50, 5_000)):
            load = sampled(values, weight, events, windows, seed=weight)
            plain = sampled(values, weight, events, windows, seed=weight, keeps_large=False)
            held, width = before(plain)
            rows = coverage(plain, as_rows=True)
            now, by_group = coverage(load), coverage(load, grouped=True)
            print(
                f"{name} | {1 / weight:.0%} | {events:,} | {held:.1%}, {width:.1%}"
                f" | {rows.stated:.1%}, {rows.inside:.1%}, {rows.width:.1%}"
                f" | {now.stated:.1%}, {now.inside:.1%}, {now.width:.1%} | {now.fair:.1%}"
                f" | {by_group.stated:.1%}, {by_group.inside:.1%}",
                flush=True,
            )
    print(f"{process_time() - began:.0f} s of processor time")


def _processor() -> str:
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return models[0].partition(": ")[2] if models else platform.processor()


def _commit() -> str:
    command = ("git", "describe", "--always", "--dirty")
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main()
