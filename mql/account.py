"""What is known of all of an answer, added up from its pieces by the one who reads it."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import replace

from mql.ledger import Completeness

GONE_AT_END = "the source job was gone at the end"
"""Why an answer is over whose reader had to end it, as its time was."""

NAMES_MAX = 1_000
"""A sum names this many agents. How many agents did not report it knows all the same."""


@dataclass(slots=True)
class Account:
    """The sum of the pieces of an answer, and the time that was missed between them.

    `start_ms` is when the query first ran. Windows that overlap would be counted twice, so only
    those that begin where the last one that was counted ended are.
    """

    start_ms: int | None = None
    known: Completeness | None = None
    gaps: int = 0
    _missed_ms: int = field(default=0, init=False)
    _end_ms: int = field(default=0, init=False)

    def add(self, known: Completeness) -> None:
        """Take what is known of one window, or of a second."""
        if self.start_ms is None:
            covered = known.covered_ms
            self.start_ms = known.start_ms if covered is None else known.end_ms - covered
        self.known = _sum(self.known or Completeness(known.start_ms, known.start_ms), known)

    def miss(self, from_ms: int | None = None, to_ms: int | None = None) -> None:
        """Take that something never came: all of a time, or where that is not known, pieces."""
        self.gaps += 1
        if from_ms is None or to_ms is None:
            return
        if self.start_ms is None:
            self.start_ms = from_ms
        self._missed_ms += max(to_ms - from_ms, 0)
        self._end_ms = max(self._end_ms, to_ms)

    def total(self) -> Completeness | None:
        """What is known of all of it, from the first start on; None where nothing is."""
        if self.start_ms is None:
            return None
        start_ms = self.start_ms
        known = self.known or Completeness(start_ms, start_ms)
        end_ms = max(known.end_ms, self._end_ms)
        covered_ms = max(end_ms - start_ms - self._missed_ms, 0) if self.gaps else None
        return replace(
            known,
            start_ms=start_ms,
            end_ms=end_ms,
            partial=False,
            covered_ms=covered_ms,
            gaps=self.gaps,
        )


def _sum(before: Completeness, known: Completeness) -> Completeness:
    counted = known.start_ms >= before.end_ms
    expected = max(before.expected, known.expected)
    lacking = max(before.expected - before.reported, known.expected - known.reported)
    return Completeness(
        before.start_ms,
        known.end_ms if counted else before.end_ms,
        expected=expected,
        reported=expected - lacking,
        missing=_names(before.missing, known.missing),
        refused=_names(before.refused, known.refused),
        tally=before.tally + known.tally if counted else before.tally,
        transit=before.transit + known.transit * counted,
        unseen=before.unseen + known.unseen * counted,
        late=before.late + known.late,
        no_time=before.no_time + known.no_time,
        subscriber=before.subscriber + known.subscriber,
        rate=min(before.rate, known.rate),
        clock_ms=max(before.clock_ms, known.clock_ms),
        gone=known.gone,
        gone_more=known.gone_more,
        waiting=known.waiting,
        errors={
            name: max(before.errors.get(name, 0.0), known.errors.get(name, 0.0))
            for name in before.errors | known.errors
        },
        unstated=tuple(dict.fromkeys(before.unstated + known.unstated)),
    )


def _names(before: tuple[str, ...], now: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(before + now))[:NAMES_MAX] if now else before
