"""How complete an answer is, in words and as JSON. Pure.

A line of `--ledger` is `{"_ledger": {…}}`, of a gap `{"_gap": {…}}`, and the last one
`{"_ledger_total": {…}}`; docs/protocol.md has every field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from mql.ledger import Completeness, Exactness
from mql.values import write_json

if TYPE_CHECKING:
    from source_jobs.client.items import Gap

PLACES = ("buffer", "budget", "credit", "failed", "upstream")
_NAMED = 3


def describe(known: Completeness, *, partial_windows: int = 0, missed: Sequence[str] = ()) -> str:
    """One line for people.

    >>> from mql.ledger import Tally
    >>> describe(Completeness(0, 1000, expected=3, reported=3, tally=Tally(0, shipped=12)))
    '3 of 3 agents · 12 events seen · exact'
    >>> describe(Completeness(0, 1000))
    'no agents'
    """
    if known.silent and not known.tally.seen:
        return " · ".join(["no agents", *_refused(known), *_missed(missed)])
    seen = known.tally.seen + known.transit
    parts = [
        f"{known.reported:,} of {_counted(known.expected, 'agent')}",
        f"{_counted(seen, 'event')} seen" if seen else "no events",
        _exactness(known, _missed(missed)),
    ]
    if known.partial:
        parts.append("partial window")
    if partial_windows:
        parts.append(_counted(partial_windows, "partial window"))
    if known.early:
        parts.append("closed early")
    return " · ".join(parts)


def alarm(known: Completeness) -> tuple[object, ...]:
    """What is wrong, without numbers: people want to hear of it when it changes."""
    tally = known.tally
    drops = tuple(place for place in PLACES if getattr(tally, place))
    lost = known.transit > 0, known.late > 0, known.subscriber > 0
    return known.silent, known.missing, known.refused, drops, lost


def losses(known: Completeness) -> list[str]:
    """What is missing, each in words."""
    tally = known.tally
    lost = [f"{count:,} dropped ({place})" for place in PLACES if (count := getattr(tally, place))]
    if known.transit:
        lost.append(f"{known.transit:,} lost on the way")
    if known.late:
        lost.append(f"{known.late:,} too late")
    if known.subscriber:
        lost.append(f"{_counted(known.subscriber, 'row')} given up as this reader was slow")
    if known.missing:
        lost.append(f"{_named(known.missing)} missing")
    return lost + _refused(known)


def json_line(key: str, value: object) -> bytes:
    """A line of NDJSON about the answer itself."""
    return f"{write_json({key: value})}\n".encode()


def missed_in(gap: Gap) -> str:
    """How much of an answer is missing in a gap, in words."""
    if gap.from_ms is not None and gap.to_ms is not None:
        return f"{(gap.to_ms - gap.from_ms) / 1000:.1f} s"
    return _counted(gap.pieces, "piece")


@dataclass(slots=True)
class Summary:
    """What is known of all of an answer, added up from its pieces.

    Windows that overlap would be counted twice, so only those that begin where the last one
    that was counted ended are.
    """

    known: Completeness | None = None
    partial_windows: int = 0
    missed: list[str] = field(default_factory=list)
    """What nobody knows anything of, in words: times without a connection, pieces that got lost."""

    def miss(self, words: str) -> None:
        """Take that some of the answer never came."""
        self.missed.append(words)

    def add(self, known: Completeness, *, closes: bool) -> None:
        """Take what is known of one window (which it `closes`), or of a second."""
        self.partial_windows += known.partial and closes
        before = self.known or Completeness(known.start_ms, known.start_ms)
        counted = known.start_ms >= before.end_ms
        self.known = Completeness(
            before.start_ms,
            known.end_ms if counted else before.end_ms,
            expected=max(before.expected, known.expected),
            reported=max(before.reported, known.reported),
            missing=tuple(dict.fromkeys(before.missing + known.missing)),
            refused=tuple(dict.fromkeys(before.refused + known.refused)),
            tally=before.tally + known.tally if counted else before.tally,
            transit=before.transit + known.transit * counted,
            late=before.late + known.late,
            subscriber=before.subscriber + known.subscriber,
            rate=min(before.rate, known.rate),
            errors={
                name: max(before.errors.get(name, 0.0), known.errors.get(name, 0.0))
                for name in before.errors | known.errors
            },
        )

    def describe(self, total: Completeness | None = None) -> str:
        """One line for people, from the source job's own `total` where there is one."""
        # After a gap the source job's own total is of the time since.
        known = self.known if self.missed else total or self.known
        if known is None:
            return "it ended before anything was known of its completeness"
        # All of an answer is the time of the query, of which nothing is left out.
        errors = self.known.errors if self.known else {}
        known = msgspec.structs.replace(known, partial=False, errors=errors)
        return describe(known, partial_windows=self.partial_windows, missed=self.missed)


def _exactness(known: Completeness, missed: list[str]) -> str:
    lost = ", ".join(losses(known) + missed)
    match known.exactness:
        case Exactness.ESTIMATE:
            text = f"estimate from {known.rate:.3%}".rstrip("%").rstrip("0").rstrip(".")
            errors = [f"{name} ± {error:,.4g}" for name, error in known.errors.items()]
            text = f"{text}% of the events" + (f" ({', '.join(errors)})" if errors else "")
            return text + (f": {lost}" if lost else "")
        case _ if lost:
            return f"{Exactness.LOWER_BOUND}: {lost}"
        case _:
            # Only what lies outside the time of the query is not in a partial window.
            return str(Exactness.EXACT)


def _missed(missed: Sequence[str]) -> list[str]:
    if not missed:
        return []
    more = f" and {len(missed) - _NAMED:,} more times" if len(missed) > _NAMED else ""
    return [f"{' and '.join(missed[:_NAMED])}{more} of the answer missed"]


def _refused(known: Completeness) -> list[str]:
    return [f"refused by {_named(known.refused)}"] if known.refused else []


def _named(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _counted(count: int, one: str) -> str:
    return f"{count:,} {one}{'' if count == 1 else 's'}"
