"""Whether publishing, and a source job, still cost what they should: ratios with room for noise.

    python -m benchmarks.quick                     a minute; fails if something got slow
    python -m benchmarks.quick --only job

Each limit is about twice what was measured, in empty method calls or in times of what kernels
take alone, so that a busy machine does not fail it (its caches are not ours alone), and a slower
design does.
"""

from __future__ import annotations

import os
from statistics import median

import click

from benchmarks import job
from benchmarks.publish import (
    CASES,
    Series,
    baselines,
    hot_events,
    measure,
    series_of,
    wide_events,
)
from benchmarks.report import markdown

LIMITS = {
    "nobody asks": 2.0,
    "1 user": 5.0,
    "10,000 users": 6.0,
    "status >= 500": 6.5,
    "a regex": 8.5,
    "[*]": 17.0,
    "1,000 over 20 fields": 55.0,
    "1,000 mixed": 40.0,
    "a windowed aggregate": 8.0,
    "the same of all GETs": 16.0,
    "rows of all GETs": 16.0,
}
_ALIKE = 1.5
"""So many times what one user costs, ten thousand may."""
_ROUNDS, _TURN_NS = 40, 2_000_000


def worst(rows: dict[str, float]) -> list[str]:
    """What is beyond its limit, in words."""
    found = [
        f"{name}: {ratio:.1f} empty calls, at most {LIMITS[name]:g} are allowed"
        for name, ratio in rows.items()
        if ratio > LIMITS[name]
    ]
    if rows["10,000 users"] > _ALIKE * rows["1 user"]:
        found.append(f"10,000 users cost over {_ALIKE} times what one does")
    return found


def publishing() -> list[str]:
    """Measure what publishing costs; what is beyond its limit, in words."""
    hot, wide = hot_events(), wide_events()
    series = [series_of(case, hot, wide) for case in CASES if case.name in LIMITS]
    base = baselines(hot)[0]
    measure(Series("the unit", base.publish, base.drain, hot), series, _ROUNDS, _TURN_NS)
    rows = {row.name: median(row.ratios) for row in series}
    table = [(name, f"{ratio:.2f}", f"{LIMITS[name]:g}") for name, ratio in rows.items()]
    click.echo(markdown(("", "x empty", "at most"), table) + "\n")
    return worst(rows)


def source_job() -> list[str]:
    """Measure what a source job costs; what is beyond its limit, in words."""
    checks = list(job.checks())
    table = [(check.name, f"{check.ratio:.2f}", f"{check.limit:g}") for check in checks]
    click.echo(markdown(("", "times", "at most"), table))
    return [f"{each.name}: {each.ratio:.1f}" for each in checks if each.ratio > each.limit]


PARTS = {"publish": publishing, "job": source_job}


@click.command()
@click.option("--only", type=click.Choice(list(PARTS)), help="One part of it.")
def main(only: str | None) -> None:
    """Fail if publishing or a source job costs more than it should."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    parts = [part for name, part in PARTS.items() if only in {None, name}]
    problems = [problem for part in parts for problem in part()]
    for problem in problems:
        click.echo(problem, err=True)
    raise SystemExit(bool(problems))


if __name__ == "__main__":
    main()
