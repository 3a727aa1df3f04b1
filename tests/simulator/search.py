"""Runs many seeds, in several processes, until one fails or all are done."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from tests.simulator.defects import DEFECTS
from tests.simulator.workload import scenario
from tests.simulator.world import run

CHUNK = 20


@dataclass(frozen=True, slots=True)
class Found:
    """What a seed has shown: the kind and the text of a failure."""

    seed: int
    kind: str
    text: str


def search(seeds: range, jobs: int = 1, defect: int | None = None) -> Iterator[list[Found]]:
    """Run seeds; gives, a few seeds at a time, those that fail. `defect` is switched on."""
    pieces = [(seeds[i : i + CHUNK], defect) for i in range(0, len(seeds), CHUNK)]
    if jobs == 1:
        yield from map(_some, pieces)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(_some, pieces)


def first_found(seeds: Iterable[int], defect: int | None = None) -> Found | None:
    """The first seed that fails."""
    return next((found for seed in seeds if (found := _one(seed, defect))), None)


def _some(piece: tuple[range, int | None]) -> list[Found]:
    seeds, defect = piece
    return [found for seed in seeds if (found := _one(seed, defect))]


def _one(seed: int, defect: int | None) -> Found | None:
    with ExitStack() as stack:
        if defect is not None:
            stack.enter_context(DEFECTS[defect].on())
        _, failure = run(scenario(seed))
    return failure and Found(seed, failure.kind, str(failure))
