"""What source jobs tell each other where one's answer is another one's stream.

Names go through every hop as they are, up to `TOLD_NAMES_MAX` of them; beyond that the difference
of `expected` and `reported` is the number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import reduce

import msgspec

from mql.ledger import Completeness, Gone

TOLD_NAMES_MAX = 20
"""So many names are in each list of a span."""

NAME_CHARACTERS_MAX = 200

FEEDS_MAX = 100
"""A job knows so many connections between the jobs upstream of it."""


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an upstream source job has told of a span of time, but for its rows.

    The fields are those of `Completeness`. The job itself is the one `expected`, and `missing`,
    where it has told nothing. Of how many events are `lost` the tallies tell; nobody knows when in
    the span those were.
    """

    start_ms: int
    end_ms: int
    expected: int = 0
    reported: int = 0
    missing: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    rate: float = 1.0
    clock_ms: int = 0
    gone: tuple[Gone, ...] = ()
    gone_more: int = 0
    lost: int = 0

    def __or__(self, other: Told) -> Told:
        """What is known of both spans: who is missing in one of them is missing."""
        expected = max(self.expected, other.expected)
        missing = _named_in_either(self.missing, other.missing)
        refused = _named_in_either(self.refused, other.refused)
        lacking = len(missing) + len(refused)
        gone = {(each.name, each.since_ms): each for each in self.gone + other.gone}
        return Told(
            min(self.start_ms, other.start_ms),
            max(self.end_ms, other.end_ms),
            expected,
            max(min(self.reported, other.reported, expected - lacking), 0),
            missing,
            refused,
            min(self.rate, other.rate),
            max(self.clock_ms, other.clock_ms),
            tuple(gone.values())[:TOLD_NAMES_MAX],
            max(self.gone_more, other.gone_more, len(gone) - TOLD_NAMES_MAX),
            self.lost + other.lost,
        )

    def of(self, start_ms: int, end_ms: int) -> Told:
        """The same, told of another span."""
        return msgspec.structs.replace(self, start_ms=start_ms, end_ms=end_ms)

    def continues(self, before: Told) -> bool:
        """Whether it says of the time right after another span what that one says."""
        return before.end_ms == self.start_ms and self.of(0, 0) == before.of(0, 0) and not self.lost


class Feed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A source job whose answer is a stream of another one.

    `job` and `into` are their random names, `shown` is how people know the first. Without `into`
    it is the job that hears this.
    """

    job: str
    shown: str
    into: str = ""


def silence(name: str, start_ms: int, end_ms: int) -> Told:
    """A span of time about which the job of a name has told nothing."""
    return Told(start_ms, end_ms, expected=1, missing=(name,))


def told_by(name: str, known: Completeness, start_ms: int, lost: int) -> Told:
    """What the job of a name has told up to the end of a window, or of a second.

    One that was partial, or had nobody to ask, lacks nobody knows what: the job is missing.
    """
    if known.partial or not known.expected:
        return silence(name, start_ms, known.end_ms)
    return Told(
        start_ms,
        known.end_ms,
        known.expected,
        known.reported,
        _cut(known.missing),
        _cut(known.refused),
        known.rate,
        known.clock_ms,
        tuple(Gone(each.name[:NAME_CHARACTERS_MAX], each.since_ms) for each in known.gone),
        known.gone_more,
        lost,
    )


def add(spans: list[Told], told: Told, spans_max: int) -> None:
    """Add a span to those before it; the oldest become one where there are too many."""
    if spans and told.continues(spans[-1]):
        spans[-1] = spans[-1].of(spans[-1].start_ms, told.end_ms)
        return
    spans.append(told)
    if len(spans) > spans_max:
        spans[:2] = [spans[0] | spans[1]]


def union(spans: Iterable[Told]) -> Told:
    """What is known of some spans, of which there is one at least."""
    return reduce(Told.__or__, spans)


def _named_in_either(some: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    """Names may be there twice: several processes of a service on a host."""
    if some == others:
        return some
    return tuple(sorted((Counter(some) | Counter(others)).elements()))[:TOLD_NAMES_MAX]


def _cut(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name[:NAME_CHARACTERS_MAX] for name in names[:TOLD_NAMES_MAX])
