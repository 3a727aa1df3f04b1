"""Turns of many tools at many questions, in random order, and whether their answers agree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median
from time import process_time_ns
from typing import Any

import click

from benchmarks.check import same
from benchmarks.peers.questions import Rows

OURS = "mql"


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How often all take turns, which tools (None: all), or whether rows are only compared."""

    rounds: int
    names: Sequence[str] | None
    checking: bool
    random: Random

    def wants(self, name: str) -> bool:
        """Whether a tool takes part."""
        return self.names is None or name in self.names


def nothing() -> None:
    """What most turns need to be ready."""


@dataclass(slots=True)
class Turn:
    """One tool at one question. `ready` is not timed, `run` is, for so many `events`.

    `size` is of its batches, 0 where it has none. `spent` are ns of processor time per event.
    """

    question: str
    kind: str
    tool: str
    run: Callable[[], Any]
    events: int
    ready: Callable[[], None] = nothing
    size: int = 0
    spent: list[float] = field(default_factory=list)

    def take(self) -> object:
        """Run once, keep the time, and give the answer."""
        self.ready()
        began = process_time_ns()
        answer = self.run()
        self.spent.append((process_time_ns() - began) / self.events)
        return answer

    @property
    def ns(self) -> float:
        """The median."""
        return median(self.spent)


def difference(expected: Rows, actual: Rows) -> str:
    """Say where rows depart from those expected; empty if nowhere.

    >>> difference([{"a": 1}], [{"a": 1.0}]), difference([{"a": 1}], [])
    ('', '0 rows, not 1')
    """
    if len(expected) != len(actual):
        return f"{len(actual)} rows, not {len(expected)}"
    for number, (left, right) in enumerate(zip(expected, actual, strict=True), 1):
        if not same(left, right):
            return f"row {number} is {right}, not {left}"
    return ""


def agreeing(turns: Iterable[Turn], expected: Rows, rows_of: Callable[[Any], Rows]) -> list[Turn]:
    """Those turns that give the rows expected; tells of the others."""
    good = []
    for turn in turns:
        problem = difference(expected, rows_of(turn.take()))
        if problem:
            size = f" in batches of {turn.size:,}" if turn.size else ""
            click.echo(f"{turn.question}, {turn.kind}, {turn.tool}{size}: {problem}", err=True)
        else:
            good.append(turn)
    return good


def quickest(turns: Iterable[Turn]) -> list[Turn]:
    """Of each tool the turn whose size of batches took the least time so far."""
    best: dict[str, Turn] = {}
    for turn in turns:
        if turn.tool not in best or min(turn.spent) < min(best[turn.tool].spent):
            best[turn.tool] = turn
    return list(best.values())


def measure(turns: Sequence[Turn], rounds: int, random: Random) -> None:
    """Let all take their turns, in another order each time; what was spent before is forgotten."""
    for turn in turns:
        turn.spent.clear()
    for number in range(1, rounds + 1):
        for turn in random.sample(turns, len(turns)):
            turn.take()
        click.echo(f"round {number}/{rounds}", err=True)
