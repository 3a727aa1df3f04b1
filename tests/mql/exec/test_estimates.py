"""Counts and sums of a sample lie, in 95 of 100 cases, no further from the truth than is said."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from math import isfinite

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.estimates import HEAVY, PLAIN, before, coverage, real_values, sampled
from mql.columnar.dice import Dice
from mql.columnar.layout import TIME
from mql.events.decode import EventReader
from mql.exec.aggregates.partial_aggregate import PartialAggregate
from mql.exec.build import Context, Pipeline
from mql.exec.limits import Limits
from mql.exec.operator import WEIGHT, Block, Counters, Window, window_index
from mql.exec.windows.event_time import EventClock
from mql.layout import layout_of
from mql.planner.logical import WindowAggregate
from mql.result import Chunk
from publish_agent.capture.sampler import MOST, Sampler
from source_jobs.query.estimates import stated_errors
from source_jobs.query.live_query import Question, read_question

RUNS = 1_000
"""Each is a window of a second, of events that are like those of no other window."""

NOISE = 3 * (0.95 * 0.05 / RUNS) ** 0.5
"""How far below 95% so many runs may come by chance, in one case of 700."""

WEIGHTS = (1, 3, 20)
"""Where the events of each window were looked at: by agents, and at times, that kept so many."""

GROUPS = 4

MANY = 1_000
"""Events in a window; of fewer the bounds have to be wide."""


@dataclass
class Load:
    """The events that match, as columns: when, how large, of which group; and which were kept."""

    weight: int
    times: np.ndarray
    x: np.ndarray
    g: np.ndarray
    kept: np.ndarray

    def rows(self) -> pa.RecordBatch:
        columns = [pa.array(c[self.kept]) for c in (self.times, self.x, self.g)]
        return pa.RecordBatch.from_arrays(columns, [TIME, "x", "g"])


def thrown_by(random: np.random.Generator) -> Dice:
    return Dice(int(random.integers(2**63)))


def loads(random: np.random.Generator) -> list[Load]:
    """What came in each window at each weight: from many events to few, from all matching to 1%."""
    return [one_load(random, weight) for weight in WEIGHTS]


def one_load(random: np.random.Generator, weight: int) -> Load:
    offered = (10 ** random.uniform(2, 3.3, RUNS)).astype(int)
    share = 10 ** random.uniform(-2, 0, RUNS)
    run = np.repeat(np.arange(RUNS), offered)
    total = len(run)
    matches = random.random(total) < share[run]
    kept = np.ones(total, np.bool_)
    if weight > 1:
        for start in range(0, total, MOST):
            throws = Sampler(weight, thrown_by(random), MOST).throws
            kept[start : start + MOST] = [*islice(throws, min(MOST, total - start))]
    return Load(
        weight,
        run[matches] * 1000 + random.integers(0, 1000, int(matches.sum())),
        random.lognormal(3.0, 0.7, int(matches.sum())),
        np.minimum(random.geometric(0.5, int(matches.sum())), GROUPS),
        kept[matches],
    )


def answer_of(
    question: Question, parts: list[Load], *, as_rows: bool = False
) -> dict[int, tuple[list[dict[str, float]], dict[str, float]]]:
    """The rows of each window, and by how much they may be off."""
    counters = Counters()
    pipeline = Pipeline(question.plan.job, Context(lambda: 0, start_ms=0, counters=counters))
    step = question.plan.job[0]
    assert isinstance(step, WindowAggregate)
    nothing = EventReader(question.plan.agent.ships).from_events([]).batch
    blocks: list[Block] = []
    batches = [part.rows().select(nothing.schema.names) for part in parts]
    if as_rows:
        weights = [np.full(b.num_rows, p.weight) for b, p in zip(batches, parts, strict=True)]
        rows = pa.Table.from_batches(batches).append_column(WEIGHT, [np.concatenate(weights)])
        (rows,) = rows.sort_by(TIME).combine_chunks().to_batches()
        blocks += pipeline.push(EventClock().stamp(rows, 0))
    for part, batch in zip(parts, batches, strict=True):
        partial = PartialAggregate(step, Limits(), lambda: 0, spread=part.weight > 1)
        partial.update(batch)
        states = partial.take()
        if not as_rows and states is not None:
            pipeline.absorb(states, part.weight)
    blocks += pipeline.push(EventClock().stamp(nothing, 0))
    blocks += pipeline.finish(RUNS * 1000)
    layout = layout_of(question.plan.steps)
    answer = {}
    for block in blocks:
        index = window_index(block)
        for number, window in enumerate(block.windows or ()):
            first, last = index.searchsorted([number, number + 1])
            rows = Chunk(layout, block.batch.slice(first, last - first), window).rows()
            known = counters.errors.get(Window(window.start_ms, window.end_ms), {})
            errors = stated_errors(question.plan, known, max(WEIGHTS))
            errors = {name: error for name, error in errors.items() if isfinite(error)}
            assert window.start_ms is not None
            answer[window.start_ms // 1000] = rows, errors
    return answer


@pytest.mark.parametrize("as_rows", [False, True], ids=["states travel", "rows travel"])
def test_the_true_count_and_sum_are_inside_the_stated_bounds(*, as_rows: bool) -> None:
    parts = loads(np.random.default_rng(1))
    question = read_question("select count(*), sum(x) from s window 1")
    answer = answer_of(question, parts, as_rows=as_rows)
    runs = np.concatenate([part.times // 1000 for part in parts])
    true = {
        "COUNT(*)": np.bincount(runs, minlength=RUNS),
        "SUM(x)": np.bincount(runs, np.concatenate([part.x for part in parts]), minlength=RUNS),
    }
    for name, values in true.items():
        pairs = [
            (row[name] - values[run], errors[name], true["COUNT(*)"][run] > MANY)
            for run, ((row,), errors) in answer.items()
            if name in errors
        ]
        assert len(pairs) > 0.95 * RUNS, "of a sum nothing is said where nothing was seen"
        difference, error, many = np.array(pairs).T
        inside, half = (abs(difference) <= error / part for part in (1, 2))
        assert inside.mean() >= 0.95 - NOISE, name
        assert half[many > 0].mean() < 0.95 - NOISE, "of many events half would not be enough"
        assert abs(difference.sum()) < 2 * (error**2).sum() ** 0.5, "scaling has no bias"


def test_each_group_is_inside_the_bounds_of_its_window() -> None:
    parts = loads(np.random.default_rng(2))
    question = read_question("select count(*), sum(x), g from s window 1 group by g")
    answer = answer_of(question, parts)
    cells = np.concatenate([part.times // 1000 * (GROUPS + 1) + part.g for part in parts])
    size = RUNS * (GROUPS + 1)
    counts = np.bincount(cells, minlength=size).reshape(RUNS, -1)
    sums = np.bincount(cells, np.concatenate([p.x for p in parts]), size).reshape(RUNS, -1)
    inside = []
    for run, (rows, errors) in answer.items():
        found = {int(row["g"]): row for row in rows}
        for g in range(1, GROUPS + 1):
            row = found.get(g, {"COUNT(*)": 0, "SUM(x)": 0.0})
            inside.append(
                (
                    abs(row["COUNT(*)"] - counts[run, g]) <= errors["COUNT(*)"],
                    abs(row["SUM(x)"] - sums[run, g]) <= errors.get("SUM(x)", np.inf),
                )
            )
    assert np.mean(inside, axis=0).min() >= 0.95 - NOISE


WINDOWS = 200
CHANCE = 3 * (0.95 * 0.05 / WINDOWS) ** 0.5
"""How far below 95% so many windows may come by chance."""


MANY_OF_FEW = [(name, 20, 2_000) for name in [*PLAIN, *HEAVY, *real_values()]]
HALF = [(name, 5, 300) for name in ("normal", "exponential", *HEAVY)]


@pytest.mark.parametrize(("name", "weight", "events"), MANY_OF_FEW + HALF)
def test_sums_of_all_kinds_of_values_are_inside_the_bounds(
    name: str, weight: int, events: int
) -> None:
    load = sampled((PLAIN | HEAVY | real_values())[name], weight, events, WINDOWS, seed=events)
    for grouped in (False, True):
        found = coverage(load, grouped=grouped)
        assert found.stated > 0.99
        assert found.inside >= 0.95 - CHANCE
        assert found.counts_inside >= 0.95 - CHANCE
        if not grouped:
            most = 1.5 if name in PLAIN else 1.2
            assert found.width <= most * max(found.fair, 5 * weight / events), "no wider than fair"


@pytest.mark.parametrize("name", ["normal", "exponential", *HEAVY])
def test_where_large_values_may_be_left_out_little_seen_is_no_bound(name: str) -> None:
    load = sampled((PLAIN | HEAVY)[name], 20, 1_000, WINDOWS, seed=3, keeps_large=False)
    found = coverage(load, as_rows=True)
    assert 0.8 < found.stated < 0.9, "of the first 1,500 values nothing is said"
    assert found.inside >= 0.95 - CHANCE
    if name in PLAIN:
        assert found.width <= 2 * found.fair
    if name in HEAVY:
        held, _ = before(load)
        assert held < 0.95, "else these values would prove nothing"


@pytest.mark.parametrize("own", [30, 5])
@pytest.mark.parametrize("weight", [1, 4])
@pytest.mark.parametrize("travel", ["states", "rows"])
def test_a_sample_of_the_query_s_own_is_covered_too(own: int, weight: int, travel: str) -> None:
    share, random, windows = own / 100, np.random.default_rng(own + weight), 200
    sample = f"{{'strategy': 'RANDOM', 'threshold': {own}, 'factor': 100, 'extrapolate': true}}"
    question = read_question(f"select count(*), sum(x) from s sample {sample} window 1")
    assert question.share == share
    counters = Counters()
    context = Context(lambda: 0, start_ms=0, counters=counters, share=question.share)
    pipeline = Pipeline(question.plan.job, context)
    step = question.plan.job[0]
    assert isinstance(step, WindowAggregate)
    x = random.exponential(10, 2_000 * windows)
    times = np.sort(random.integers(0, windows * 1_000, len(x)))
    kept = random.random(len(x)) < share / weight
    names = EventReader(question.plan.agent.ships).from_events([]).batch.schema.names
    columns = {TIME: pa.array(times[kept]), "x": pa.array(x[kept])}
    rows = pa.RecordBatch.from_arrays([columns[name] for name in names], names)
    if travel == "rows":
        weights = pa.array(np.full(rows.num_rows, weight))
        blocks = pipeline.push(EventClock().stamp(rows.append_column(WEIGHT, weights), 0))
    else:
        partial = PartialAggregate(step, Limits(), lambda: 0, spread=True)
        partial.update(rows)
        states = partial.take()
        assert states is not None
        pipeline.absorb(states, weight)
        blocks = pipeline.push(EventClock().stamp(rows.slice(0, 0), 0))
    blocks += pipeline.finish(windows * 1_000)
    true = np.bincount(times // 1_000, x, windows), np.bincount(times // 1_000, minlength=windows)
    inside, width, layout = [], [], layout_of(question.plan.steps)
    for block in blocks:
        for number, window in enumerate(block.windows or ()):
            (row,) = Chunk(layout, block.batch.slice(number, 1), window).rows()
            known = counters.errors.get(Window(window.start_ms, window.end_ms), {})
            errors = stated_errors(question.plan, known, weight)
            for name, values in zip(("SUM(x)", "COUNT(*)"), true, strict=True):
                off = abs(float(str(row[name])) - values[(window.start_ms or 0) // 1_000])
                inside.append(off <= errors[name])
                width.append(errors[name])
    assert len(inside) == 2 * windows
    assert np.mean(inside) >= 0.95 - CHANCE
    fair = 1.96 * np.sqrt((weight / share - 1) * 2_000 * 200)
    assert fair * 0.9 < np.median(width[::2]) < fair * 1.6


@pytest.mark.parametrize("weight", [2, 7, 100, 1000])
def test_a_sampler_keeps_each_event_with_the_same_chance(weight: int) -> None:
    random = np.random.default_rng(weight)
    size, runs = 5_000, 200
    kept = np.zeros(size)
    for _ in range(runs):
        throws = Sampler(weight, thrown_by(random), size).throws
        kept += np.fromiter(islice(throws, size), np.float64)
    expected = runs / weight
    total = kept.sum()
    assert abs(total - expected * size) < 4 * (expected * size) ** 0.5
    thirds = [part.sum() for part in np.array_split(kept, 3)]
    assert max(thirds) - min(thirds) < 6 * (expected * size / 3) ** 0.5
    pairs = (kept[1:] * kept[:-1]).mean()
    assert pairs == pytest.approx(expected**2, rel=0.5, abs=0.2), "each by itself"


def test_a_sampler_goes_on_where_its_dice_end() -> None:
    sampler = Sampler(3, Dice(0), 10 * MOST)
    first = [*islice(sampler.throws, MOST)]
    assert [*islice(sampler.throws, MOST)] == first
    assert set(first) == {0, 1}
