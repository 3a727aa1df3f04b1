"""Events as they stand for an answer, in a row from which those near a span can be taken."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from tests.simulator.records import AgentRecord, Published


@dataclass(frozen=True, slots=True)
class Placed:
    """An event where it stands for an answer: its time, and between which times it may count."""

    record: AgentRecord
    event: Published
    link: int | None
    """The link by which its agent counts it for the query, if it does."""
    time_ms: int
    """Its time, as its agent tells it the source job, or as it is if it does not."""
    true_ms: int
    first_ms: int
    last_ms: int


Sourced = dict[str, list[Placed]]


class RowOfTime:
    """The events of a stream by their time: to look at all for each span would be quadratic."""

    def __init__(self, placed: list[Placed]) -> None:
        self._order = {id(each): number for number, each in enumerate(placed)}
        self._placed = sorted(placed, key=lambda each: each.first_ms)
        self._widest_ms = max((each.last_ms - each.first_ms for each in placed), default=0)

    def near(self, start_ms: int, end_ms: int) -> list[Placed]:
        """Those that may count between two times, and a few more, in the order they came in."""
        first_ms = start_ms - self._widest_ms
        low = bisect_left(self._placed, first_ms, key=lambda each: each.first_ms)
        high = bisect_left(self._placed, end_ms, key=lambda each: each.first_ms)
        return sorted(self._placed[low:high], key=lambda each: self._order[id(each)])
