"""Those who report to one query: how far each has come, what got lost on the way, who is missing.

A reporter is an agent for one of the query's sources. Its parts carry sequence numbers and running
totals, so that whatever did not come is counted. How far the query has come, its watermark, is the
least of theirs; one that lies further behind than the grace time is not waited for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mql.wire.codec import ProtocolError
from mql.wire.messages import Part, QueryCost

_LARGEST = 2**53
_NAMED = 100
"""So many agents are named in a list of missing ones."""

ASK_AGAIN_MS = 1_000

_MOST_GAPS = 100
"""More gaps of one reporter are taken for one that goes from the first to the last."""


@dataclass(slots=True)
class Reporter:
    """One agent's share of one source.

    `asked_ms` is when it was asked first; `start_ms` when it began, once it has said so, and
    `accepted_ms` what it said, which may be a little ahead of our clock. `gone_ms` is since when it
    is gone, and `left` whether it ran the query to its goodbye, so that nothing of it is missing;
    `greeted` is whether it has said hello since it last told anything.
    `gaps` are the times about which it has told something that never came.
    """

    agent: str
    name: str
    asked_ms: int
    last_ask_ms: int
    start_ms: int | None = None
    accepted_ms: int | None = None
    greeted: bool = False
    refused: str | None = None
    gone_ms: int | None = None
    left: bool = False
    watermark_ms: int = 0
    sequence: int = 0
    seen_total: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)
    cost: QueryCost | None = None

    @property
    def waits(self) -> bool:
        """Whether it is there, and has not said whether it will."""
        return self.start_ms is None and self.refused is None and self.gone_ms is None

    @property
    def reports(self) -> bool:
        """Whether it is there and to be waited for."""
        return self.refused is None and self.gone_ms is None

    def accept(self, start_ms: int, now_ms: int) -> None:
        """Note that it runs the query; if it did before, nobody knows what was in between."""
        self.refused = None
        known_ms = self.start_ms if self.accepted_ms is None else self.accepted_ms
        if known_ms is not None and start_ms > known_ms:
            self._begin_anew(min(start_ms, now_ms))
        self.accepted_ms, self.start_ms = start_ms, min(start_ms, now_ms)
        self.greeted = False
        self.watermark_ms = max(self.watermark_ms, self.start_ms)

    def take(self, part: Part, now_ms: int) -> int:
        """Note a part; returns how many events got lost between the last one and it.

        Raises ProtocolError if its numbers cannot be.
        """
        seen = sum(tally.seen for tally in part.tallies)
        if self.sequence and (
            part.sequence == 1 or (self.greeted and not self._follows(part, seen))
        ):
            self._begin_anew(now_ms)  # it has not been heard to accept once more
        self.greeted = False
        if not self._follows(part, seen):
            raise ProtocolError(f"part {part.sequence} does not follow part {self.sequence}")
        lost = part.seen_total - self.seen_total - seen
        self.sequence, self.seen_total = part.sequence, part.seen_total
        if lost:
            self._note_gap(self.watermark_ms, now_ms)
        if self.start_ms is None:
            self.start_ms = now_ms  # it has not been heard to accept: who knows what came before
        self.watermark_ms = max(self.watermark_ms, min(part.watermark_ms, now_ms))
        return lost

    def _follows(self, part: Part, seen: int) -> bool:
        lost = part.seen_total - self.seen_total - seen
        return part.sequence > self.sequence and 0 <= lost <= _LARGEST

    def _begin_anew(self, start_ms: int) -> None:
        self.sequence = self.seen_total = 0
        self._note_gap(self.watermark_ms, start_ms)

    def lacks(self, start_ms: int, end_ms: int) -> bool:
        """Whether something that it told of a span of time may never have come."""
        return any(first < end_ms and last >= start_ms for first, last in self.gaps)

    def _note_gap(self, first_ms: int, last_ms: int) -> None:
        self.gaps.append((first_ms, last_ms))
        if len(self.gaps) > _MOST_GAPS:
            self.gaps = [(self.gaps[0][0], last_ms)]


@dataclass(frozen=True, slots=True)
class RollCall:
    """Who should have reported of a span of time, and who did."""

    expected: int
    reported: int
    missing: tuple[str, ...]
    refused: tuple[str, ...]
    joined_late: bool
    early: bool


@dataclass(slots=True)
class Reporters:
    """All of one query, by agent and source."""

    sources: int
    all: dict[tuple[str, int], Reporter] = field(default_factory=dict)
    _waiting: set[tuple[str, int]] = field(default_factory=set)

    def ask(self, agent: str, name: str, source: int, now_ms: int) -> Reporter:
        """An agent is asked to report, for the first time or again."""
        reporter = self.all.get((agent, source))
        if reporter is None:
            reporter = Reporter(agent, name, now_ms, now_ms, watermark_ms=now_ms)
            self.all[agent, source] = reporter
        reporter.last_ask_ms = now_ms
        reporter.gone_ms, reporter.left = None, False
        self._waiting.add((agent, source))
        return reporter

    def unanswered(self, now_ms: int) -> list[tuple[str, int]]:
        """Those to ask again."""
        self._waiting = {k for k in self._waiting if k in self.all and self.all[k].waits}
        since = now_ms - ASK_AGAIN_MS
        return [k for k in sorted(self._waiting) if self.all[k].last_ask_ms <= since]

    def of_agent(self, agent: str) -> list[Reporter]:
        """An agent's reporters."""
        keys = ((agent, source) for source in range(self.sources))
        return [self.all[key] for key in keys if key in self.all]

    def lose(self, agent: str, now_ms: int, *, left: bool) -> None:
        """An agent is gone; `left`: it has reported all it had of the queries that it ran."""
        for reporter in self.of_agent(agent):
            if reporter.gone_ms is None:
                told_all = left and reporter.start_ms is not None and not reporter.greeted
                reporter.gone_ms, reporter.left = now_ms, told_all

    def regain(self, agent: str, *, greeted: bool) -> None:
        """An agent that had been taken for gone is there, or says hello once more."""
        for reporter in self.of_agent(agent):
            reporter.gone_ms, reporter.left = None, False
            reporter.greeted |= greeted
        self._waiting.update((agent, source) for source in range(self.sources))

    def watermark(self, now_ms: int, grace_ms: int) -> int:
        """How far the query has come: as far as all agents, but never behind the grace time.

        An agent that says little is no reason to go on at once: its last word may be a second old.
        """
        oldest = now_ms - grace_ms
        marks = (r.watermark_ms for r in self.all.values() if r.reports)
        return max(min(marks, default=oldest), oldest)

    def call(self, start_ms: int, end_ms: int, told_ms: int | None = None) -> RollCall:
        """Who should have reported of a span of time, to its end or, if it is cut, to `told_ms`.

        An agent did if all its sources did, and nothing of that got lost on the way.
        """
        told_ms = end_ms if told_ms is None else told_ms
        agents: dict[str, list[Reporter]] = {}
        for reporter in self.all.values():
            if _took_part(reporter, start_ms, end_ms):
                agents.setdefault(reporter.agent, []).append(reporter)
        missing, refused, joined_late, early, reported = [], [], False, False, 0
        for group in agents.values():
            if any(r.refused is not None for r in group):
                refused.append(group[0].name)
                continue
            joined_late |= any(r.start_ms is not None and r.start_ms > start_ms for r in group)
            behind = [r for r in group if not r.left and r.watermark_ms < told_ms]
            if behind or any(r.lacks(start_ms, end_ms) for r in group):
                missing.append(group[0].name)
                early |= any(r.gone_ms is None for r in behind)
            else:
                reported += 1
        return RollCall(len(agents), reported, _named(missing), _named(refused), joined_late, early)

    def forget(self, before_ms: int) -> None:
        """Let go of those who were gone before a time."""
        gone = [k for k, r in self.all.items() if r.gone_ms is not None and r.gone_ms < before_ms]
        for key in gone:
            del self.all[key]

    def validate(self) -> None:
        """Check what always holds; for tests."""
        for (agent, source), reporter in self.all.items():
            assert reporter.agent == agent
            assert 0 <= source < self.sources
            assert reporter.sequence >= 0 <= reporter.seen_total
            assert len(reporter.gaps) <= _MOST_GAPS

    def forget_gaps(self, before_ms: int) -> None:
        """All spans that begin before a time have been told of."""
        for reporter in self.all.values():
            if reporter.gaps:
                reporter.gaps = [gap for gap in reporter.gaps if gap[1] >= before_ms]


def _took_part(reporter: Reporter, start_ms: int, end_ms: int) -> bool:
    """Whether it should report; one that was there and began only after the end has joined late."""
    asked_ms = reporter.asked_ms
    began = asked_ms if reporter.start_ms is None else min(asked_ms, reporter.start_ms)
    return began < end_ms and (reporter.gone_ms is None or reporter.gone_ms > start_ms)


def _named(names: list[str]) -> tuple[str, ...]:
    return tuple(sorted(names)[:_NAMED])
