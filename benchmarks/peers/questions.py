"""The three questions that live events are asked beside other tools, and the events themselves.

Events come 800 to a millisecond, as many as an agent is offered that is kept busy, and their times
cross the end of a window of 10 seconds halfway: an answer over windows has two of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, cycle, islice

import msgspec

from benchmarks import events as made_up
from benchmarks.queries import QUERIES, Query

Event = dict[str, object]
Rows = list[dict[str, object]]

WINDOW_MS = 10_000
END_MS = 1_700_000_010_000
"""Where the first window ends and the second one starts."""
PER_MS = 800
WINDOW = "window"
"""The column that says which window a row is of: -1 or 0, counted from END_MS."""

_HOT = 128
"""Distinct hot events, some hundred kilobytes with all that they hold."""


@dataclass(frozen=True, slots=True)
class Question:
    """A query, and how many times faster than any other tool hot events are to be answered."""

    name: str
    query: Query
    goal: float = 3.0


FILTER = Question("filter", QUERIES[0])
PROJECTION = Question("projection", QUERIES[1])
GROUPED = Question("10-second groups", QUERIES[3])
QUESTIONS = (FILTER, PROJECTION, GROUPED)


@dataclass(frozen=True, slots=True)
class Offered:
    """So many events, made anew for each pass or long before it."""

    number: int
    make: Callable[[], Iterable[Event]]

    @property
    def start_ms(self) -> int:
        """The time of the first one."""
        return END_MS - self.number // 2 // PER_MS


def is_error(event: Event) -> bool:
    """What the filter asks."""
    return event["status"] >= 500  # type: ignore[operator]


def is_slow_in_korea(event: Event) -> bool:
    """What the projection asks."""
    return event["country"] == "KR" and event["latency_ms"] > 250  # type: ignore[operator]


def window_of(event: Event) -> int:
    """Which window an event is in."""
    return (event["ts"] - END_MS) // WINDOW_MS  # type: ignore[operator]


def projected(event: Event) -> Event:
    """The row that the projection makes of an event."""
    return {"user_id": event["user_id"], "path": event["path"], "latency_ms": event["latency_ms"]}


def group(window: int, country: object, count: int, total: float, most: float) -> Event:
    """A row of the aggregate."""
    return {
        WINDOW: window,
        "country": country,
        "count(*)": count,
        "average(latency_ms)": total / count,
        "max(latency_ms)": most,
    }


def cold(number: int) -> Offered:
    """Events that were all made before the first one is offered: they have left the cache."""
    start_ms = END_MS - number // 2 // PER_MS
    events = [
        {**msgspec.json.decode(line), "ts": start_ms + i // PER_MS}
        for i, line in enumerate(made_up.lines(number))
    ]
    return Offered(number, lambda: events)


def hot(number: int) -> Offered:
    """Events each of which is made right before it is offered: the dict is new, its values few."""
    pool: list[Event] = [msgspec.json.decode(line) for line in made_up.lines(20_000)]
    few = pool[:_HOT]
    for place, passes in enumerate((is_error, is_slow_in_korea)):
        if not any(map(passes, few)):
            few[place] = next(filter(passes, pool))
    before = [{**event, "ts": END_MS - 1} for event in few]
    after = [{**event, "ts": END_MS} for event in few]

    def make() -> Iterator[Event]:
        half = number // 2
        originals = chain(islice(cycle(before), half), islice(cycle(after), number - half))
        return map(dict.copy, originals)

    return Offered(number, make)


def ordered(question: Question, rows: Rows) -> Rows:
    """Rows in the order in which they can be compared."""
    if question.query.windowed:
        return sorted(rows, key=lambda row: (row[WINDOW], row["country"]))
    return rows


def batches(events: Iterable[Event], size: int) -> Iterator[list[Event]]:
    """Events as lists of so many."""
    source = iter(events)
    while batch := list(islice(source, size)):
        yield batch


def column(events: Sequence[Event], name: str) -> list[object]:
    """One property of some events."""
    return [event[name] for event in events]
