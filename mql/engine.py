"""Running a query over recorded events: opens the inputs, drives the operators, has the clock.

This is the shell around the pure parts; nothing else in `mql` opens a file or reads a clock,
but the sources that it uses.
"""

from __future__ import annotations

import difflib
import os
import secrets
import time as clock
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from mql.decode import EventReader, TimeProperty, recognize_time
from mql.errors import InputError, QueryError
from mql.exec.build import Context, Pipeline
from mql.exec.clock import EventClock
from mql.exec.limits import Limits
from mql.exec.operator import Block
from mql.format import format_property
from mql.layout import layout_of
from mql.merge import merge
from mql.parser import parse
from mql.planner.fields import Fields
from mql.planner.logical import Join
from mql.planner.plan import plan
from mql.planner.split import QueryPlan
from mql.result import Result, Statistics
from mql.sources.memory import EventSource
from mql.sources.ndjson import LineSource
from mql.sources.source import Source
from mql.sources.tables import SUFFIXES, TableSource
from mql.syntax import Property, Query, TimeWindow

Input = (
    str | os.PathLike[str] | bytes | BinaryIO | pa.Table | pa.RecordBatch | Iterable[object]
)
"""A path, NDJSON as bytes or from a binary stream, Arrow, dicts, or (ms, dict) pairs."""

ANY = "*"
"""As the only name of the inputs: the query's one source, whatever its name."""


def run(
    query: str | Query,
    inputs: Mapping[str, Input],
    time: str | None = None,
    end_ms: int | None = None,
    *,
    start_ms: int | None = None,
    lateness_ms: int = 0,
    strict: bool = False,
    optimized: bool = True,
    seed: int | None = None,
    limits: Limits | None = None,
) -> Result:
    """Answer a query over recorded events.

    `inputs` names the query's sources. `time` is the property that holds an event's time;
    pairs bring their own, and events from a pipe have the time at which they come. The query
    starts at `start_ms` (left out: with the first event) and ends at `end_ms` (left out: right
    after the last one); an event is late once another one has come that is `lateness_ms` newer
    than its window's end. `strict` stops at the first line that is not JSON. `seed` makes
    `sample` repeatable.

    Raises QueryError if the query is wrong, InputError if an input does not fit; reading the
    result raises InputError and RunError.
    """
    tree = parse(query) if isinstance(query, str) else query
    query_plan = plan(tree, optimized=optimized)
    sources = _open_all(tree, inputs)
    try:
        timing = _timing(tree, sources, time)
    except Exception:
        _close_all(sources)
        raise
    return _Run(
        query_plan,
        sources,
        timing,
        Context(
            now_ms=_now_ms,
            seed=secrets.randbits(64) if seed is None else seed,
            start_ms=start_ms,
            lateness_ms=lateness_ms,
            limits=limits or Limits(),
        ),
        end_ms=end_ms,
        strict=strict,
    ).result()


def _now_ms() -> int:
    return clock.time_ns() // 1_000_000


class _Run:
    """One execution: its readers, its pipeline, and what it counts."""

    def __init__(
        self,
        query_plan: QueryPlan,
        sources: Sequence[tuple[str, Source]],
        timing: TimeProperty | None,
        context: Context,
        *,
        end_ms: int | None,
        strict: bool,
    ) -> None:
        self._steps = query_plan.steps
        self._sources = sources
        self._timing = timing
        self._context = context
        self._end_ms = end_ms
        self._strict = strict
        self._arrives = timing is None and any(source.arrives for _, source in sources)
        self._clock = EventClock()
        self._pipeline = Pipeline(self._steps, context)
        self._statistics = Statistics(counters=context.counters)
        self._fields = query_plan.agent.reads
        if timing is not None:
            unit = timing.unit.description
            self._statistics.notes.append(f"time: `{format_property(timing.path)}`, {unit}")

    def result(self) -> Result:
        """The answer, not yet computed."""
        return Result(
            layout_of(self._steps), self._blocks(), self._statistics, lambda: _close_all(self._sources)
        )

    def _blocks(self) -> Iterator[Block]:
        try:
            for batch in self._batches():
                yield from self._pipeline.push(self._block(batch))
                if self._pipeline.done:
                    return
            yield from self._pipeline.finish(self._end())
        finally:
            _close_all(self._sources)

    def _block(self, batch: pa.RecordBatch | None) -> Block:
        if batch is None:
            batch = self._nothing()
        self._statistics.events += batch.num_rows
        return self._clock.stamp(batch, _now_ms() if self._arrives else None)

    def _nothing(self) -> pa.RecordBatch:
        """A batch without events."""
        batch = EventReader(self._fields).from_events([])
        return next(iter(merge([(iter([batch]), self._side(0))], timed=False)))

    def _batches(self) -> Iterator[pa.RecordBatch | None]:
        streams = [
            (self._read(source), self._side(number)) for number, (_, source) in enumerate(self._sources)
        ]
        return merge(streams, timed=not self._arrives)

    def _read(self, source: Source) -> Iterator[pa.RecordBatch | None]:
        reader = EventReader(self._fields, self._timing)
        reader.bad = self._statistics.bad
        for batch in source.batches(reader):
            self._measure()
            if self._strict and reader.bad.first is not None:
                reason = reader.bad.reason
                raise InputError(f"line {reader.bad.first} is not a JSON object: {reason}")
            yield batch

    def _measure(self) -> None:
        totals = [source.bytes_total for _, source in self._sources]
        self._statistics.bytes_read = sum(source.bytes_read for _, source in self._sources)
        known = [total for total in totals if total is not None]
        self._statistics.bytes_total = sum(known) if len(known) == len(totals) else None

    def _side(self, number: int) -> int | None:
        join = next((step.clause for step in self._steps if isinstance(step, Join)), None)
        if join is None:
            return None
        return int(number >= len(self._sources) - len(join.sources))

    def _end(self) -> int | None:
        return _now_ms() if self._arrives and self._end_ms is None else self._end_ms


def _open_all(query: Query, inputs: Mapping[str, Input]) -> list[tuple[str, Source]]:
    """The query's sources in its order, each with its input."""
    names = [*query.sources, *(query.join.sources if query.join else ())]
    if set(inputs) == {ANY}:
        if len(names) > 1:
            raise InputError(f"the query has {len(names)} sources ({', '.join(names)}); name an input for each")
        return [(names[0], _open(inputs[ANY]))]
    opened: list[tuple[str, Source]] = []
    for name in names:
        if name not in inputs:
            _close_all(opened)
            near = difflib.get_close_matches(name, list(inputs), n=1)
            hint = f"; did you mean `{near[0]}`?" if near else f"; there are: {', '.join(inputs) or 'none'}"
            raise InputError(f"no input for the source `{name}`{hint}")
        opened.append((name, _open(inputs[name])))
    return opened


def _open(given: Input) -> Source:
    match given:
        case str() | os.PathLike():
            path = Path(given)
            return TableSource.open(path) if path.suffix.lower() in SUFFIXES else LineSource.open(path)
        case bytes() | bytearray() | memoryview():
            return LineSource(_in_memory(bytes(given)), "the input")
        case pa.Table():
            return TableSource(given.to_batches())
        case pa.RecordBatch():
            return TableSource([given])
        case _ if hasattr(given, "read"):
            return LineSource(given, getattr(given, "name", "the input"))  # type: ignore[arg-type]
        case _ if hasattr(given, "__arrow_c_stream__"):
            return TableSource(pa.RecordBatchReader.from_stream(given))
        case Iterable():
            return _open_iterable(given)
    raise TypeError(f"an input is a path, bytes, a stream, Arrow or events, not {type(given).__name__}")


def _open_iterable(given: Iterable[object]) -> Source:
    events = iter(given)
    first = next(events, None)
    if isinstance(first, pa.RecordBatch):
        return TableSource(chain([first], events))  # type: ignore[arg-type]
    if first is not None and not isinstance(first, dict | tuple):
        raise TypeError(f"an event is a dict or a pair (ms, dict), not {type(first).__name__}")
    return EventSource(chain([first], events) if first is not None else ())


def _in_memory(data: bytes) -> BinaryIO:
    from io import BytesIO  # noqa: PLC0415 - rarely needed

    return BytesIO(data)


def _timing(
    query: Query, sources: Sequence[tuple[str, Source]], time: str | None
) -> TimeProperty | None:
    """Where events have their time from. Raises InputError where one is needed and there is none."""
    if time is not None:
        path = _time_path(time)
        for _, source in sources:
            unit = recognize_time(path, source.first_events())
            if unit is not None:
                return TimeProperty(path, unit)
        if not any(source.first_events() for _, source in sources):
            return None
        hint = _candidates(sources)
        raise InputError(f"`{time}` holds no time in the first events{hint}")
    needs_time = isinstance(query.window, TimeWindow) or query.join is not None
    if not needs_time:
        return None
    for _, source in sources:
        untimed = not source.arrives and not (isinstance(source, EventSource) and source.has_times)
        if untimed and source.first_events():
            what = "a window of time" if query.join is None else "a join"
            reason = f"{what} over recorded events needs to know which property is the time"
            raise InputError(f"{reason}{_candidates(sources)}")
    return None


def _time_path(time: str) -> Property:
    """The time property as a user writes it: `ts`, or `e['a']['ts']`."""
    try:
        value = parse(f"select {time}").items[0].value
    except QueryError:
        value = None
    return value if isinstance(value, Property) else Property((time,))


def _candidates(sources: Sequence[tuple[str, Source]]) -> str:
    """The properties of the first events that hold times."""
    events = [event for _, source in sources for event in source.first_events()]
    keys = dict.fromkeys(key for event in events for key in event)
    found = []
    for key in keys:
        unit = recognize_time(Property((str(key),)), events)
        if unit is not None and _plausible(events, key, unit.name):
            found.append(f"`{format_property(Property((str(key),)))}` ({unit.description})")
    return f"; these look like one: {', '.join(found)}" if found else "; none of them looks like one"


def _plausible(events: Sequence[dict[str, object]], key: str, unit: str) -> bool:
    """Whether numbers of seconds are recent enough to be meant as a time."""
    if unit != "s":
        return True
    values = [event.get(key) for event in events]
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    return bool(numbers) and all(5e8 < v < 5e9 for v in numbers)  # 1985 to 2128


def _close_all(sources: Sequence[tuple[str, Source]]) -> None:
    for _, source in sources:
        source.close()
