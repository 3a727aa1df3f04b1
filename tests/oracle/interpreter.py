"""MQL one row at a time: what the engine's answers are compared with.

It shares the parser with the engine and nothing else. Each rule of the language is said once, in
the plainest way there is, whatever it costs. It takes all events of a bounded input at once, does
not refuse queries, and cannot foretell a sample that is drawn by lot or by hash.

What a value is stands in `values`, what functions give in `scalars` and `reductions`, what an
expression means in `evaluation`; which events there are in `inputs`, which rows in `answer_rows`.
"""

from __future__ import annotations

from collections.abc import Iterator

from mql.language.parser import parse
from mql.language.syntax import Condition, Query
from tests.oracle.answer_rows import AnswerRows, Output
from tests.oracle.cases import Event, Row
from tests.oracle.evaluation import Record, event_scope, holds
from tests.oracle.inputs import Draw, records_of, sample, split
from tests.oracle.values import normal_event


def interpret(
    query_text: str,
    streams: dict[str, list[Event]],
    *,
    start_ms: int | None = 0,
    end_ms: int | None = None,
    now_ms: int = 0,
    draw: Draw | None = None,
) -> list[list[Row]]:
    """The windows of a query's answer, each a list of rows; without `window` there is one.

    `start_ms` None: the first window is that of the earliest event. `end_ms` None: the input ends
    right after the last event. `draw` says which events a sample keeps that leaves it to chance;
    without it NotImplementedError is raised for one. Raises QueryError.
    """
    return answer(
        parse(query_text), streams, start_ms=start_ms, end_ms=end_ms, now_ms=now_ms, draw=draw
    )


def answer(
    query: Query,
    streams: dict[str, list[Event]],
    *,
    start_ms: int | None = 0,
    end_ms: int | None = None,
    now_ms: int = 0,
    draw: Draw | None = None,
) -> list[list[Row]]:
    """The same, for a query that has been parsed."""
    inputs = {name: [(t, normal_event(e)) for t, e in events] for name, events in streams.items()}
    sources = query.sources + (query.join.sources if query.join else ())
    times = [t for name in sources for t, _ in inputs.get(name, [])]
    start = min(times, default=None) if start_ms is None else start_ms
    end = max(times, default=-1) + 1 if end_ms is None else end_ms

    records = records_of(query, inputs)
    if query.where is not None:
        records = [r for r in records if holds(query.where, event_scope(r, now_ms))]
    if query.sample:
        records = sample(query.sample, records, draw)
    made = AnswerRows(query, now_ms)
    windows = (made.rows_of(members) for members in split(query.window, records, start, end))
    return [[made.extrapolate(row) for row in window] for window in limit(query, windows)]


def meets(event: Row, condition: Condition, now_ms: int = 0) -> bool:
    """Whether a condition on an event holds."""
    return holds(condition, event_scope(Record(0, {"": normal_event(event)}), now_ms))


def limit(query: Query, windows: Iterator[list[Output]]) -> Iterator[list[Output]]:
    """Bounds the rows of each window, or, where a window has one row, those of all windows."""
    left = query.limit
    for window in windows:
        if left == 0 and query.window and query.is_aggregate and not query.group_by:
            return
        yield window if left is None else window[:left]
        if left is not None and query.is_aggregate and not query.group_by:
            left -= len(window[:left])
