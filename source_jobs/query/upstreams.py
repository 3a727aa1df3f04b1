"""What upstream source jobs have told, through the agents whose streams are their answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mql.wire.codec import ProtocolError
from mql.wire.messages import Part
from mql.wire.upstream import NAME_CHARACTERS_MAX, TOLD_NAMES_MAX, Told, add, silence, union

_SPANS_MAX = 1_000
"""So many different spans of one upstream are told apart."""
_COUNT_MAX = 2**40
_TIME_MAX_MS = 2**53
WAIT_MAX_MS = 3_600_000
"""An upstream that is further behind is not waited for, whatever it says."""


@dataclass(slots=True)
class Upstream:
    """What the source job of a name has told of its answer, by spans of time.

    It will have told more by `due_ms`, if it is well, and tells of a moment at the latest `wait_ms`
    after it. `ever` is what it told of all the time so far.
    """

    name: str
    due_ms: int = 0
    wait_ms: int = 0
    ever: Told | None = None
    _spans: list[Told] = field(default_factory=list)

    def hear(self, part: Part, now_ms: int) -> None:
        """Take what a part says. `check_told` has found nothing wrong with it."""
        self.due_ms = min(part.due_ms, now_ms + WAIT_MAX_MS)
        self.wait_ms = min(max(part.wait_ms, 0), WAIT_MAX_MS)
        for told in part.told:
            add(self._spans, told, _SPANS_MAX)
            self.ever = told if self.ever is None else self.ever | told

    def of(self, start_ms: int, end_ms: int) -> Told:
        """What it has told of a span of time; it is missing if that may not be all."""
        inside = [t for t in self._spans if t.start_ms < end_ms and t.end_ms > start_ms]
        if any(t.lost and (t.start_ms < start_ms or t.end_ms > end_ms) for t in inside):
            inside.append(
                silence(self.name, start_ms, end_ms)
            )  # it may have been in the other part
        told_ms = start_ms
        for each in sorted(inside, key=lambda told: told.start_ms):
            if each.start_ms > told_ms:
                break
            told_ms = max(told_ms, each.end_ms)
        if told_ms < end_ms:
            inside.append(silence(self.name, told_ms, end_ms))
        return union(inside) if inside else Told(start_ms, end_ms)

    def forget(self, before_ms: int) -> None:
        """Nothing is asked any more about the time before a moment."""
        if self._spans and self._spans[0].end_ms <= before_ms:
            self._spans = [told for told in self._spans if told.end_ms > before_ms]

    def validate(self) -> None:
        """Check what always holds; for tests."""
        assert len(self._spans) <= _SPANS_MAX
        for told in self._spans:
            check_told((told,))


def check_told(tolds: Iterable[Told]) -> None:
    """Raise ProtocolError for spans or counts that cannot be."""
    for told in tolds:
        if not 0 <= told.start_ms <= told.end_ms <= _TIME_MAX_MS:
            raise ProtocolError("a span of time that cannot be")
        counts = (told.reported, told.expected, told.clock_ms, told.gone_more, told.lost)
        if min(counts) < 0 or max(counts) > _COUNT_MAX or told.reported > told.expected:
            raise ProtocolError("a count that cannot be")
        if not 0 <= told.rate <= 1:
            raise ProtocolError(f"a rate of {told.rate}")
        if max(map(len, (told.missing, told.refused, told.gone))) > TOLD_NAMES_MAX:
            raise ProtocolError("more names than there may be")
        names = (*told.missing, *told.refused, *(each.name for each in told.gone))
        if max(map(len, names), default=0) > NAME_CHARACTERS_MAX:
            raise ProtocolError("a name that is too long")


def together(told: Sequence[Told]) -> Told:
    """What several upstreams tell of one span of time, each of agents of its own."""
    return Told(
        0,
        0,
        sum(each.expected for each in told),
        sum(each.reported for each in told),
        tuple(name for each in told for name in each.missing),
        tuple(name for each in told for name in each.refused),
        min((each.rate for each in told), default=1.0),
        max((each.clock_ms for each in told), default=0),
        tuple(gone for each in told for gone in each.gone),
        sum(each.gone_more for each in told),
    )
