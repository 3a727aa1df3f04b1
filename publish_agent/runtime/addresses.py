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


class _Absence(NamedTuple):
    """How many answers of a name have lacked an endpoint, and since when."""

    answers: int
    since_s: float


_PRESENT = _Absence(0, 0.0)


@dataclass(frozen=True, slots=True)
class Changes:
    """The endpoints to let go, and those to connect to; how many more there would have been."""

    gone: list[str]
    new: list[str]
    surplus: int


class Addresses:
    """The endpoints of an agent, and for each name that gave one, whether it still does."""

    def __init__(self, most: int = MAX_ADDRESSES) -> None:
        self._most = most
        self._kept: dict[str, dict[str, _Absence]] = {}

    def take(
        self, name: str, given: Collection[str], now_s: float, answers: Callable[[str], bool]
    ) -> Changes:
        """Take what a name gives now; `answers` tells whether the source job at an endpoint does.

        An endpoint that no name gave in its last answer makes room at once where there is none.
        """
        if not given:
            return Changes([], [], 0)
        self._note(name, given, now_s)
        new = [endpoint for endpoint in dict.fromkeys(given) if endpoint not in self._kept]
        absent = {
            endpoint: max(absence.since_s for absence in by_name.values())
            for endpoint, by_name in self._kept.items()
            if all(absence.answers for absence in by_name.values()) and not answers(endpoint)
        }
        gone = [endpoint for endpoint in absent if self._is_over(endpoint, now_s)]
        missing = len(self._kept) - len(gone) + len(new) - self._most
        if missing > 0:
            rest = [endpoint for endpoint in absent if endpoint not in gone]
            gone += sorted(rest, key=absent.__getitem__)[:missing]
        for endpoint in gone:
            del self._kept[endpoint]
        room = self._most - len(self._kept)
        self._kept |= {endpoint: {name: _PRESENT} for endpoint in new[:room]}
        return Changes(gone, new[:room], len(new[room:]))

    def drop(self, endpoint: str) -> None:
        """It could not be connected to. It is new when it is given again."""
        del self._kept[endpoint]

    def _note(self, name: str, given: Collection[str], now_s: float) -> None:
        """Note which endpoints are in an answer, and which are not."""
        for endpoint, by_name in self._kept.items():
            if endpoint in given:
                by_name[name] = _PRESENT
            elif name in by_name:
                answers, since_s = by_name[name]
                by_name[name] = _Absence(answers + 1, since_s if answers else now_s)

    def _is_over(self, endpoint: str, now_s: float) -> bool:
        """Whether each name has given so many answers without it, over so long a time."""
        return all(
            absence.answers >= GRACE_ANSWERS and now_s - absence.since_s >= GRACE_S
            for absence in self._kept[endpoint].values()
        )
