"""Running a query over recorded events: opens the inputs, drives the operators, has the clock.

This is the shell around the pure parts; nothing else in `mql` opens a file or reads a clock,
but the sources that it uses.
"""

from __future__ import annotations

import os
import time as clock
from collections.abc import Generator, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from mql.columnar.arrays import from_numpy
from mql.columnar.layout import TIME
from mql.errors import InputError, RunError
from mql.events.decode import EventReader
from mql.events.reader import Read, Reader, TimeProperty
from mql.exec.build import Context, Pipeline
from mql.exec.limits import Limits
from mql.exec.operator import Block, with_columns
from mql.exec.operators.join import SIDE
from mql.exec.windows.event_time import EventClock
from mql.language.format import format_property
from mql.language.nearest import nearest_name
from mql.language.parser import parse
from mql.language.syntax import Query
from mql.layout import layout_of
from mql.planner.fields import scanned_fields
from mql.planner.logical import Filter, Join, LogicalPlan, Scan
from mql.planner.plan import plan
from mql.result import Result, Statistics
from mql.sources.merge import merge
from mql.sources.ndjson import LineSource
from mql.sources.open import Input, open_source
from mql.sources.prefilter import Prefilter, prefilter_for
from mql.sources.sampling.review import QueryReview
from mql.sources.source import Source
from mql.sources.staged_reader import ScreeningReader
from mql.sources.time_property import find_time

ANY = "*"
"""As the only name of the inputs: the query's one source, whatever its name."""


def run(  # noqa: PLR0913 - each is a setting that a caller may name
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
        timing = find_time(tree, sources, time)
    except Exception:
        _close_all(sources)
        raise
    return _Run(
        query_plan.steps,
        sources,
        QueryReview(tree, sources, has_start=start_ms is not None, has_end=end_ms is not None),
        timing,
        Context(
            now_ms=_now_ms,
            seed=int.from_bytes(os.urandom(8), "little") if seed is None else seed,
            start_ms=start_ms,
            lateness_ms=lateness_ms,
            limits=limits or Limits(),
        ),
        end_ms=end_ms,
        strict=strict,
        screened=optimized and len(sources) == 1,
    ).result()


def _now_ms() -> int:
    return clock.time_ns() // 1_000_000


_PREVIEW_S = 5.0
"""After so long, or in silence, a query over a pipe is warned of what is known so far."""


class _Run:
    """One execution: its readers, its pipeline, and what it counts."""

    def __init__(
        self,
        plan_steps: LogicalPlan,
        sources: Sequence[tuple[str, Source]],
        review: QueryReview,
        timing: TimeProperty | None,
        context: Context,
        *,
        end_ms: int | None,
        strict: bool,
        screened: bool,
    ) -> None:
        self._screen, self._steps = _split_screen(plan_steps, screened=screened)
        self._sources = sources
        self._review = review
        self._timing = timing
        self._context = context
        self._end_ms = end_ms
        self._strict = strict
        self._prefilter = None if strict or not screened else _prefilter(plan_steps, sources[0][1])
        self._stopping = False
        self._arrives = timing is None and any(source.arrives for _, source in sources)
        self._preview_s = clock.monotonic() + _PREVIEW_S
        self._clock = EventClock()
        self._pipeline = Pipeline(self._steps, context)
        self._statistics = Statistics(counters=context.counters)
        self._fields = scanned_fields(self._steps)
        if timing is not None:
            unit = timing.unit.description
            self._statistics.notes.append(f"time: `{format_property(timing.path)}`, {unit}")

    def result(self) -> Result:
        """The answer, not yet computed."""
        return Result(
            layout_of(self._steps),
            self._blocks(),
            self._statistics,
            self._stop,
            self._review.warnings,
        )

    def _stop(self) -> None:
        self._stopping = True

    def _blocks(self) -> Generator[Block]:
        try:
            for block in self._answer():
                self._review.note_windows(block.windows)
                yield block
            counters = self._context.counters
            self._review.conclude(counters.last_window_events)
            gaps = counters.gaps
            if gaps:
                note = f"{gaps:,} windows without an event, in long gaps of time, are left out"
                self._statistics.notes.append(note)
        except MemoryError:
            reason = "it would take more memory than there is"
            hint = "fewer rows by `where`, or fewer groups, would do"
            raise RunError("query", f"{reason}; {hint}") from None
        except pa.ArrowException as error:
            raise RunError("query", f"more than a column can hold: {error}") from None
        finally:
            _close_all(self._sources)

    def _answer(self) -> Iterator[Block]:
        for block in self._events():
            yield from self._pipeline.push(block)
            if self._pipeline.done:
                return
            if self._stopping:
                break
        yield from self._pipeline.finish(self._end())

    def _events(self) -> Iterator[Block]:
        """The events as blocks; empty ones while a pipe is silent."""
        if len(self._sources) == 1:
            reader = self._screening_reader() if self._screen else self._plain_reader()
            yield self._block(reader.from_events([]))
            for read in self._read(0, reader):
                yield self._block(read or reader.from_events([]))
            return
        streams = [
            self._batches(number, self._side(number)) for number in range(len(self._sources))
        ]
        nothing = self._plain_reader().from_events([]).batch
        yield self._block(Read(_sided(nothing, self._side(0)), nothing.column(TIME)))
        for batch in merge(streams, timed=not self._arrives):
            yield self._block(Read(batch, batch.column(TIME)))

    def _block(self, read: Read) -> Block:
        self._statistics.events += len(read.times)
        self._review.note_times(read.times)
        now_ms = _now_ms() if self._arrives else None
        return self._clock.stamp(read.batch, now_ms, times=read.times, rows=read.rows)

    def _batches(self, number: int, side: int | None) -> Iterator[pa.RecordBatch]:
        reader = self._plain_reader(number)
        for read in self._read(number, reader):
            yield _sided((read or reader.from_events([])).batch, side)

    def _plain_reader(self, number: int = 0) -> EventReader:
        reader = EventReader(self._fields, self._timing)
        reader.bad = self._statistics.bad
        reader.known = self._review.known_of(number)
        return reader

    def _screening_reader(self) -> ScreeningReader:
        assert self._screen is not None
        conditions, now_ms = self._screen.conditions, self._context.now_ms
        reader = ScreeningReader(self._fields, conditions, self._timing, now_ms)
        reader.bad = self._statistics.bad
        reader.known = self._review.known_of(0)
        return reader

    def _read(self, number: int, reader: Reader) -> Iterator[Read | None]:
        for read in self._sources[number][1].batches(reader):
            self._measure()
            if self._strict and reader.bad.first is not None:
                reason = reader.bad.reason
                raise InputError(f"line {reader.bad.first} is not a JSON object: {reason}")
            if self._arrives and (read is None or clock.monotonic() > self._preview_s):
                self._review.preview(self._statistics.events)
            yield read
        self._review.note_end(number)

    def _measure(self) -> None:
        totals = [source.bytes_total for _, source in self._sources]
        self._statistics.bytes_read = sum(source.bytes_read for _, source in self._sources)
        known = [total for total in totals if total is not None]
        self._statistics.bytes_total = sum(known) if len(known) == len(totals) else None
        if self._prefilter is not None:
            self._statistics.events += self._prefilter.unread - self._statistics.unread
            self._statistics.unread = self._prefilter.unread

    def _side(self, number: int) -> int | None:
        join = next((step.clause for step in self._steps if isinstance(step, Join)), None)
        if join is None:
            return None
        return int(number >= len(self._sources) - len(join.sources))

    def _end(self) -> int | None:
        return _now_ms() if self._arrives and self._end_ms is None else self._end_ms


def _sided(batch: pa.RecordBatch, side: int | None) -> pa.RecordBatch:
    """The batch with the column that says which side of a join its events are of."""
    if side is None:
        return batch
    return with_columns(batch, {SIDE: from_numpy(np.full(batch.num_rows, side, np.int8))})


def _split_screen(steps: LogicalPlan, *, screened: bool) -> tuple[Filter | None, LogicalPlan]:
    """Take off a filter that follows the scan at once: the reader can apply it."""
    match steps:
        case (Scan() as scan, Filter() as screen, *rest) if screened:
            return screen, (scan, *rest)
        case _:
            return None, steps


def _prefilter(plan: LogicalPlan, source: Source) -> Prefilter | None:
    """Give a source of lines what to look for in them, if the plan makes something necessary."""
    if not isinstance(source, LineSource):
        return None
    source.prefilter = prefilter_for(plan)
    return source.prefilter


def _open_all(query: Query, inputs: Mapping[str, Input]) -> list[tuple[str, Source]]:
    """The query's sources in its order, each with its input."""
    names = [*query.sources, *(query.join.sources if query.join else ())]
    if set(inputs) == {ANY}:
        if len(names) > 1:
            raise InputError(
                f"the query has {len(names)} sources ({', '.join(names)}); name an input for each"
            )
        return [(names[0], open_source(inputs[ANY]))]
    opened: list[tuple[str, Source]] = []
    for name in names:
        if name not in inputs:
            _close_all(opened)
            near = nearest_name(name, inputs)
            hint = (
                f"; did you mean `{near}`?"
                if near
                else f"; there are: {', '.join(inputs) or 'none'}"
            )
            raise InputError(f"no input for the source `{name}`{hint}")
        opened.append((name, open_source(inputs[name])))
    return opened


def _close_all(sources: Sequence[tuple[str, Source]]) -> None:
    for _, source in sources:
        source.close()
