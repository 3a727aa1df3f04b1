"""Large values, which an agent that samples keeps whatever the dice say: they carry the sums.

Where a query adds up a property, events with a number beyond its limit are kept, and stand for
themselves alone. The others are sampled, so that no number of a sample is larger than the limit,
and a source job can say how far a sum may be off (`mql.exec.aggregates.sampling_error`). Limits are
learned from what was kept before: they know nothing of the throws to come. The idea is that of
Duffield, Lund and Thorup, "Learn More, Sample Less: Control of Volume and Variance in Network
Measurement" (2005).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from math import inf

import numpy as np

from mql.columnar.layout import Doubles
from mql.language.syntax import Property
from publish_agent.capture.event_buffer import Place, Weights
from publish_agent.capture.native import binding
from publish_agent.capture.native.binding import Steps

PATHS_MAX = 8
"""Properties whose numbers are compared with a limit, for a stream. Sums of others get none."""

_SHARE = 0.2
"""So many events more are kept, for being large, as the dice keep, or a few for each drain."""
_FEW, _FEW_SHARE_MAX = 4, 0.01
_SMOOTH = 8
"""Drains that are seen together."""

_REMEMBERED = 2_048
"""The last numbers, from which a limit follows."""

_FRESH = 0.5
"""A limit is computed again once such a share of the numbers is new."""

_MOVED = 0.8
"""A limit that has changed by less is kept."""

_GRANTED = 64
"""So many events may be kept for being large until the next drain, and as many as the dice keep."""


@dataclass(frozen=True, slots=True)
class Large:
    """What callers compare an event with, until the next drain. Any thread may."""

    bars: tuple[tuple[Steps, float], ...]
    places: set[Place]
    """The subscriptions that add up one of the numbers."""
    extras: repeat[bool]
    """As often as it gives something, an event may be kept for being large."""
    weights: tuple[Weights, Weights]
    """Of an event that the dice leave out, and of one that they keep."""
    test: Callable[[object], object]
    """Whether an event is large. Never raises."""

    def admits(self, candidates: Sequence[Place]) -> bool:
        """Whether a large event is kept whatever the dice say, as somebody adds it up."""
        return not self.places.isdisjoint(candidates) and next(self.extras, False)


class Learned:
    """The last numbers of one property, and the limit that follows from them."""

    def __init__(self) -> None:
        self._parts: deque[tuple[Doubles, int]] = deque()
        self._size = self._fresh = 0
        self._weight = 1
        self._limit = inf

    def add(self, numbers: Doubles, weight: int) -> None:
        """Take the magnitudes of numbers, each of which stands for so many."""
        if not len(numbers):
            return
        self._parts.append((numbers, weight))
        self._size += len(numbers)
        self._fresh += len(numbers)
        while self._size - len(self._parts[0][0]) >= _REMEMBERED:
            self._size -= len(self._parts.popleft()[0])

    def limit(self, weight: int, few: float = 0.0) -> float:
        """The least number that leaves a small share of them above; infinite if there are none.

        The share may be that of a `few` events.
        """
        if self._size and (weight != self._weight or self._fresh > self._size * _FRESH):
            self._weight, self._fresh = weight, 0
            limit = self._computed(max(_SHARE / weight, min(few, _FEW_SHARE_MAX)))
            if not self._limit * _MOVED <= limit <= self._limit / _MOVED:
                self._limit = limit
        return self._limit

    def _computed(self, share: float) -> float:
        numbers = np.concatenate([part for part, _ in self._parts])
        weights = np.repeat([w for _, w in self._parts], [len(part) for part, _ in self._parts])
        order = np.argsort(-numbers)
        above = np.cumsum(weights[order])
        return float(numbers[order[np.searchsorted(above, share * above[-1], side="right")]])


class LargeValues:
    """The limits of one intake; for the background thread.

    `ways` are the properties that are added up, and where they are in an event.
    """

    def __init__(
        self, ways: Mapping[Property, Steps], learned: dict[Property, Learned], weight: int
    ) -> None:
        self._ways = dict(ways)
        self._learned = {path: learned.setdefault(path, Learned()) for path in ways}
        self._places: set[Place] = set()
        self._limits: dict[Property, float] = {}
        self._before: dict[Property, float] = {}
        self._weight = 1
        self._granted = 0
        self._decided = 0.0
        """About so many events come between two drains."""
        self.present: Large | None = None
        self.renew(weight, 0)

    def join(self, place: Place, adds: Sequence[Property]) -> None:
        """Keep what is large for a subscription too, if it adds up a property with a limit."""
        if not self._ways.keys().isdisjoint(adds):
            self._places.add(place)

    def adds(self, place: Place) -> bool:
        """Whether a subscription gets all that is large."""
        return place in self._places

    def claims(self, place: Place) -> Mapping[Property, float]:
        """The largest numbers that events may have which were sampled since the last drain."""
        if place not in self._places or self._left == 0:
            return {}
        both = self._limits.keys() & self._before.keys()
        return {path: max(self._limits[path], self._before[path]) for path in both}

    def learn(self, path: Property, numbers: Doubles, weight: int) -> None:
        """Take the magnitudes of the numbers of a property, each standing for so many."""
        if path in self._learned:
            self._learned[path].add(numbers, weight)

    def renew(self, weight: int, decided: int) -> bool:
        """Make limits for the time until the next drain; whether there are others than before.

        In the last one the dice `decided` about so many events.
        """
        granted = _GRANTED + decided // weight
        limits: dict[Property, float] = {}
        if weight > 1:
            self._decided += (decided - self._decided) / (_SMOOTH if self._decided else 1)
            few = _FEW / self._decided if self._decided else 0.0
            limits = {path: known.limit(weight, few) for path, known in self._learned.items()}
        was_sampling, self._before = self._weight > 1, self._limits
        same = weight == self._weight and limits == self._limits
        self._weight, self._limits = weight, limits
        if not was_sampling:
            self._before = limits
        if same and 2 * self._left >= granted:
            return False
        bars = tuple((self._ways[path], limit) for path, limit in limits.items() if limit < inf)
        before, self._granted = self.present, granted
        self.present = self._large(bars, weight) if bars else None
        return before is not self.present

    @property
    def _left(self) -> int:
        """How many more events may be kept for being large."""
        return self.present.extras.__length_hint__() if self.present else self._granted

    def _large(self, bars: tuple[tuple[Steps, float], ...], weight: int) -> Large:
        test = binding.bars(bars) or partial(_is_over, bars)
        extras = repeat(True, self._granted)
        return Large(bars, self._places, extras, ((1, 0), (1, weight)), test)


def _is_over(bars: Sequence[tuple[Steps, float]], event: object) -> bool:
    """Whether an event has a number beyond one of some limits. Never raises."""
    try:
        return any(_is_beyond(event, way, limit) for way, limit in bars)
    except Exception:  # noqa: BLE001 - whatever the caller's objects raise
        return False


def _is_beyond(value: object, way: Steps, limit: float) -> bool:
    for step in way:
        if type(value) is dict:
            value = value.get(step)
        elif type(value) is list and isinstance(step, int) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return False
    if type(value) is int:
        return abs(value) > limit
    return isinstance(value, float) and abs(value) > limit
