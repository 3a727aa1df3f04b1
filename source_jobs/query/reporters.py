"""Those who report to one query: how far each has come, what got lost on the way, who is missing.

A reporter is an agent for one of the query's sources. Its parts carry sequence numbers and running
totals, so that every event that did not come is counted. The query's watermark is the least of
theirs. A reporter further back than the grace time is not waited for; nor is one that has not come
to the end of the last closed span, until it has caught up. An agent that vanished without goodbye
stays expected, and missing, until it returns, or for `EXPECTED_MS`; after that it is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mql.ledger import CLOCK_UNCERTAINTY_MAX_MS, GONE_NAMES_MAX, Gone
from mql.wire.codec import ProtocolError
from mql.wire.messages import Part, QueryCost
from mql.wire.upstream import NAME_CHARACTERS_MAX, Told
from source_jobs.query.upstreams import WAIT_MAX_MS, Upstream, together

_LARGEST = 2**53
_NAMED = 100
"""So many agents are named in a list of missing ones."""

ASK_AGAIN_MS = 1_000

BEGIN_MS = 3_000
"""A query may take this long to begin in all agents. One that begins later was late.

The first one in a service imports what runs it, which takes a second where the service computes.
"""

EXPECTED_MS = 60_000
"""An agent that vanished without goodbye is expected for this long."""

_FORGOTTEN_MAX = 1_000
"""The names of this many agents that are long gone are kept; further ones are a number."""

_SPANS_MAX = 100
"""More gaps of one reporter are taken for one that goes from the first to the last."""


@dataclass(slots=True)
class Reporter:
    """One agent's share of one source.

    `asked_ms` is when it was asked first, `known_ms` when it began to publish as far as anybody
    knows; `start_ms` when it began, once it has said so, and
    `accepted_ms` what it said, which may be a little ahead of our clock. It `knows_unseen` if it
    said then how many events its process had published before. `vanished_ms` is when an
    agent that fell silent without goodbye was heard last, `left_ms` when one said goodbye, and
    `told_all` whether that one ran the query to its goodbye, so that nothing of it is missing.
    `greeted` is whether it has said hello since it last told anything, and `queued` whether its
    agent says that it has the query, and has not planned it yet.
    `gaps` are the times about which it has told something that never came, and `unseen_span` is
    the one of open windows in which it published what is counted as unseen. `clock_ms` is how far
    it may take our clock wrong, and `unsure` are the times when that was much, with how far.
    `upstream` is what the source job has told whose answer this is, if it is one's.
    """

    agent: str
    name: str
    asked_ms: int
    known_ms: int
    last_ask_ms: int | None = None
    start_ms: int | None = None
    accepted_ms: int | None = None
    knows_unseen: bool = False
    greeted: bool = False
    queued: bool = False
    refused: str | None = None
    vanished_ms: int | None = None
    left_ms: int | None = None
    told_all: bool = False
    watermark_ms: int = 0
    sequence: int = 0
    seen_total: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)
    unseen_span: tuple[int, int] | None = None
    clock_ms: int = 0
    unsure: list[tuple[int, int, int]] = field(default_factory=list)
    cost: QueryCost | None = None
    upstream: Upstream | None = None

    @property
    def waits(self) -> bool:
        """Whether it is there, and has not said whether it will."""
        return self.start_ms is None and self.reports

    @property
    def reports(self) -> bool:
        """Whether it is there and to be waited for."""
        return self.refused is None and self.is_there

    @property
    def is_there(self) -> bool:
        """Whether its agent is connected, as far as anybody knows."""
        return self.vanished_ms is None and self.left_ms is None

    @property
    def away_ms(self) -> int | None:
        """Since when its agent is not there, for either cause."""
        return self.vanished_ms if self.left_ms is None else self.left_ms

    @property
    def started(self) -> bool:
        """Whether it has ever run the query."""
        return self.start_ms is not None

    def come_back(self) -> None:
        """Note that its agent is there again."""
        self.vanished_ms = self.left_ms = None
        self.told_all = False

    def accept(self, start_ms: int, now_ms: int, *, knows_unseen: bool = False) -> None:
        """Note that it runs the query; if it did before, nobody knows what was in between."""
        self.refused = None
        self.knows_unseen = knows_unseen
        known_ms = self.start_ms if self.accepted_ms is None else self.accepted_ms
        if known_ms is not None and start_ms > known_ms:
            self._begin_anew(min(start_ms, now_ms))
        self.accepted_ms, self.start_ms = start_ms, min(start_ms, now_ms)
        self.known_ms = min(self.known_ms, self.start_ms)
        self.greeted = self.queued = False
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
        self.greeted = self.queued = False
        if not self._follows(part, seen):
            raise ProtocolError(f"part {part.sequence} does not follow part {self.sequence}")
        if part.upstream:
            name = part.upstream[:NAME_CHARACTERS_MAX]
            if self.upstream is None or self.upstream.name != name:
                self.upstream = Upstream(name)
            self.upstream.hear(part, now_ms)
        lost = part.seen_total - self.seen_total - seen
        self.sequence, self.seen_total = part.sequence, part.seen_total
        if lost:
            self.note_gap(self.watermark_ms, now_ms)
        if self.start_ms is None:
            self.start_ms = now_ms  # it has not been heard to accept: who knows what came before
        self.watermark_ms = max(self.watermark_ms, min(part.watermark_ms, now_ms))
        return lost

    def note_clock(self, clock_ms: int, first_ms: int) -> None:
        """Note by how much it may take our clock wrong, for what it tells from a time on."""
        self.clock_ms = clock_ms
        if clock_ms > CLOCK_UNCERTAINTY_MAX_MS:
            self.unsure.append((first_ms, self.watermark_ms, clock_ms))
            if len(self.unsure) > _SPANS_MAX:
                (first_ms, _, one), (_, last_ms, other) = self.unsure[:2]
                self.unsure[:2] = [(first_ms, last_ms, max(one, other))]

    def clock_in(self, start_ms: int, end_ms: int) -> int:
        """By how much it took our clock wrong at most in a span of time."""
        spans = (ms for first, last, ms in self.unsure if first < end_ms and last >= start_ms)
        return max(self.clock_ms, *spans, 0)

    def _follows(self, part: Part, seen: int) -> bool:
        lost = part.seen_total - self.seen_total - seen
        return part.sequence > self.sequence and 0 <= lost <= _LARGEST

    def _begin_anew(self, start_ms: int) -> None:
        self.sequence = self.seen_total = 0
        self.note_gap(self.watermark_ms, start_ms)

    @property
    def due_ms(self) -> int:
        """Until when its watermark is waited for, beyond the grace time."""
        if self.upstream is None:
            return 0
        return min(self.upstream.due_ms, self.watermark_ms + WAIT_MAX_MS)

    @property
    def silent_name(self) -> str:
        """Who is missing if it has told nothing: the agent, or the source job upstream of it."""
        passes_on = self.upstream is not None and self.is_there
        return self.upstream.name if passes_on and self.upstream else self.name

    def lacks(self, start_ms: int, end_ms: int, *, is_total: bool = False) -> bool:
        """Whether something of a span of time may be missing, and nobody knows how much."""
        spans = self.gaps
        if self.unseen_span is not None and not is_total:
            spans = [*spans, self.unseen_span]
        return any(first < end_ms and last >= start_ms for first, last in spans)

    def is_expected(self, start_ms: int, end_ms: int) -> bool:
        """Whether a span of time has to tell of it."""
        if self.known_ms >= end_ms or (self.left_ms is not None and self.left_ms <= start_ms):
            return False
        return self.vanished_ms is None or start_ms < self.vanished_ms + EXPECTED_MS

    def began_late(self, start_ms: int, query_ms: int) -> bool:
        """Whether it did not run the query from the start of a span on, and may lack something.

        It lacks nothing that its process, if that is new, has not counted; nor what it published
        while the query was on its way to all agents, which no span covers.
        """
        if self.start_ms is None or self.start_ms <= start_ms or self.knows_unseen:
            return False
        return self.asked_ms > query_ms or self.start_ms > query_ms + BEGIN_MS

    def note_unseen(self, first_ms: int, closed_ms: int) -> None:
        """Note that it published something before it ran the query.

        Nobody knows how much of that is of the spans that end by `closed_ms` and have not closed.
        How much it is in all is known, so that the total lacks nothing.
        """
        self.known_ms = min(self.known_ms, first_ms)
        if first_ms < closed_ms:
            known_first_ms, known_last_ms = self.unseen_span or (first_ms, closed_ms - 1)
            self.unseen_span = min(known_first_ms, first_ms), max(known_last_ms, closed_ms - 1)

    def note_gap(self, first_ms: int, last_ms: int) -> None:
        """Note that something of a span of time never came, and that nobody knows how much."""
        self.gaps.append((first_ms, last_ms))
        if len(self.gaps) > _SPANS_MAX:
            self.gaps = [(self.gaps[0][0], last_ms)]


@dataclass(frozen=True, slots=True)
class RollCall:
    """Who should have reported of a span of time, and who did.

    All that were there when the query began ran it from `covered_from_ms` on. `gone` are those who
    ran the query, vanished, and are expected no more; `gone_more` is the number of further ones.
    """

    expected: int
    reported: int
    missing: tuple[str, ...]
    refused: tuple[str, ...]
    covered_from_ms: int
    early: bool
    clock_ms: int = 0
    gone: tuple[Gone, ...] = ()
    gone_more: int = 0
    rate: float = 1.0
    waiting: int = 0


@dataclass(slots=True)
class Reporters:
    """All of one query, by agent and source; the query began at `query_ms`."""

    sources: int
    query_ms: int
    all: dict[tuple[str, int], Reporter] = field(default_factory=dict)
    _waiting: set[tuple[str, int]] = field(default_factory=set)
    _closed_ms: int = 0
    _forgotten: dict[str, Gone] = field(default_factory=dict)
    """By agent who is gone, and for so long that its reporters are forgotten."""
    _forgotten_more: int = 0

    def ask(self, agent: str, name: str, source: int, now_ms: int) -> Reporter:
        """An agent is asked to report, for the first time or again."""
        reporter = self._expect(agent, name, source, now_ms)
        reporter.last_ask_ms = now_ms
        reporter.come_back()
        return reporter

    def expect(self, agent: str, name: str, source: int, now_ms: int, vanished_ms: int) -> None:
        """An agent that vanished a while ago would have to report if it were there."""
        self._expect(agent, name, source, now_ms).vanished_ms = vanished_ms

    def _expect(self, agent: str, name: str, source: int, now_ms: int) -> Reporter:
        reporter = self.all.get((agent, source))
        if reporter is None:
            reporter = Reporter(agent, name, now_ms, now_ms, watermark_ms=now_ms)
            self.all[agent, source] = reporter
        self._waiting.add((agent, source))
        return reporter

    def was_asked(self, agent: str, source: int) -> bool:
        """Whether an agent was ever asked to report."""
        reporter = self.all.get((agent, source))
        return reporter is not None and reporter.last_ask_ms is not None

    def unanswered(self, now_ms: int) -> list[tuple[str, int]]:
        """Those to ask again; whose agent has the query need not be."""
        self._waiting = {k for k in self._waiting if k in self.all and self.all[k].waits}
        since = now_ms - ASK_AGAIN_MS
        waiting = ((key, self.all[key]) for key in sorted(self._waiting))
        return [k for k, r in waiting if not r.queued and (r.last_ask_ms or 0) <= since]

    def of_agent(self, agent: str) -> list[Reporter]:
        """An agent's reporters."""
        keys = ((agent, source) for source in range(self.sources))
        return [self.all[key] for key in keys if key in self.all]

    def lose(self, agent: str, since_ms: int, *, left: bool) -> None:
        """An agent is not there any more; it has said goodbye if it has `left`."""
        for reporter in self.of_agent(agent):
            if not reporter.is_there:
                continue
            if left:
                reporter.left_ms = since_ms
                reporter.told_all = reporter.start_ms is not None and not reporter.greeted
            else:
                reporter.vanished_ms = since_ms

    def regain(self, agent: str, *, greeted: bool) -> None:
        """An agent that had been taken for gone is there, or says hello once more."""
        self._forgotten.pop(agent, None)
        for reporter in self.of_agent(agent):
            reporter.come_back()
            reporter.greeted |= greeted
            reporter.queued = False
        self._waiting.update((agent, source) for source in range(self.sources))

    def watermark(self, now_ms: int, grace_ms: int) -> int:
        """How far the query has come: as far as all agents, but never further back than the grace.

        An agent that says little is no reason to go on at once: its last word may be a second old.
        One without which a span has closed is not waited for until it has caught up, nor is one in
        which the query is queued. One that passes on what another source job tells is waited for as
        long as that needs.
        """
        oldest = now_ms - grace_ms
        marks = (
            r.watermark_ms if now_ms < r.due_ms else max(r.watermark_ms, oldest)
            for r in self._awaited()
        )
        return min(marks, default=oldest)

    def patience_ms(self, until_ms: int) -> int:
        """Until when those may need that have not come to a time, beyond the grace time."""
        dues = (r.due_ms for r in self._awaited() if r.watermark_ms < until_ms)
        return max(dues, default=0)

    @property
    def wait_ms(self) -> int:
        """How long after a moment those upstream tell of it at the latest."""
        return max((r.upstream.wait_ms for r in self._awaited() if r.upstream), default=0)

    def _awaited(self) -> Iterator[Reporter]:
        there = (r for r in self.all.values() if r.reports and not r.queued)
        return (r for r in there if r.watermark_ms >= self._closed_ms)

    def close(self, end_ms: int) -> None:
        """A span of time has closed."""
        self._closed_ms = max(self._closed_ms, end_ms)

    def call(
        self, start_ms: int, end_ms: int, told_ms: int | None = None, gone_by_ms: int | None = None
    ) -> RollCall:
        """Who should have reported of a span of time, to its end or, if it is cut, to `told_ms`.

        An agent did if all its sources did, and nothing of that got lost on the way. `gone` are
        those who are expected no more at `gone_by_ms`, or else when the span begins.
        """
        told_ms = end_ms if told_ms is None else told_ms
        agents: dict[str, list[Reporter]] = {}
        for reporter in self.all.values():
            if reporter.is_expected(start_ms, end_ms):
                agents.setdefault(reporter.agent, []).append(reporter)
        missing, refused, early, reported, waiting = [], [], False, 0, 0
        told: list[Told] = []
        covered_from_ms, clock_ms = max(start_ms, self.query_ms), 0
        is_total = gone_by_ms is not None
        for group in agents.values():
            if any(r.refused is not None for r in group):
                refused.append(group[0].name)
                continue
            late = any(r.began_late(start_ms, self.query_ms) for r in group)
            behind = [r for r in group if not r.told_all and r.watermark_ms < told_ms]
            lacks = any(r.lacks(start_ms, end_ms, is_total=is_total) for r in group)
            if behind or late or lacks:
                missing.append((behind or group)[0].silent_name)
                early |= any(r.is_there for r in behind)
                waiting += any(r.queued and r.is_there for r in group)
                continue
            heard = _heard(group, start_ms, told_ms, is_total=is_total)
            told += heard
            reported += not heard
            clock_ms = max(clock_ms, *(r.clock_in(start_ms, end_ms) for r in group))
            began = (r.start_ms for r in group if r.asked_ms <= self.query_ms)
            covered_from_ms = max(covered_from_ms, *(ms for ms in began if ms is not None), 0)
        upstream = together(told)
        gone = self._gone(start_ms if gone_by_ms is None else gone_by_ms) + list(upstream.gone)
        more = self._forgotten_more + upstream.gone_more
        return RollCall(
            expected=reported + len(missing) + len(refused) + upstream.expected,
            reported=reported + upstream.reported,
            missing=_named([*missing, *upstream.missing]),
            refused=_named([*refused, *upstream.refused]),
            covered_from_ms=covered_from_ms,
            early=early,
            clock_ms=max(clock_ms, upstream.clock_ms),
            gone=tuple(gone[:GONE_NAMES_MAX]),
            gone_more=max(len(gone) - GONE_NAMES_MAX, 0) + more,
            rate=upstream.rate,
            waiting=waiting,
        )

    def _gone(self, by_ms: int) -> list[Gone]:
        """Those who ran the query, and are expected no more at a time, longest gone first."""
        gone = dict(self._forgotten)
        for r in self.all.values():
            if r.vanished_ms is not None and r.vanished_ms + EXPECTED_MS <= by_ms and r.started:
                gone[r.agent] = Gone(r.name, r.vanished_ms)
        return sorted(gone.values(), key=lambda each: (each.since_ms, each.name))

    def queue(self, agent: str, *, waits: bool) -> None:
        """An agent says that the query waits there, or no longer does."""
        for reporter in self.of_agent(agent):
            reporter.queued = waits and (reporter.greeted or not reporter.started)

    def forget(self, before_ms: int) -> None:
        """Let go of those who are away since before a time."""
        for key, reporter in list(self.all.items()):
            if (away_ms := reporter.away_ms) is not None and away_ms < before_ms:
                del self.all[key]
                if reporter.left_ms is None and reporter.started:
                    self._remember(reporter.agent, Gone(reporter.name, away_ms))

    def _remember(self, agent: str, gone: Gone) -> None:
        if agent in self._forgotten or len(self._forgotten) < _FORGOTTEN_MAX:
            self._forgotten[agent] = gone
        else:
            self._forgotten_more += 1

    def validate(self) -> None:
        """Check what always holds; for tests."""
        for (agent, source), reporter in self.all.items():
            assert reporter.agent == agent
            assert 0 <= source < self.sources
            assert reporter.sequence >= 0 <= reporter.seen_total
            assert max(len(reporter.gaps), len(reporter.unsure)) <= _SPANS_MAX
            if reporter.upstream is not None:
                reporter.upstream.validate()

    def forget_gaps(self, before_ms: int) -> None:
        """All spans that begin before a time have been told of."""
        for reporter in self.all.values():
            if reporter.gaps:
                reporter.gaps = [gap for gap in reporter.gaps if gap[1] >= before_ms]
            if reporter.unseen_span is not None and reporter.unseen_span[1] < before_ms:
                reporter.unseen_span = None
            if reporter.unsure:
                reporter.unsure = [each for each in reporter.unsure if each[1] >= before_ms]
            if reporter.upstream is not None:
                reporter.upstream.forget(before_ms)


def _named(names: list[str]) -> tuple[str, ...]:
    return tuple(sorted(names)[:_NAMED])


def _heard(group: list[Reporter], start_ms: int, end_ms: int, *, is_total: bool) -> list[Told]:
    """What the upstreams of an agent's sources told of a span, or all in all; each counts once.

    None if it publishes itself.
    """
    by_name: dict[str, Told] = {}
    for reporter in group:
        upstream = reporter.upstream
        if upstream is None:
            continue
        told = upstream.of(max(start_ms, reporter.start_ms or 0), end_ms)
        if is_total and upstream.ever is not None:
            told = upstream.ever
        known = by_name.get(upstream.name)
        by_name[upstream.name] = told if known is None else known | told
    return list(by_name.values())
