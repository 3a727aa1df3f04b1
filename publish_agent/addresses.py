"""Which addresses an agent connects to, of those that the names of its source jobs give.

A name gives other addresses over time, or each time only some of them. One that is given no more is
let go after a while, unless its source job answers. No answer, or an empty one, changes nothing.
Times are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

MAX_ADDRESSES = 64
"""Source jobs that one agent serves."""
GRACE_S = 60.0
GRACE_ANSWERS = 3
"""For so long, and in so many answers, a name has not given an address before that is let go."""


class _Given(NamedTuple):
    """An answer of a name: which one, and when."""

    number: int
    time_s: float


@dataclass(frozen=True, slots=True)
class Changes:
    """The endpoints to let go, and those to connect to; how many more there would have been."""

    gone: list[str]
    new: list[str]
    surplus: int


class Addresses:
    """The endpoints of an agent, and in which answer of each name they were last."""

    def __init__(self, most: int = MAX_ADDRESSES) -> None:
        self._most = most
        self._kept: dict[str, dict[str, _Given]] = {}
        self._last: dict[str, _Given] = {}

    def take(
        self, name: str, given: Collection[str], now_s: float, answers: Callable[[str], bool]
    ) -> Changes:
        """Take what a name gives now; `answers` tells whether the source job at an endpoint does.

        An endpoint that no name gave in its last answer makes room at once where there is none.
        """
        if not given:
            return Changes([], [], 0)
        number = self._last[name].number + 1 if name in self._last else 0
        last = self._last[name] = _Given(number, now_s)
        new = [endpoint for endpoint in dict.fromkeys(given) if endpoint not in self._kept]
        for endpoint in given:
            if endpoint in self._kept:
                self._kept[endpoint][name] = last
        silent = [endpoint for endpoint in self._kept if not answers(endpoint)]
        gone = [
            endpoint for endpoint in silent if self._is_absent(endpoint, GRACE_ANSWERS, GRACE_S)
        ]
        missing = len(self._kept) - len(gone) + len(new) - self._most
        if missing > 0:
            absent = [e for e in silent if e not in gone and self._is_absent(e, 1, 0.0)]
            gone += sorted(absent, key=self._given_s)[:missing]
        for endpoint in gone:
            del self._kept[endpoint]
        room = self._most - len(self._kept)
        self._kept |= {endpoint: {name: last} for endpoint in new[:room]}
        return Changes(gone, new[:room], len(new[room:]))

    def drop(self, endpoint: str) -> None:
        """It could not be connected to. It is new when it is given again."""
        del self._kept[endpoint]

    def _is_absent(self, endpoint: str, answers: int, span_s: float) -> bool:
        """Whether each name has given so many answers without it, over such a time."""
        return all(
            self._last[name].number - given.number >= answers
            and self._last[name].time_s - given.time_s >= span_s
            for name, given in self._kept[endpoint].items()
        )

    def _given_s(self, endpoint: str) -> float:
        """When it was given last."""
        return max(given.time_s for given in self._kept[endpoint].values())
