"""Which events there are, and in which windows: sources, join, sample and window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from heapq import merge

from mql.language.syntax import (
    CountWindow,
    JoinClause,
    Query,
    RandomSample,
    RateSample,
    SampleClause,
    StickySample,
    TimeWindow,
    WindowClause,
)
from tests.oracle.cases import Event, Row
from tests.oracle.evaluation import Record
from tests.oracle.values import identity, walk

Draw = Callable[[Row], bool]
"""Whether a sample keeps an event that it leaves to chance."""


def records_of(query: Query, inputs: dict[str, list[Event]]) -> list[Record]:
    """The events of a query's sources, joined if it joins."""
    lefts = merge_by_time(query.sources, inputs)
    if query.join is None:
        (name,) = query.source_names or ("",)
        return [Record(time, {name: event}) for time, event in lefts]
    pairs = join(lefts, merge_by_time(query.join.sources, inputs), query.join)
    if not query.source_names:
        return [Record(time, {"": {**right, **left}}) for time, left, right in pairs]
    here, there = query.source_names
    return [Record(time, {here: left, there: right}) for time, left, right in pairs]


def merge_by_time(sources: Iterable[str], inputs: dict[str, list[Event]]) -> list[Event]:
    """The events of several sources by time; one source alone keeps its order of arrival."""
    return list(merge(*(inputs.get(name, []) for name in sources), key=lambda event: event[0]))


def join(
    lefts: list[Event], rights: list[Event], clause: JoinClause
) -> Iterator[tuple[int, Row, Row]]:
    """Each event of the left side that has a partner, its time first, and the first partner."""
    rights = sorted(rights, key=lambda event: event[0])
    for time, left in lefts:
        keys = [walk(left, key.left.steps) for key in clause.keys]
        for other_time, right in rights:
            others = [walk(right, key.right.steps) for key in clause.keys]
            is_near = abs(other_time - time) <= clause.within_ms
            if is_near and None not in keys and identity(keys) == identity(others):
                yield time, left, right
                break


def sample(clause: SampleClause, records: list[Record], draw: Draw | None) -> list[Record]:
    match clause:
        case RateSample(threshold):
            seen: Counter[int] = Counter()
            kept = []
            for record in records:
                second = record.time_ms // 1000
                seen[second] += 1
                if seen[second] <= threshold:
                    kept.append(record)
            return kept
        case StickySample(keys):
            records = [r for r in records if any(body_of(r).get(key) is not None for key in keys)]
        case RandomSample():
            pass
    if clause.threshold == 0 or not records:
        return []
    if clause.threshold >= clause.factor:
        return records
    if draw is None:
        raise NotImplementedError("which events this sample keeps is left to chance")
    return [record for record in records if draw(body_of(record))]


def body_of(record: Record) -> Row:
    """The one event of a record."""
    (body,) = record.bodies.values()
    return body


def split(
    window: WindowClause | None, records: list[Record], start: int | None, end: int
) -> Iterator[list[Record]]:
    match window:
        case None:
            yield records
        case CountWindow(count):
            for at in range(0, len(records), count):
                yield records[at : at + count]
        case TimeWindow(span, shift) if start is not None:
            for first in range(start // shift * shift, end, shift):
                yield [r for r in records if first <= r.time_ms < first + span]
