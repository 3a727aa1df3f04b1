"""Verification: drained events are decoded, tested for each query, and added to its states.

The screen lets through too much. Few events are tested one by one, as they are; of more, the fields
of all queries are decoded together, and the operators of each query test the columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import are_among, distinct, from_numpy
from mql.columnar.layout import Ints
from mql.columnar.read import plain, to_python
from mql.exec.aggregates.sampling_error import magnitudes
from mql.language.format import format_property
from mql.language.syntax import Property
from mql.planner.fields import Fields
from mql.values.json_values import read_json_lines
from publish_agent.capture.event_buffer import Place
from publish_agent.capture.outcome import Outcome
from publish_agent.capture.value_columns import Taken
from publish_agent.drain.accounting import OffsetOf, book_losers
from publish_agent.drain.decode import Decoded, Decoder
from publish_agent.drain.plan.operators import ROW
from publish_agent.drain.sampling import Sampling
from publish_agent.drain.subscription import Running, Survivors

_FEW = 32
"""Found that are tested one by one."""

Found = Mapping[Place, Ints]
"""The numbers of some rows for each query, by its place, ascending."""

_NONE: Found = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Catch:
    """A batch of a drain, and the rows of it that each query wants to be sent as they are.

    Each event stands for `weight`. `caught` queries had candidates, `failed` are those that failed,
    and `full` those whose states cannot wait any longer.
    """

    batch: pa.RecordBatch
    weight: int
    wanted: list[tuple[Running, Survivors]]
    failed: list[Running]
    full: list[Running]
    caught: int


@dataclass(frozen=True, slots=True)
class Verification:
    """Means of it: the queries by their place, the decoder, the sample and the clock."""

    members: Sequence[Running]
    decoder: Decoder
    sampling: Sampling
    clock_ns: Callable[[], int]


def decode_texts(by: Verification, texts: Sequence[bytes], found: Found) -> tuple[Decoded, Found]:
    """The rows of some queries as a batch; and which of them pass, where that is known already."""
    events = _read(texts) if len(texts) <= _FEW else None
    passed = _NONE if events is None else _judge(by, events, found)
    fields = _together(
        {by.members[place].reads for place in found if place not in passed}
        | {by.members[place].carries for place, numbers in passed.items() if len(numbers)}
    )
    return by.decoder.decode(texts, fields, events), passed


def decode_needed(
    by: Verification, texts: Sequence[bytes], found: Found
) -> tuple[Decoded, Found, Ints]:
    """Those rows alone that are some query's as a batch: its rows of each, and which they were."""
    fields = _together(by.members[place].reads for place in found)
    needed = distinct(np.concatenate(list(found.values())))
    decoded = by.decoder.decode([texts[row] for row in needed.tolist()], fields, None)
    places = {place: np.searchsorted(needed, numbers) for place, numbers in found.items()}
    return decoded, places, needed


def decode_values(
    by: Verification, taken: Taken, paths: Sequence[Property], found: Found, *, has_tests: bool
) -> tuple[Decoded, Found]:
    """The copied values of events as a batch; and which pass, where that is known already."""
    rows = int(taken.sizes.sum())
    events = _events(paths, taken.columns) if has_tests and rows <= _FEW else None
    passed = _NONE if events is None else _judge(by, events, found)
    columns = dict(zip(map(format_property, paths), taken.columns, strict=True))
    columns[ROW] = from_numpy(np.arange(rows))
    return Decoded(pa.RecordBatch.from_arrays([*columns.values()], [*columns])), passed


def hand_out(
    by: Verification,
    decoded: Decoded,
    weight: int,
    found: Found,
    published: Ints,
    offset_of: OffsetOf,
    passed: Found = _NONE,
) -> Catch:
    """Verify the candidates of each query, by their numbers; each stands for `weight` events."""
    wanted = []
    for place, numbers in found.items():
        member = by.members[place]
        times = published + offset_of(member.link)
        ours = passed.get(place)
        if ours is not None:
            ours = ours[are_among(ours, numbers)]  # the others have another weight
        survivors = _verify(by, place, weight, decoded, numbers, times, ours)
        if survivors is not None and len(survivors.rows) and member.states is None:
            wanted.append((member, survivors))
    members = [by.members[place] for place in found]
    failed = [member for member in members if member.failure]
    full = [member for member in members if member.states and member.states.is_full]
    return Catch(decoded.batch, weight, wanted, failed, full, len(found))


def _verify(
    by: Verification,
    place: Place,
    weight: int,
    decoded: Decoded,
    numbers: Ints,
    times: Ints,
    passed: Ints | None,
) -> Survivors | None:
    """The candidates that a query wants; those that it does not want are booked."""
    began, member = by.clock_ns(), by.members[place]
    batch, places = decoded.batch, decoded.places
    if places is not None:  # some rows of the drain could not be read: the batch has others
        readable = are_among(numbers, places)
        member.tallies.add_times(times[numbers[~readable]], Outcome.FAILED)
        numbers = np.searchsorted(places, numbers[readable])
        if passed is not None:
            passed = np.searchsorted(places, passed[are_among(passed, places)])
        times = times[places]
    try:
        if passed is None:
            survivors = member.verify(batch, numbers, times)
        else:
            survivors = member.passed(batch, passed, times)
        of_no_window = _aggregate(by, place, weight, batch, survivors)
    except Exception as error:  # noqa: BLE001 - one bad query ends that query only
        member.tallies.add_times(times[numbers], Outcome.FAILED)
        member.failure = f"the query failed in this agent: {error!r}"
        return None
    if len(survivors.rows) < len(numbers):
        book_losers(member, times[numbers], times[survivors.rows], survivors.sampled_out)
    member.tallies.add_times(times[survivors.rows[of_no_window]], Outcome.FILTERED_OUT)
    member.spent_ns += by.clock_ns() - began
    return survivors


def _aggregate(
    by: Verification, place: Place, weight: int, batch: pa.RecordBatch, survivors: Survivors
) -> Ints:
    """Add what a query wants to its states, if those travel; which rows are of no window."""
    member = by.members[place]
    if member.states is None or not len(survivors.rows):
        return np.zeros(0, np.int64)
    limits: dict[Property, float] = {}
    if by.sampling.is_on or weight > 1:
        limits = _learn(by, place, weight, batch, survivors.rows)
    return member.states.add(batch, survivors.rows, survivors.times, weight, limits)


def _learn(
    by: Verification, place: Place, weight: int, batch: pa.RecordBatch, rows: Ints
) -> dict[Property, float]:
    """Learn which numbers are large; returns which a sample may hold, where that is sure."""
    large, limits = by.sampling.large, {}
    claims = large.claims(place)
    for path in by.members[place].adds:
        column = batch.column(format_property(path))
        _, numbers = magnitudes(column if len(rows) == len(column) else kernels.take(column, rows))
        large.learn(path, numbers, weight)
        if path in claims and not (numbers > claims[path]).any():
            limits[path] = claims[path]  # else some are of a type that callers do not know
    return limits


def _judge(by: Verification, events: Sequence[dict[str, object]], found: Found) -> Found:
    """Few events are tested one by one: which pass, for the queries where that can tell.

    To make columns of them, and to call kernels, takes longer than that.
    """
    passed = {}
    for place, numbers in found.items():
        judge = by.members[place].judge
        said = [judge(events[row]) for row in numbers.tolist()] if judge is not None else [None]
        if None not in said:
            passed[place] = numbers[np.array(said, np.bool_)]
    return passed


def _together(some: Iterable[Fields]) -> Fields:
    fields = Fields()
    for each in some:
        fields |= each
    return fields


def _read(texts: Sequence[bytes]) -> list[dict[str, object]] | None:
    """The events of some rows, if each is one as it stands: callers may write JSON themselves."""
    events = read_json_lines(b"\n".join(texts), len(texts))
    if events is None or any(b"\n" in text for text in texts):
        return None
    are_objects = all(type(event) is dict for event in events)
    return cast("list[dict[str, object]]", events) if are_objects else None


def _events(
    paths: Sequence[Property], columns: Sequence[pa.Array]
) -> list[dict[str, object]] | None:
    """The values of some events, as events; None if a path leads through a list."""
    if not paths or not all(isinstance(step, str) for path in paths for step in path.steps):
        return None
    events: list[dict[str, object]] = [{} for _ in range(len(columns[0]))]
    for path, column in zip(paths, columns, strict=True):
        *outer, last = map(str, path.steps)
        for event, value in zip(events, to_python(plain(column)), strict=True):
            if value is not None:
                reduce(_inner, outer, event)[last] = value
    return events


def _inner(outer: dict[str, Any], key: str) -> dict[str, Any]:
    inner: dict[str, Any] = outer.setdefault(key, {})
    return inner
