"""The first table: events that are Python dicts, from the offer of each to the rows of the answer.

Hot events are made right before they are offered: a copy each, whose making, measured by itself, is
taken off. Cold ones were all made before, and have left the cache when their turn comes.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Iterable

import click

from benchmarks.peers.agent import Live
from benchmarks.peers.questions import QUESTIONS, Offered, Question, Rows, cold, hot, ordered
from benchmarks.peers.tools import LEAST, TOOLS, Tool
from benchmarks.peers.turns import OURS, TableOptions, Turn, agreeing, measure, quickest
from benchmarks.report import markdown

EVENTS = 192_000
"""Six drains on each side of a window's end."""
HOT_OF_WINDOWS = 960_000
"""Thirty, where a window of 10 seconds has five hundred; more cold ones would take gigabytes, and
more rows be a matter of Python's collector."""
_MAKING = "making the events"
_HEADER = ("question", "tool", "batch", "hot ns", "x mql", "goal", "met", "batch", "cold ns",
           "x mql", "goal", "met")  # fmt: skip


def report(options: TableOptions) -> bool:
    """Compare, measure and print; False if a tool gave other rows."""
    tools = list(_installed(options))
    sets = {"hot": hot(EVENTS), "cold": cold(EVENTS)}
    sets_of_windows = {**sets, "hot": hot(HOT_OF_WINDOWS)}
    gc.collect()
    gc.freeze()  # or the collector would visit the cold events in whoever's turn it comes
    makings = [_making(kind, offered) for kind, offered in sets.items()]
    turns, good = [], True
    for question in QUESTIONS:
        live = Live(question)
        for kind, offered in (sets_of_windows if question.query.windowed else sets).items():
            expected = ordered(question, TOOLS[0].answer(question, 0)(offered.make()))
            mine = _turns(question, kind, offered, tools)
            if options.wants(OURS):
                mine.insert(0, _ours(live, question, kind, offered))
            fine = agreeing(mine, expected, lambda rows, q=question: ordered(q, rows))  # type: ignore[misc]
            click.echo(f"{question.name}, {kind}: {len(expected):,} rows", err=True)
            good = good and len(fine) == len(mine)
            turns += quickest(fine)
    if not options.checking:
        gc.collect()
        gc.freeze()  # nor what was kept to compare
        measure([*makings, *turns], options.rounds, options.random)
        _print(turns, dict(zip(sets, makings, strict=True)))
    return good


def _installed(options: TableOptions) -> Iterable[Tool]:
    """Those tools that are here; tells about the others."""
    for tool in filter(lambda tool: options.wants(tool.name), TOOLS):
        try:
            click.echo(f"{tool.name} {tool.version}".strip())
        except ImportError as error:
            click.echo(f"{tool.name}: skipped, {error} (`make peers` installs it)", err=True)
        else:
            yield tool


def _making(kind: str, offered: Offered) -> Turn:
    def make() -> Rows:
        deque(offered.make(), maxlen=0)
        return []

    return Turn("", kind, _MAKING, make, offered.number)


def _turns(question: Question, kind: str, offered: Offered, tools: Iterable[Tool]) -> list[Turn]:
    turns = []
    for tool in tools:
        for size in tool.sizes if question in tool.questions else ():
            answer = tool.answer(question, size)
            run = lambda answer=answer: answer(offered.make())  # noqa: E731 - bound in a loop
            turns.append(Turn(question.name, kind, tool.name, run, offered.number, size=size))
    return turns


def _ours(live: Live, question: Question, kind: str, offered: Offered) -> Turn:
    return Turn(
        question.name,
        kind,
        OURS,
        lambda: live.answer(offered.make()),
        offered.number,
        ready=lambda: live.ready(offered),
    )


def _print(turns: list[Turn], makings: dict[str, Turn]) -> None:
    spent = {(t.question, t.tool, t.kind): t.ns - _off(makings, t.kind) for t in turns}
    sizes = {(t.question, t.tool, t.kind): t.size for t in turns}
    lines = []
    for question in QUESTIONS:
        for tool in dict.fromkeys(turn.tool for turn in turns if turn.question == question.name):
            cells = [question.name, tool]
            for kind, goal in (("hot", question.goal), ("cold", 1.0)):
                key, ours = (question.name, tool, kind), (question.name, OURS, kind)
                if key not in spent:
                    cells += ["", "differs", "", "", ""]
                    continue
                cells += [f"{sizes[key]:,}" if sizes[key] else "", f"{spent[key]:,.0f}"]
                if tool == OURS or ours not in spent:
                    cells += ["", "", ""]
                    continue
                ratio = spent[key] / spent[ours]
                if tool == LEAST:
                    cells += [f"{ratio:.2f}", "", ""]
                    continue
                cells += [f"{ratio:.2f}", f"{goal:g}", "yes" if ratio >= goal else "no"]
            lines.append(cells)
    for kind, turn in makings.items():
        what = "taken off" if _off(makings, kind) else "not taken off"
        click.echo(f"{_MAKING}, {kind}: {turn.ns:,.0f} ns each, {what}")
    click.echo("")
    click.echo(markdown(_HEADER, lines, left=2))


def _off(makings: dict[str, Turn], kind: str) -> float:
    """What is taken off the time of an event."""
    return makings[kind].ns if kind == "hot" else 0.0
