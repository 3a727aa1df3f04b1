"""The command: many seeds, or one of them to look at.

python -m tests.simulator --seeds 2000 --jobs 2
python -m tests.simulator --seed 4711 --trace
python -m tests.simulator --seed 4711 --only 3,8,11
python -m tests.simulator --defect 5
"""

from __future__ import annotations

import sys
from contextlib import ExitStack

import click
from rich.console import Console
from rich.progress import track

from tests.simulator.defects import DEFECTS
from tests.simulator.search import CHUNK, Found, search
from tests.simulator.shrink import only, replay, shrink
from tests.simulator.workload import scenario
from tests.simulator.world import run

_SHOWN = 200
_console = Console(stderr=True)


@click.command()
@click.option("--seeds", default=2_000, help="How many seeds.")
@click.option("--start", default=0, help="The first of them.")
@click.option("--jobs", default=1, help="Processes that run them.")
@click.option("--seed", type=int, help="This seed alone; a failure is shrunk.")
@click.option("--only", "numbers", help="Of the seed's actions only these, as in 3,8,11.")
@click.option("--trace", is_flag=True, help=f"Print the last {_SHOWN} things that happened.")
@click.option("--defect", type=int, help=f"Switch on a defect, 0 to {len(DEFECTS) - 1}.")
def main(
    seeds: int, start: int, jobs: int, seed: int | None, numbers: str | None,
    *, trace: bool, defect: int | None,
) -> None:  # fmt: skip
    """Run the real cores of agents, source jobs and clients over a network that goes wrong."""
    with ExitStack() as stack:
        if defect is not None:
            _console.print(f"with a defect: {DEFECTS[defect].what}")
            stack.enter_context(DEFECTS[defect].on())
        if seed is None:
            found = _many(range(start, start + seeds), jobs, defect)
            if found is None:
                return
            seed = found.seed
        sys.exit(_one(seed, numbers, defect, trace=trace))


def _many(seeds: range, jobs: int, defect: int | None) -> Found | None:
    """Run them with a bar; the first that fails, if one does."""
    total = -(-len(seeds) // CHUNK)
    pieces = search(seeds, jobs, defect)
    for found in track(pieces, f"{len(seeds):,} seeds", total, console=_console):
        if found:
            _console.print(f"seed {found[0].seed} failed; looking for a shorter way there")
            return found[0]
    _console.print(f"{len(seeds):,} seeds, and all held")
    return None


def _one(seed: int, numbers: str | None, defect: int | None, *, trace: bool) -> int:
    """Run a seed, shrink what fails, and say how to see it again; returns the exit code."""
    made = scenario(seed)
    if numbers is not None:
        made = only(made, {int(number) for number in numbers.split(",") if number.isdigit()})
    world, failure = run(made, remembers=trace)
    for line in list(world.trace)[-_SHOWN:]:
        print(line)  # noqa: T201 - it was asked for
    if failure is None:
        _console.print(f"seed {seed} holds; its trace is {world.digest}")
        return 0
    if numbers is None:
        made, failure = shrink(made, failure.kind)
    print(replay(made, failure, defect))  # noqa: T201 - so is this
    return 1


if __name__ == "__main__":
    main()
