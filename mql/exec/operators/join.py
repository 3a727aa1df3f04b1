"""`join`: each left event with the first right event of an equal key near it in time.

Rows come in the order of the left events, with the left event's time. A right event that comes
first within reach wins as soon as no earlier one can come any more.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

import pyarrow as pa

from mql.columnar.layout import EVENT, TIME
from mql.columnar.whole_events import event_texts
from mql.errors import RunError
from mql.events.decode import EventReader
from mql.exec.aggregates.group_keys import hashable_keys
from mql.exec.expressions.frame import Frame
from mql.exec.limits import Limits
from mql.exec.operator import Block, Counters
from mql.exec.windows.event_time import EventClock
from mql.planner.fields import Fields
from mql.planner.logical import Join
from mql.values.json_values import read_json

SIDE = "*side"
"""The column that says which side an event is of: 0 left, 1 right."""

_PRUNE_EVERY = 10_000
_EVENT_BYTES = 400
"""What an event takes beside its text."""


@dataclass(order=True, slots=True)
class _Right:
    time: int
    arrival: int
    text: str = field(compare=False)


@dataclass(slots=True)
class _Left:
    time: int
    key: Hashable
    text: str


class JoinOperator:
    """Holds right events for as long as a left one may want them, and left ones until decided."""

    done = False

    def __init__(
        self,
        step: Join,
        fields: Fields,
        counters: Counters,
        limits: Limits,
        lateness_ms: int,
    ) -> None:
        self._clause = step.clause
        self._names = step.names
        self._reader = EventReader(fields)
        self._clock = EventClock()
        self._counters = counters
        self._limits = limits
        self._lateness_ms = lateness_ms
        self._rights: dict[Hashable, list[_Right]] = {}
        self._lefts: deque[_Left] = deque()
        self._held = 0
        self._characters = 0
        self._arrivals = 0
        self._watermark: int | None = None
        self._due: int | None = None
        """The watermark that decides the first left event."""
        self._joined: list[dict[str, object]] = []
        self._times: list[int] = []
        """The events that are decided and not yet given, and their times."""

    @property
    def held_bytes(self) -> int:
        """About how much memory the events take that wait for each other."""
        return self._characters + _EVENT_BYTES * self._held

    def push(self, block: Block) -> list[Block]:
        """Take events of both sides; give the joined ones that are decided."""
        for event in self._events(block.batch):
            self._take(*event)
        if block.times is not None:
            self._advance(block.times.now_ms - self._lateness_ms)
            self._decide()
        return [self._give()]

    def finish(self, end_ms: int | None) -> list[Block]:  # noqa: ARG002 - the protocol's shape
        """Give what the end of the input decides."""
        self._decide(at_end=True)
        return [self._give()]

    def _events(self, batch: pa.RecordBatch) -> list[tuple[int | None, int, Hashable, str]]:
        times, sides = batch.column(TIME).to_pylist(), batch.column(SIDE).to_pylist()
        keys = self._keys(Frame(batch), sides)
        texts = event_texts(batch.column(EVENT)).to_pylist()
        return list(zip(times, sides, keys, texts, strict=True))

    def _keys(self, frame: Frame, sides: list[int]) -> Iterable[Hashable]:
        """What each event is paired by, on its side."""
        clause = self._clause.keys
        lefts = zip(*(hashable_keys(frame.property(key.left)) for key in clause), strict=True)
        if all(key.left == key.right for key in clause):
            return lefts
        rights = zip(*(hashable_keys(frame.property(key.right)) for key in clause), strict=True)
        return (pair[side] for *pair, side in zip(lefts, rights, sides, strict=True))

    def _take(self, time: int | None, side: int, key: Hashable, text: str) -> None:
        if time is None:
            self._counters.without_time += 1
            return
        self._advance(time - self._lateness_ms)
        assert isinstance(key, tuple)
        if any(part is None for part in key):
            return
        if side == 0:
            self._lefts.append(_Left(time, key, text))
        else:
            self._arrivals += 1
            insort(self._rights.setdefault(key, []), _Right(time, self._arrivals, text))
            if self._lefts and self._lefts[0].key == key:
                self._due = None
        self._held += 1
        self._characters += len(text)
        if self._held % _PRUNE_EVERY == 0:
            self._prune()
        if self._held > self._limits.events:
            reason = f"more than {self._limits.events:,} events would have to be held"
            raise RunError("join", f"{reason}; a shorter reach would do")
        self._decide()

    def _advance(self, watermark: int) -> None:
        self._watermark = watermark if self._watermark is None else max(self._watermark, watermark)

    def _decide(self, *, at_end: bool = False) -> None:
        """Pair the first left events, as soon as no earlier partner can come, or at the end.

        That is after each event, so that it does not matter in which batches they come.
        """
        while self._lefts and (at_end or self._is_due()):
            left = self._lefts.popleft()
            self._due = None
            self._held -= 1
            self._characters -= len(left.text)
            right = self._partner(left)
            if right is not None:
                self._joined.append(self._one(_object(left.text), _object(right.text)))
                self._times.append(left.time)

    def _one(self, left: dict[str, object], right: dict[str, object]) -> dict[str, object]:
        return dict(zip(self._names, (left, right), strict=True)) if self._names else right | left

    def _is_due(self) -> bool:
        """Whether no earlier partner of the first left event can come."""
        if self._due is None:
            left = self._lefts[0]
            right = self._partner(left)
            reach = left.time + self._clause.within_ms
            self._due = reach if right is None else right.time - 1
        return self._watermark is not None and self._watermark > self._due

    def _give(self) -> Block:
        """The decided events, as new ones that come now, in order of the left ones."""
        batch = self._reader.from_events(self._joined, self._times).batch
        self._joined, self._times = [], []
        return self._clock.stamp(batch, self._reached())

    def _reached(self) -> int | None:
        """The time that no joined event which is still to come is older than."""
        if self._watermark is None:
            return None
        reached = self._watermark + self._lateness_ms
        return min([reached, *(left.time for left in self._lefts)])

    def _partner(self, left: _Left) -> _Right | None:
        near = self._rights.get(left.key, [])
        at = bisect_left(near, left.time - self._clause.within_ms, key=lambda right: right.time)
        if at < len(near) and near[at].time <= left.time + self._clause.within_ms:
            return near[at]
        return None

    def _prune(self) -> None:
        """Forget right events that are out of reach of every left one, come or to come."""
        assert self._watermark is not None
        oldest = min((left.time for left in self._lefts), default=self._watermark)
        horizon = min(oldest, self._watermark) - self._clause.within_ms
        for key in list(self._rights):
            before = self._rights[key]
            kept = [right for right in before if right.time >= horizon]
            gone = before[: len(before) - len(kept)]
            self._held -= len(gone)
            self._characters -= sum(len(right.text) for right in gone)
            if kept:
                self._rights[key] = kept
            else:
                del self._rights[key]


def _object(text: str) -> dict[str, object]:
    value = read_json(text)
    assert isinstance(value, dict)
    return value
