"""Whether publishing, and a source job, still cost what they should: ratios with room for noise.

    python -m benchmarks.quick                     a minute; fails if something got slow

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


@click.command()
def main() -> None:
    """Fail if publishing or a source job costs more than it should."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    hot, wide = hot_events(), wide_events()
    series = [series_of(case, hot, wide) for case in CASES if case.name in LIMITS]
    base = baselines(hot)[0]
    measure(Series("the unit", base.publish, base.drain, hot), series, _ROUNDS, _TURN_NS)
    rows = {row.name: median(row.ratios) for row in series}
    table = [(name, f"{ratio:.2f}", f"{LIMITS[name]:g}") for name, ratio in rows.items()]
    click.echo(markdown(("", "x empty", "at most"), table))
    checks = list(job.checks())
    table = [(check.name, f"{check.ratio:.2f}", f"{check.limit:g}") for check in checks]
    click.echo("\n" + markdown(("", "times", "at most"), table))
    problems = worst(rows)
    problems += [f"{each.name}: {each.ratio:.1f}" for each in checks if each.ratio > each.limit]
    for problem in problems:
        click.echo(problem, err=True)
    raise SystemExit(bool(problems))


if __name__ == "__main__":
    main()
