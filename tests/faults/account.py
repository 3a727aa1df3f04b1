"""What an answer told of what was published, beside what the publishers recorded: arithmetic only.

Each event has a number in its service's life, and the answer says, by window and process, how many
came and which was the first and the last. So an event that is in no window has a number, and its
record the time at which it was published: whatever is absent was either reported as a number of
lost events, or belongs to a service, or to a time, that the answer named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mql.columnar.layout import Ints
from tests.faults.fleet import Service
from tests.faults.watch import Seen

_SLACK_MS = 20
"""So far an agent's time of an event may lie from that in the record."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The events of one process in one window: how many, the first and the last."""

    first: int
    last: int
    count: int


@dataclass(frozen=True, slots=True)
class Life:
    """What one process published while the query ran in it, and what the answer has of it."""

    service: str
    published: int
    present: int
    absent_ms: Ints
    """When each event that is in no window was published."""
    inside: int
    """Events that are absent from within a window, which have no number."""

    @property
    def absent(self) -> int:
        """Events that the answer does not have."""
        return self.published - self.present


@dataclass(frozen=True, slots=True)
class Account:
    """What was published, what is absent from the answer, what it reported, and what it named.

    `lost` is the answer's own sum of lost events, `seen` that of all events. Of those that are
    absent, `unnamed` lie in no window that names their service as missing or itself as partial,
    and in no gap.
    """

    published: int
    absent: int
    lost: int
    seen: int
    unnamed: int

    @property
    def taken(self) -> int:
        """Events that are absent and in no number: killed processes took them along."""
        return self.absent - self.lost

    @property
    def is_exact(self) -> bool:
        """Whether the ledger is right to the event."""
        return self.taken == 0 and self.seen == self.published

    @property
    def is_told(self) -> bool:
        """Whether each absent event is reported by number, or in a span that was named."""
        return self.taken >= 0 and self.unnamed <= self.lost


def life_of(service: Service, first: int | None, seen: Sequence[Seen]) -> Life:
    """What became of a service's events from a number on; None: of a new one's, unseen or not."""
    intervals = sorted(_intervals(service.pid, seen), key=lambda each: each.first)
    if first is None:
        asked = np.arange(service.record.published)
    else:
        asked = service.record.asked()
        asked = asked[asked >= first]
    covered = np.zeros(service.record.published + 1, bool)
    for each in intervals:
        covered[each.first : each.last + 1] = True
    absent = asked[~covered[asked]]
    present = sum(each.count for each in intervals)
    return Life(
        service=service.name,
        published=len(asked),
        present=present,
        absent_ms=service.record.times_us()[absent] // 1000,
        inside=len(asked) - len(absent) - present,
    )


def account(
    lives: Sequence[Life], seen: Sequence[Seen], agents: int, unseen_late: int = 0
) -> Account:
    """Add it all up; `unseen_late` stands in the answer's total alone."""
    told = [each.completeness for each in seen if each.completeness is not None]
    return Account(
        published=sum(life.published for life in lives),
        absent=sum(life.absent for life in lives),
        lost=sum(known.lost for known in told) + unseen_late,
        seen=sum(known.tally.seen + known.transit for known in told),
        unnamed=sum(_unnamed(life, seen, agents) + life.inside for life in lives),
    )


def _unnamed(life: Life, seen: Sequence[Seen], agents: int) -> int:
    """How many absent events lie in no span that was told to lack them."""
    open_ms = life.absent_ms
    for each in seen:
        for start_ms, end_ms in _spans(each, life.service, agents):
            inside = (open_ms >= start_ms - _SLACK_MS) & (open_ms < end_ms + _SLACK_MS)
            open_ms = open_ms[~inside]
    return len(open_ms)


def _spans(each: Seen, service: str, agents: int) -> list[tuple[int, int]]:
    """The spans of time of which an item says that this service's events may be missing."""
    spans = []
    gap, known = each.window.gap, each.completeness
    if gap is not None and gap.from_ms is not None and gap.to_ms is not None:
        spans.append((gap.from_ms, gap.to_ms))
    if known is not None:
        named = any(name.partition("@")[0] == service for name in known.missing)
        if named or known.partial or known.expected < agents:
            spans.append((known.start_ms, known.end_ms))
        spans += [
            (gone.since_ms, known.end_ms)
            for gone in known.gone
            if gone.name.partition("@")[0] == service
        ]
    return spans


def _intervals(pid: int, seen: Sequence[Seen]) -> list[Interval]:
    found = []
    for each in seen:
        for row in each.window.rows():
            if row["pid"] == pid:
                first, last, count = (int(str(row[name])) for name in ("first", "last", "n"))
                found.append(Interval(first, last, count))
    return found
