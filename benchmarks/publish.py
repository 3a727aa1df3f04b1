"""What `publish` costs its caller, and all that an agent does for an event.

    python -m benchmarks.publish                   a minute or two
    python -m benchmarks.publish --rounds 50

The agent's core runs in this process, on one core, with a source job that takes everything. All
rows are measured in turns of 5 ms, each with a drain at its end, so that noise hits all alike; the
figures are medians, without the loop around the calls. Events are hot: few of them, over and over.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from sys import intern
from time import perf_counter_ns
from typing import Any

import click
import msgspec

from benchmarks import events as made_up
from benchmarks.report import machine, markdown
from mql.wire.codec import encode
from mql.wire.messages import PROTOCOL, Message, Subscribe, Welcome
from publish_agent.protocol.agent_state import AgentState
from publish_agent.protocol.identity import Identity
from publish_agent.runtime.allocator import keep_scratch
from publish_agent.settings import Settings
from publish_agent.stream import Stream

Event = dict[str, object]

_HEADER = (
    "", "caller ns", "x empty", "goal", "met", "total ns", "x caller", "goal", "met", "JVM",
)  # fmt: skip

EVENTS = 10_000
"""Events of a pass; one of them is of a user that is asked for."""
TURN_NS = 5_000_000
"""Between two drains, as in a service that publishes all the time."""
_HOT = 24
"""Distinct ones of them: an event that a service publishes was just made, and is in cache."""
_HIT = "u77"
_LINK = 1
_CREDIT = 1 << 60
_COUNTRIES = ("KR", "US", "BR", "DE", "IN", "JP", "GB", "FR")
_AGGREGATE = "select count(*), average(latency_ms), max(latency_ms), country from s"
_WINDOWED = f"{_AGGREGATE} window 10 group by country"
_GETS = "select user_id, path, latency_ms from s where method == 'GET'"
_WINDOWED_GETS = f"{_AGGREGATE} where method == 'GET' window 10 group by country"


def users(number: int) -> list[str]:
    """Queries for one user each; one of them is there."""
    names = [_HIT, *(f"nobody{i}" for i in range(number - 1))]
    return [f"select * from s where user_id == '{name}'" for name in names]


def fields(number: int) -> list[str]:
    """Equalities and ranges over the 20 fields of wide events, of which hardly any holds."""
    queries = []
    for i in range(number):
        name = f"f{i % 20}"
        rare = f"{name} == 'v{i}'" if i % 20 < 10 else f"{name} > {1_000 + i}"
        queries.append(f"select * from s where {rare}")
    return queries


def mixed(number: int) -> list[str]:
    """Equalities, ranges, conjunctions, regular expressions and `[*]`, as many of each."""
    kinds = (
        "user_id == 'nobody{i}'",
        "latency_ms > {much}",
        "country == '{country}' and latency_ms > {much}",
        "msg ==~ /.*failure{i}.*timeout.*/",
        "e['tags'][*]['k'] == 'tag{i}'",
    )
    return [
        "select * from s where "
        + kinds[i % 5].format(i=i, much=100_000 + i, country=_COUNTRIES[i % 8])
        for i in range(number)
    ]


@dataclass(frozen=True, slots=True)
class Case:
    """Queries on a stream, and the goals: `caller` in empty method calls, or in ns.

    `total` is in times of the caller's, or in ns. `jvm_ns` is what a polling JVM implementation
    took on a machine like the one of the goals.
    """

    name: str
    queries: Sequence[str] = ()
    caller: float = 0.0
    caller_ns: float = 0.0
    total: float = 0.0
    total_ns: float = 0.0
    jvm_ns: int = 0
    wide: bool = False


CASES = (
    Case("nobody asks", caller=1.5, total=1.05),
    Case("1 user", users(1), caller=4, total=1.3, jvm_ns=560),
    Case("100 users", users(100), caller=4, total=1.3, jvm_ns=30_000),
    Case("10,000 users", users(10_000), caller=4, total=1.3, jvm_ns=3_000_000),
    Case("status >= 500", ["select * from s where status >= 500"], 4, 0, 2, jvm_ns=600),
    Case("number(status) >= 500", ["select * from s where number(status) >= 500"], 6, 0, 2),
    Case("a regex", ["select * from s where msg ==~ /.*ERROR.*timeout.*/"], 5, 0, 2, jvm_ns=1_300),
    Case("[*]", ["select * from s where e['tags'][*]['k'] == 'ab_test'"], 8, jvm_ns=5_500),
    Case("1,000 over 20 fields", fields(1_000), caller_ns=500, jvm_ns=280_000, wide=True),
    Case("1,000 mixed", mixed(1_000), caller_ns=3_000),
    Case("a windowed aggregate", [_WINDOWED], 6, total_ns=500),
    Case("the same of all GETs", [_WINDOWED_GETS], 8, total_ns=500),
    Case("rows of all GETs", [_GETS], 8, 0, 2),
)


class Bench:
    """An agent's core with some queries, and a source job that takes everything."""

    def __init__(self, queries: Iterable[str]) -> None:
        self.now_us = 1_700_000_000_000_000
        settings = Settings(
            service="bench", cpu_share=100.0, bytes_per_s=1 << 40, buffer_events=1 << 20
        )
        self.state = AgentState(settings, Identity("bench", 1), perf_counter_ns)
        self.stream = Stream("s")
        self.state.adopt(self.stream)
        self.state.connect(_LINK, self.now_us)
        moment = self.now_us
        self.give(Welcome(PROTOCOL, "job", _CREDIT, moment, moment, moment))
        self.bytes = 0
        for number, query in enumerate(queries):
            self.give(Subscribe(number, 0, "s", query, 1_000, "", states=True))
        for _ in range(4):  # so that it has had its look at an event
            self.now_us += 1_000_000
            self.stream.publish({})
            self.tick()

    def give(self, message: Message) -> None:
        """A message of the source job comes."""
        self.state.receive(_LINK, [bytes(frame) for frame in encode(message)], self.now_us)

    def tick(self) -> None:
        """A drain."""
        for send in self.state.tick(self.now_us):
            self.bytes += sum(map(len, send.frames))
        self.now_us += TURN_NS // 1_000


@dataclass(slots=True)
class Series:
    """The turns of one row: ns per event of the caller's, and of all."""

    name: str
    publish: Callable[[object], object]
    drain: Callable[[], None]
    events: Sequence[Event]
    caller: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    total: list[float] = field(default_factory=list)

    def turn(self, turn_ns: int = TURN_NS) -> None:
        """Publish for some time, and drain."""
        publish, events, passes, spent = self.publish, self.events, 0, 0
        while spent < turn_ns:
            began = perf_counter_ns()
            for event in events:
                publish(event)
            middle = perf_counter_ns()
            for _ in events:
                pass
            spent += 2 * middle - began - perf_counter_ns()
            passes += 1
        began = perf_counter_ns()
        self.drain()
        drained = perf_counter_ns() - began
        number = passes * len(events)
        self.caller.append(spent / number)
        self.total.append((spent + drained) / number)


class _Nothing:
    """What is called for the first baseline."""

    def method(self, event: object) -> None:
        """Do nothing."""


def _by_hand(event: Event) -> bool:
    return event["status"] >= 500  # type: ignore[operator]


def _ignore() -> None:
    return None


def _as_written(value: Any) -> Any:
    """A value with the keys that a program's `{"key": …}` has: Python holds each of them once."""
    if isinstance(value, dict):
        return {intern(key): _as_written(inner) for key, inner in value.items()}
    return [_as_written(inner) for inner in value] if isinstance(value, list) else value


def hot_events() -> list[Event]:
    """A pass of few events, over and over: 1.6% errors, 1% that a regex matches, 1% tagged."""
    pool = [_as_written(msgspec.json.decode(line)) for line in made_up.lines(5_000)]
    kinds: dict[tuple[bool, bool, bool], list[Event]] = {}
    for event in pool:
        text, error = str(event["msg"]), event["status"] >= 500
        regex = "ERROR" in text and "timeout" in text.partition("ERROR")[2] and "\n" not in text
        kinds.setdefault((error, regex, "ab_test" in str(event["tags"])), []).append(event)
    usual = kinds[False, False, False][:_HOT]
    some = [usual[i % _HOT] for i in range(EVENTS)]
    some[::64] = [kinds[True, False, False][0]] * len(some[::64])
    some[1::100] = [kinds[False, True, False][0]] * len(some[1::100])
    some[2::100] = [kinds[False, False, True][0]] * len(some[2::100])
    some[-1] = {**usual[0], "user_id": _HIT}
    return some


def wide_events() -> list[Event]:
    """A pass of few events of 20 fields, texts and numbers."""
    chosen: list[Event] = [
        _as_written({f"f{i}": f"text{k}" if i < 10 else k + i / 2 for i in range(20)})
        for k in range(_HOT)
    ]
    return [chosen[i % _HOT] for i in range(EVENTS)]


def baselines(events: Sequence[Event]) -> list[Series]:
    """The rows to compare with; the first is the unit."""
    kept: list[object] = []
    return [
        Series("an empty method", _Nothing().method, _ignore, events),
        Series("list.append", kept.append, kept.clear, events),
        Series("an `if` by hand", _by_hand, _ignore, events),  # type: ignore[arg-type]
    ]


def series_of(case: Case, hot: Sequence[Event], wide: Sequence[Event]) -> Series:
    """The row of a case."""
    bench = Bench(case.queries)
    return Series(case.name, bench.stream.publish, bench.tick, wide if case.wide else hot)


def measure(unit: Series, rows: Sequence[Series], rounds: int, turn_ns: int = TURN_NS) -> None:
    """Measure all rows in turns, each with a shorter one of the unit before it."""
    for _ in range(rounds):
        for row in rows:
            unit.turn(turn_ns // 5)
            row.turn(turn_ns)
            row.ratios.append(row.caller[-1] / unit.caller[-1])


def table(cases: Sequence[tuple[Case | None, Series]]) -> str:
    """The figures, beside the goals."""
    lines = []
    for case, row in cases:
        caller, total = median(row.caller), median(row.total)
        ratio = median(row.ratios)
        cells = [row.name, f"{caller:.0f}", f"{ratio:.2f}"]
        if case is None:
            lines.append((*cells, "", "", f"{total:.0f}", "", "", "", ""))
            continue
        goal, reached = f"{case.caller:g} x", ratio <= case.caller
        if case.caller_ns:
            goal, reached = f"{case.caller_ns:,.0f} ns", caller <= case.caller_ns
        cells += [goal, _yes(reached), f"{total:.0f}", f"{total / caller:.2f}"]
        limit = case.total_ns or case.total * caller
        goal = f"{case.total_ns:,.0f} ns" if case.total_ns else f"{case.total:g} x"
        cells += [goal, _yes(total <= limit)] if limit else ["", ""]
        lines.append((*cells, f"{case.jvm_ns:,}" if case.jvm_ns else ""))
    return markdown(_HEADER, lines)


def _yes(reached: bool) -> str:
    return "yes" if reached else "no"


@click.command()
@click.option("--rounds", default=100, show_default=True, type=click.IntRange(min=1))
@click.option("--only", help="A part of the names of the cases to measure.")
def main(rounds: int, only: str | None) -> None:
    """Measure what publishing an event costs, in empty method calls and in ns."""
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    keep_scratch()  # as each agent does
    hot, wide = hot_events(), wide_events()
    chosen = [case for case in CASES if only is None or only in case.name]
    bases = baselines(hot)
    rows = [series_of(case, hot, wide) for case in chosen]
    unit = Series("the unit", bases[0].publish, _ignore, hot)
    measure(unit, [*bases, *rows], rounds)
    click.echo("\n".join(machine(core)) + "\n")
    cases = [*((None, base) for base in bases), *zip(chosen, rows, strict=True)]
    click.echo(table(cases))


if __name__ == "__main__":
    main()
