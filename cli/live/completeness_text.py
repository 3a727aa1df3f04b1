"""How complete an answer is, in words and as JSON. Pure.

A line of `--ledger` is `{"_ledger": {…}}`, of a gap `{"_gap": {…}}`, and the last one
`{"_ledger_total": {…}}`; docs/protocol.md has every field.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import TYPE_CHECKING

from cli.live.held import Held
from mql.account import GONE_AT_END
from mql.ledger import CLOCK_UNCERTAINTY_MAX_MS, Completeness, Exactness
from mql.values.json_values import write_json

if TYPE_CHECKING:
    from source_jobs.client.actions import Gap

PLACES = ("buffer", "budget", "credit", "failed", "upstream")
_NAMED = 3


def describe(
    known: Completeness, held: Held | None = None, *, windows: int = 0, missed: str = ""
) -> str:
    """One line for people; `windows` of the answer were partial, and parts of it were `missed`.

    >>> from mql.ledger import Tally
    >>> describe(Completeness(0, 1000, expected=3, reported=3, tally=Tally(0, shipped=12)))
    '3 of 3 agents · 12 events seen · exact'
    >>> describe(Completeness(0, 1000, expected=2, reported=1, missing=("shop@a",)))
    '1 of 2 agents · no events · lower bound, 50%: shop@a missing'
    >>> describe(Completeness(0, 1000, expected=2, reported=1, missing=("shop@a",), waiting=1))
    '1 of 2 agents · no events · lower bound, 50%: shop@a missing (1 yet to begin)'
    >>> describe(Completeness(0, 1000))
    'no agents'
    """
    if known.silent and not known.tally.seen:
        nobody = [] if missed.startswith(GONE_AT_END) else ["no agents"]
        return " · ".join(filter(None, [*nobody, *_refused(known), missed, *gone(known)]))
    seen = known.tally.seen
    parts = [
        f"{known.reported:,} of {_counted(known.expected, 'agent')}",
        f"{_counted(seen, 'event')} seen" if seen or known.lost else "no events",
        _exactness(known, held, missed),
        *gone(known),
    ]
    if windows:
        parts.append(_counted(windows, "partial window"))
    if known.early:
        parts.append("closed early")
    return " · ".join(parts)


def alarm(known: Completeness) -> tuple[object, ...]:
    """What is wrong, without numbers: people want to hear of it when it changes."""
    tally = known.tally
    drops = tuple(place for place in PLACES if getattr(tally, place))
    of_source_job = known.transit, known.late, known.no_time, known.unseen, known.subscriber
    counts = tally.under_way, *of_source_job
    lost = tuple(count > 0 for count in counts)
    waits = bool(known.waiting)
    doubts = bool(unsure(known)), gone(known)
    return known.silent, known.missing, waits, known.refused, drops, lost, *doubts


def losses(known: Completeness) -> list[str]:
    """What is missing, each in words."""
    tally = known.tally
    lost = [f"{count:,} dropped ({place})" for place in PLACES if (count := getattr(tally, place))]
    if tally.under_way:
        lost.append(f"{tally.under_way:,} under way (publish takes long)")
    if known.transit:
        lost.append(f"{known.transit:,} lost on the way")
    if known.late:
        lost.append(f"{known.late:,} too late")
    if known.no_time:
        lost.append(f"{known.no_time:,} without a readable time")
    if known.unseen:
        lost.append(f"{known.unseen:,} published before the query ran in a new process")
    if known.subscriber:
        lost.append(f"{_counted(known.subscriber, 'row')} given up as this reader was slow")
    if known.missing:
        waiting = f" ({known.waiting:,} yet to begin)" if known.waiting else ""
        lost.append(f"{_named(known.missing)} missing{waiting}")
    return lost + _refused(known)


def json_line(key: str, value: object) -> bytes:
    """A line of NDJSON about the answer itself."""
    return f"{write_json({key: value})}\n".encode()


def missed_in(gap: Gap) -> str:
    """How much of an answer is missing in a gap, in words."""
    if gap.from_ms is not None and gap.to_ms is not None:
        return f"{(gap.to_ms - gap.from_ms) / 1000:.1f} s"
    return _counted(gap.pieces, "piece")


def _exactness(known: Completeness, held: Held | None, missed: str) -> str:
    lost = ", ".join(filter(None, [*losses(known), missed]))
    share = _share(known, held)
    match known.exactness:
        case Exactness.EXACT:
            return str(Exactness.EXACT)
        case Exactness.LOWER_BOUND:
            why = ", ".join(filter(None, (lost, *_doubts(known))))
            return f"{Exactness.LOWER_BOUND}{share}: {why}"
        case Exactness.ESTIMATE:
            comma = "," if share.endswith("rows") else ""
            return f"{Exactness.ESTIMATE}{share}{comma} {' and '.join(_doubts(known))}"


def _share(known: Completeness, held: Held | None) -> str:
    """How much of the truth there is, where that is not all."""
    if held is not None and held.shown < known.share:
        return f", {_percent(held.shown)} of the rows"
    return f", {_percent(known.share)}" if known.share < 1 else ""


def _doubts(known: Completeness) -> list[str]:
    """Why numbers are no more than estimates, each in words."""
    doubts = []
    if known.rate < 1:
        bounds = f" ({bounds})" if (bounds := _bounds(known)) else ""
        doubts.append(f"from {_percent(known.rate)} of the events{bounds}")
    return doubts + unsure(known)


def _bounds(known: Completeness) -> str:
    """By how much numbers may be off, in words; of some that may be known in no or some windows.

    >>> _bounds(Completeness(0, 1000, errors={"n": 3820.0}, unstated=("sum(x)",), late=7))
    'n ± 3,820 with what was lost, sum(x) ± unknown'
    """
    covers = " with what was lost" if known.lost else ""
    bounds = [f"{name} ± {error:,.4g}{covers}" for name, error in known.errors.items()]
    bounds += [
        f"{name} ± unknown{' in some windows' * (name in known.errors)}" for name in known.unstated
    ]
    return ", ".join(bounds)


def unsure(known: Completeness) -> list[str]:
    """Why it is not certain in which window an event counts, in words."""
    if known.clock_ms <= CLOCK_UNCERTAINTY_MAX_MS:
        return []
    return [f"as the clock of an agent is known to {known.clock_ms:,} ms only"]


def _percent(part: float) -> str:
    """A part of all, which is 100% only if it is all.

    >>> _percent(0.999999), _percent(0.1), _percent(1)
    ('99.999%', '10%', '100%')
    """
    return (
        f"{floor(round(part * 100_000, 6)) / 100_000:.3%}".rstrip("%").rstrip("0").rstrip(".") + "%"
    )


def gone(known: Completeness) -> list[str]:
    """Who ran the query, vanished, and is expected no more, in words."""
    more = known.gone_more
    if not known.gone and not more:
        return []
    first = [each.name for each in known.gone[:_NAMED]]
    more += len(known.gone) - len(first)
    return [f"gone: {', '.join(first)}" + (f" and {more:,} more" if more else "")]


def missed_words(missed: Sequence[str], ended: str | None = None) -> str:
    """Which parts of an answer never came, in words, and that it `ended` without its source job.

    >>> missed_words(["2.0 s"], GONE_AT_END)
    'the source job was gone at the end; 2.0 s of the answer missed'
    >>> missed_words(["2.0 s", "3 pieces"]), missed_words([])
    ('2.0 s and 3 pieces of the answer missed', '')
    """
    more = f" and {len(missed) - _NAMED:,} more times" if len(missed) > _NAMED else ""
    words = f"{' and '.join(missed[:_NAMED])}{more} of the answer missed" if missed else ""
    return "; ".join(filter(None, [GONE_AT_END if ended == GONE_AT_END else "", words]))


def _refused(known: Completeness) -> list[str]:
    return [f"refused by {_named(known.refused)}"] if known.refused else []


def _named(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _counted(count: int, one: str) -> str:
    return f"{count:,} {one}{'' if count == 1 else 's'}"
