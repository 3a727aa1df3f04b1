"""What drains cost however few events there are, and what each event adds, found from their times.

Least squares over the last looks, where neither costs less than nothing. While pauses and rates
stay as they are the two cannot be told apart: then an event is assumed to take in a drain what it
took to keep, and the rest to be fixed. An agent that is over its budget drains less often at first,
and with that it finds out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_BASE, _CAUGHT, _TOLD, _SENT = 8, 20, 4, 30
"""A drain costs as much beside its queries as so many of them do, and one that has events in it,
whose counts are told, or whose rows or states are sent, costs as much as so many others."""
_KEPT = 0.97
"""What is known counts so much less after each look: half after two seconds."""
_PRIOR = 0.02
"""The weight of what is assumed of events, beside what is known."""
_KEEPS, _EACH_NS = 2, 500
"""An event takes no more in a drain than so many times what it took to keep, and so long for each
query that has events in it: they are tested by the column. Of a few it may seem to be more."""
_NOTHING = 1e-6
"""The weight of the assumption that a turn takes no time."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a drain had to do for its queries.

    `caught` of them had events in it; so many parts were `told`, `sent` of them with rows or
    states.
    """

    queries: int
    caught: int = 0
    told: int = 0
    sent: int = 0

    @property
    def turns(self) -> int:
        """All of it in terms of what a query costs for which there is nothing to do."""
        return _BASE + self.queries + _CAUGHT * self.caught + _TOLD * self.told + _SENT * self.sent


class DrainCosts:
    """Parts the processor time of drains into what is fixed and what follows the events' number."""

    __slots__ = ("_dd", "_de", "_dt", "_ee", "_et")

    def __init__(self) -> None:
        self._dd = self._de = self._ee = self._dt = self._et = 0.0

    def fixed_ns(self, work: Sequence[Work], events: int, spent_ns: int, keep_ns: int) -> float:
        """The part of `spent_ns` that drains with such work would take without events.

        All are sums over a look; `keep_ns` is what it took to keep the events.
        """
        turns = sum(each.turns for each in work)
        if not turns:
            return 0.0
        self._dd = self._dd * _KEPT + float(turns * turns)
        self._de = self._de * _KEPT + turns * events
        self._ee = self._ee * _KEPT + float(events * events)
        self._dt = self._dt * _KEPT + turns * spent_ns
        self._et = self._et * _KEPT + float(events * spent_ns)
        caught = sum(each.caught for each in work) / len(work)
        most_ns = _KEEPS * keep_ns + _EACH_NS * caught * events
        fixed_ns = turns * self._turn_ns(keep_ns / max(events, 1))
        return min(max(fixed_ns, spent_ns - most_ns), spent_ns)

    def _turn_ns(self, kept_ns: float) -> float:
        """What a turn takes, where keeping an event takes so long."""
        dd, ee = self._dd * (1 + _NOTHING), self._ee * (1 + _PRIOR)
        et = self._et + self._ee * _PRIOR * kept_ns
        determinant = dd * ee - self._de * self._de
        if determinant <= 0:  # there were no events
            return self._dt / dd
        each_ns = (dd * et - self._de * self._dt) / determinant
        if each_ns < 0:
            return self._dt / dd
        return max((self._dt * ee - et * self._de) / determinant, 0.0)
