"""Chains of source jobs to which random things happen: no window may be exact and wrong.

    python -m tests.source_jobs.sources.chain_search --seeds 100 [--first 0]

A seed is a chain of one to three hops, queries for each, and what is killed, stopped or cut off. It
is held to what the publishers published, whether or not anybody heard of it.
"""

from __future__ import annotations

import argparse
import sys
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import click

from tests.source_jobs.sources.chain import BEGIN_US, AgentProcess, Asker, Chain, Job

BEGIN_MS = BEGIN_US // 1000

_ROWS = ("select * from {}", "select number, one from {} where one == 1")
_WINDOWS = ("select count(*) as n from {} window 1", "select count(*) as n from {} window 0.5")
_FAULTS = ("kill", "stall", "cut reader", "cut agent", "cut publisher", "stall publisher")
_DURATIONS_MS = (100, 500, 1_500, 2_500, 3_500, 6_000)
_SETTLE_MS = 6_000


@dataclass
class Run:
    """What came of a seed: windows, how many of them were exact, and what was wrong."""

    windows: int = 0
    exact: int = 0
    wrong: list[str] = field(default_factory=list)


class Search:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.dice = dice = Random(seed)  # noqa: S311 - what happens is no secret
        self.chain = Chain()
        self.chain.now_us += dice.randrange(0, 1_000_000, 20_000)
        hops = dice.choice([1, 2, 2, 3])
        self.jobs = [self.chain.job(f"j{i}", dice.choice([300, 1_000])) for i in range(hops + 1)]
        self.publishers = [
            AgentProcess(self.jobs[0], f"p{i}", "s0") for i in range(dice.choice([1, 2]))
        ]
        last = dice.choice((*_ROWS, *_WINDOWS))
        for i in range(hops):
            query = last if i == hops - 1 else dice.choice(_ROWS)
            self.jobs[i + 1].follow(self.jobs[i], query.format(f"s{i}"), f"s{i + 1}")
        self.span_ms = int(float(last.split()[-1]) * 1000) if last in _WINDOWS else 0
        adds_up = "sum(n) as n" if self.span_ms else dice.choice(("count(*) as n", "sum(one) as n"))
        text = f"select {adds_up} from s{hops} window {dice.choice([1, 0.5, 2])}"
        self._run(1_500)
        self.asker = Asker(self.jobs[-1], text)

    def run(self) -> Run:
        """Let it happen, and judge."""
        self._run(3_000)
        for _ in range(self.dice.choice([1, 2, 3])):
            self._fault(self.dice.choice(_FAULTS), self.dice.choice(_DURATIONS_MS))
            self._run(self.dice.randrange(500, 4_000, 20))
        self._run(_SETTLE_MS)
        return self._judge()

    def _run(self, ms: int) -> None:
        self.chain.run(ms, self._publish)

    def _publish(self) -> None:
        for publisher in self.publishers:
            if self.dice.random() < 0.5:
                publisher.publish(self.dice.choice([1, 1, 2, 5]))

    def _fault(self, what: str, ms: int) -> None:
        number = self.dice.randrange(1, len(self.jobs))
        job = self.jobs[number]
        if what == "kill" and number < len(self.jobs) - 1:
            job.kill()
            self._run(ms)
            job.restart([self.jobs[number + 1].hops[0].reader])
        elif what in {"kill", "stall"}:
            job.stall()
            self._run(ms)
            job.resume()
        elif what == "stall publisher":
            publisher = self.dice.choice(self.publishers)
            publisher.is_running = False
            self._run(ms)
            publisher.is_running = True
        else:
            self._cut(what, job, ms)

    def _cut(self, what: str, job: Job, ms: int) -> None:
        hop = job.hops[0]
        publisher = self.dice.choice(self.publishers)
        cut = {"cut reader": hop.reader, "cut agent": hop.agent, "cut publisher": publisher}[what]
        cut.disconnect()
        self._run(ms)
        cut.connect()

    def _judge(self) -> Run:
        run, windows = Run(), self.asker.windows
        count = self._counter()
        for window in windows:
            known, start_ms, end_ms = window.completeness, window.start_ms, window.end_ms
            assert known is not None
            assert start_ms is not None
            assert end_ms is not None
            got, true = window.rows()[0]["n"] or 0, count(start_ms, end_ms)
            is_exact = known.exactness == "exact" and not known.partial
            run.windows += 1
            run.exact += is_exact
            if (is_exact and got != true) or (not known.partial and got > true):
                run.wrong.append(f"{start_ms - BEGIN_MS}: {got} of {true}, {known.exactness}")
        if not any(w.completeness and w.completeness.exactness == "exact" for w in windows[-3:]):
            run.wrong.append("never exact again")
        return run

    def _counter(self) -> Callable[[int, int], int]:
        """How many events were published in a window, or in those windows that it holds."""
        times = sorted(BEGIN_MS + ms for each in self.publishers for ms in each.published_ms)

        def count(start_ms: int, end_ms: int) -> int:
            if self.span_ms:
                start_ms, end_ms = (ms // self.span_ms * self.span_ms for ms in (start_ms, end_ms))
            return bisect_left(times, end_ms) - bisect_left(times, start_ms)

        return count


def main() -> int:
    """Run the seeds; returns how many of them are wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=20)
    asked = parser.parse_args()
    windows = exact = wrong = 0
    for seed in range(asked.first, asked.first + asked.seeds):
        run = Search(seed).run()
        windows, exact, wrong = windows + run.windows, exact + run.exact, wrong + bool(run.wrong)
        for problem in run.wrong:
            click.echo(f"seed {seed}: {problem}")
    click.echo(f"{windows:,} windows, {exact:,} exact; {wrong} of {asked.seeds} seeds are wrong")
    return wrong


if __name__ == "__main__":
    sys.exit(bool(main()))
