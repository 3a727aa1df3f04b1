"""What an agent does to the latency of a service that does nothing but compute, and holds.

    python -m benchmarks.live.service                       some minutes
    python -m benchmarks.live.service --part latency --turns 40
    python -m benchmarks.live.service --part subscriptions --number 2000

A request is 12 or 2.5 µs of pure Python, and makes one event, which is published. The service has a
core, its source jobs and their clients have the others. Wall time is measured.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from benchmarks.live.latency import Rounds, Spread, Variant, measure
from benchmarks.live.publisher import STREAM
from benchmarks.live.subscriptions import in_a_core, in_an_agent, of_users
from benchmarks.report import machine, markdown

GOAL = 1.5
"""The p99.9 may be so many times what it is without an agent."""
_WINDOWED = (
    f"select count(*), average(latency_ms), max(latency_ms), country from {STREAM} "
    "window 10 group by country"
)
_EVERYTHING = 100.0
"""A budget that no agent comes near to."""
_USERS = 1_000

VARIANTS = (
    Variant("no agent", agent=False),
    Variant("nobody asks"),
    Variant(
        f"{_USERS:,} subscriptions, a user each",
        queries=tuple(of_users(_USERS)),
    ),
    Variant("a windowed aggregate", queries=(_WINDOWED,), cpu_share=_EVERYTHING),
    Variant("a windowed aggregate, default budget", queries=(_WINDOWED,)),
)
_REQUESTS = {"takes-12us": "12 µs", "takes-2.5us": "2.5 µs"}
_HEADER = (
    "",
    "added µs",
    "95%",
    "p50 µs",
    "p99 µs",
    "p99.9 µs",
    "x no agent",
    "95%",
    "goal",
    "met",
)
_PARTS = ("latency", "subscriptions")


def table(all_rounds: Sequence[Rounds]) -> str:
    """The latencies of the variants."""
    lines = []
    for rounds in all_rounds:
        figures = [f"{rounds.median(what):,.1f}" for what in ("p50_us", "p99_us", "p999_us")]
        name = rounds.variant.name
        if not rounds.variant.agent:
            lines.append((name, "", "", *figures, "", "", "", ""))
            continue
        added, ratio = rounds.added("mean_us"), rounds.ratio("p999_us")
        met = "yes" if ratio.middle < GOAL else "no"
        sides = (f"{added.middle:.2f}", _interval(added)), (f"{ratio.middle:.2f}", _interval(ratio))
        lines.append((name, *sides[0], *figures, *sides[1], f"< {GOAL:g}", met))
    return markdown(_HEADER, lines)


def _interval(spread: Spread) -> str:
    return f"{spread.low:.2f} to {spread.high:.2f}"


@click.command()
@click.option("--part", "parts", type=click.Choice(_PARTS), multiple=True, help="One of them.")
@click.option("--turns", default=12, show_default=True, type=click.IntRange(min=2))
@click.option("--seconds", default=0.5, show_default=True, help="Of each turn.")
@click.option("--number", default=10_000, show_default=True, help="Subscriptions of one agent.")
def main(parts: Sequence[str], turns: int, seconds: float, number: int) -> None:
    """Measure a service's own latency, and what subscriptions take in its agent."""
    *others, core = sorted(os.sched_getaffinity(0))
    click.echo("\n".join(machine(core)))
    if others:
        os.sched_setaffinity(0, others)  # the source jobs inherit that
    if "latency" in parts or not parts:
        for kind, request in _REQUESTS.items():
            click.echo(f"requests of {request} …", err=True)
            rounds = measure(VARIANTS, kind, turns, seconds, core=core)
            for each in rounds:
                if each.variant.cpu_share == _EVERYTHING and not each.median("took"):
                    raise click.ClickException(f"{each.variant.name}: the agent takes no events")
            click.echo(
                f"\nrequests of {request}, {turns} turns of {seconds:g} s\n\n{table(rounds)}"
            )
    if "subscriptions" in parts or not parts:
        click.echo(f"\n{number:,} subscriptions, a user each, in one agent")
        for figures in (in_a_core(number), in_an_agent(number, core)):
            lines = [(f.what, f.value, f.goal, "yes" if f.reached else "no") for f in figures]
            click.echo("\n" + markdown(("", "measured", "goal", "met"), lines, left=4))


if __name__ == "__main__":
    main()
