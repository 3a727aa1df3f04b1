"""Other tools, asked the same of Python dicts, each as its careful user would write it.

A tool that answers event by event gets them one by one. One that answers batches gets lists of so
many, reads no more than the properties that the question needs, and finds the rows of an answer
among the dicts by their number. What adds up windows adds up each batch, and then the sums.

An answer of whole events is also asked of frames and tables that hold all of each event, as there
are where rows do not stay in the process that has the dicts.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from benchmarks.peers.questions import (
    END_MS,
    FILTER,
    GROUPED,
    PROJECTION,
    QUESTIONS,
    WINDOW,
    WINDOW_MS,
    Event,
    Question,
    Rows,
    batches,
    column,
    group,
    is_error,
    is_slow_in_korea,
    projected,
    window_of,
)
from publish_agent.stream import Stream

Answer = Callable[[Iterable[Event]], Rows]
"""Takes events and gives the rows of the answer, those of windows with the window."""

Groups = dict[tuple[int, object], list[Any]]
"""Count, sum and greatest by window and country."""


@dataclass(frozen=True, slots=True)
class Tool:
    """How a tool is made to answer a question; `sizes` are the batches it is tried with."""

    name: str
    answer: Callable[[Question, int], Answer]
    package: str = ""
    sizes: tuple[int, ...] = (0,)
    questions: tuple[Question, ...] = QUESTIONS

    @property
    def version(self) -> str:
        """Which one is here, empty if it is none of a package. Raises ImportError without it."""
        if not self.package:
            return ""
        importlib.import_module(self.package)
        return importlib.metadata.version(self.package)


def _rows_of(groups: Groups) -> Rows:
    return [group(window, country, *sums) for (window, country), sums in groups.items()]


def _add(groups: Groups, key: tuple[int, object], count: int, total: float, most: float) -> None:
    sums = groups.get(key)
    if sums is None:
        groups[key] = [count, total, most]
    else:
        sums[0] += count
        sums[1] += total
        sums[2] = max(sums[2], most)


# What nobody can do without


def _least(question: Question, _: int) -> Answer:
    """One call and one look for each event, each row written and read once: its answer it knows.

    That much takes whoever is given one event at a time, and whose rows are for another process.
    """
    known: Rows = []
    publish = Stream("of nobody").publish
    name = "status" if question is FILTER else "country"

    def answer(events: Iterable[Event]) -> Rows:
        if not known:
            known.extend(_loop(question, 0)(events))
        for event in events:
            publish(event)
            _ = event[name]
        rows: Rows = _decoder.decode_lines(b"\n".join(map(_encoder.encode, known)))
        return rows

    return answer


_encoder, _decoder = msgspec.json.Encoder(), msgspec.json.Decoder()

# A loop


def _loop(question: Question, _: int) -> Answer:
    if question is FILTER:
        return lambda events: [event for event in events if event["status"] >= 500]  # type: ignore[operator]
    if question is PROJECTION:
        return lambda events: [
            {"user_id": e["user_id"], "path": e["path"], "latency_ms": e["latency_ms"]}
            for e in events
            if e["country"] == "KR" and e["latency_ms"] > 250  # type: ignore[operator]
        ]
    return _loop_groups


def _loop_groups(events: Iterable[Any]) -> Rows:
    windows: dict[int, dict[str, list[Any]]] = {}
    for event in events:
        latency, country = event["latency_ms"], event["country"]
        number = (event["ts"] - END_MS) // WINDOW_MS
        groups = windows.get(number)
        if groups is None:
            groups = windows[number] = {}
        sums = groups.get(country)
        if sums is None:
            groups[country] = [1, latency, latency]
            continue
        sums[0] += 1
        sums[1] += latency
        if latency > sums[2]:  # noqa: PLR1730 - a call takes three times as long
            sums[2] = latency
    return [
        group(number, country, *sums)
        for number, groups in windows.items()
        for country, sums in groups.items()
    ]


# streamz: an event at a time


def _streamz(question: Question, _: int) -> Answer:
    from streamz import Stream

    def answer(events: Iterable[Event]) -> Rows:
        rows: Rows = []
        source = Stream()
        if question is FILTER:
            source.filter(is_error).sink(rows.append)
        elif question is PROJECTION:
            source.filter(is_slow_in_korea).map(projected).sink(rows.append)
        else:
            closed = source.accumulate(_open_window, start=(0, {}), returns_state=True)
            closed.filter(bool).sink(lambda groups: rows.extend(_rows_of(groups)))
        emit = source.emit
        for event in events:
            emit(event)
        if question is GROUPED:
            emit({"ts": END_MS + WINDOW_MS, "country": "", "latency_ms": 0.0})
        return rows

    return answer


def _open_window(state: tuple[int, Groups], event: Any) -> tuple[tuple[int, Groups], Groups | None]:
    """Add an event to its window; the groups of the one before, if that has closed with it."""
    number, groups = state
    mine = window_of(event)
    closed = None
    if mine != number:
        closed, groups = groups or None, {}
    latency = event["latency_ms"]
    _add(groups, (mine, event["country"]), 1, latency, latency)
    return (mine, groups), closed


# Bytewax: dataflows over batches of Python objects

_BYTEWAX_WAIT = timedelta(seconds=10)
"""By so much later than its time an event may come: times pass faster than events are taken."""


def _bytewax(question: Question, size: int) -> Answer:
    import bytewax.operators as op
    from bytewax.dataflow import Dataflow
    from bytewax.testing import run_main

    from benchmarks.peers.bytewax_flow import Given, Kept

    def answer(events: Iterable[Event]) -> Rows:
        rows: Rows = []
        flow = Dataflow("peers")
        given = op.input("in", flow, Given(batches(events, size)))
        if question is FILTER:
            found = op.flat_map_batch("filter", given, lambda some: list(filter(is_error, some)))
        elif question is PROJECTION:
            found = op.flat_map_batch(
                "project", given, lambda some: [projected(e) for e in some if is_slow_in_korea(e)]
            )
        else:
            found = _bytewax_groups(given)
        op.output("out", found, Kept(rows))
        run_main(flow)
        return rows

    return answer


def _bytewax_groups(given: Any) -> Any:
    import bytewax.operators as op
    from bytewax.operators import windowing

    def time_of(event: Any) -> datetime:
        return datetime.fromtimestamp(event["ts"] / 1000, UTC)

    def fold(sums: list[Any], event: Any) -> list[Any]:
        latency = event["latency_ms"]
        sums[0] += 1
        sums[1] += latency
        sums[2] = max(sums[2], latency)
        return sums

    def merge(left: list[Any], right: list[Any]) -> list[Any]:
        return [left[0] + right[0], left[1] + right[1], max(left[2], right[2])]

    keyed = op.key_on("key", given, lambda event: event["country"])
    clock = windowing.EventClock(time_of, wait_for_system_duration=_BYTEWAX_WAIT)
    end = datetime.fromtimestamp(END_MS / 1000, UTC)
    windower = windowing.TumblingWindower(length=timedelta(milliseconds=WINDOW_MS), align_to=end)
    folded = windowing.fold_window(
        "fold", keyed, clock, windower, lambda: [0, 0.0, float("-inf")], fold, merge, ordered=False
    )
    return op.map("row", folded.down, lambda each: group(each[1][0], each[0], *each[1][1]))


# polars: a frame of each batch


def _polars(question: Question, size: int) -> Answer:
    import polars as pl

    def answer(events: Iterable[Event]) -> Rows:
        rows: Rows = []
        for batch in batches(events, size):
            if question is FILTER:
                status = pl.Series(column(batch, "status"), dtype=pl.Int64)
                rows += [batch[i] for i in (status >= 500).arg_true()]
            else:
                frame = pl.DataFrame(
                    {name: column(batch, name) for name in ("country", "latency_ms")},
                    schema={"country": pl.String, "latency_ms": pl.Float64},
                )
                mask = (frame["country"] == "KR") & (frame["latency_ms"] > 250)
                rows += [projected(batch[i]) for i in mask.arg_true()]
        return rows

    return _polars_groups(size) if question is GROUPED else answer


def _whole_polars(_: Question, size: int) -> Answer:
    import polars as pl

    def answer(events: Iterable[Event]) -> Rows:
        rows: Rows = []
        for batch in batches(events, size):
            rows += pl.DataFrame(batch).filter(pl.col("status") >= 500).to_dicts()
        return rows

    return answer


def _polars_groups(size: int) -> Answer:
    import polars as pl
    from polars import col

    schema = {"ts": pl.Int64, "country": pl.String, "latency_ms": pl.Float64}
    window = ((col("ts") - END_MS) // WINDOW_MS).alias(WINDOW)
    latency = col("latency_ms")
    sums = (pl.len().alias("count"), latency.sum().alias("total"), latency.max().alias("most"))

    def answer(events: Iterable[Event]) -> Rows:
        groups: Groups = {}
        for batch in batches(events, size):
            frame = pl.DataFrame({name: column(batch, name) for name in schema}, schema=schema)
            part = frame.lazy().group_by(window, "country").agg(sums).collect()
            for number, country, count, total, most in part.iter_rows():
                _add(groups, (number, country), count, total, most)
        return _rows_of(groups)

    return answer


# DuckDB: SQL over an Arrow table of each batch

_DUCKDB = {
    FILTER: "select i from batch where status >= 500 order by i",
    PROJECTION: "select i from batch where country = 'KR' and latency_ms > 250 order by i",
    GROUPED: f"select ts // {WINDOW_MS} - {END_MS // WINDOW_MS}, country, count(*),"
    " sum(latency_ms), max(latency_ms) from batch group by all",
}


def _duckdb(question: Question, size: int) -> Answer:
    import duckdb
    import numpy as np
    import pyarrow as pa

    kinds = {
        FILTER: {"status": pa.int64()},
        PROJECTION: {"country": pa.string(), "latency_ms": pa.float64()},
        GROUPED: {"ts": pa.int64(), "country": pa.string(), "latency_ms": pa.float64()},
    }[question]
    connection = duckdb.connect()
    connection.execute("SET threads=1")
    numbers = pa.array(np.arange(size))

    def answer(events: Iterable[Event]) -> Rows:
        rows: Rows = []
        groups: Groups = {}
        for batch in batches(events, size):
            columns = {name: pa.array(column(batch, name), kind) for name, kind in kinds.items()}
            if question is not GROUPED:
                columns["i"] = numbers[: len(batch)]
            connection.register("batch", pa.table(columns))
            found = connection.execute(_DUCKDB[question]).fetchall()
            connection.unregister("batch")
            if question is FILTER:
                rows += [batch[i] for (i,) in found]
            elif question is PROJECTION:
                rows += [projected(batch[i]) for (i,) in found]
            for number, country, *sums in found if question is GROUPED else ():
                _add(groups, (number, country), *sums)
        return rows or _rows_of(groups)

    return answer


def _whole_duckdb(_: Question, size: int) -> Answer:
    import duckdb
    import pyarrow as pa

    connection = duckdb.connect()
    connection.execute("SET threads=1")

    def answer(events: Iterable[Event]) -> Rows:
        rows: Rows = []
        for batch in batches(events, size):
            connection.register("batch", pa.Table.from_pylist(batch))
            found: Any = connection.execute("select * from batch where status >= 500")
            rows += found.to_arrow_table().to_pylist()
            connection.unregister("batch")
        return rows

    return answer


_SIZES = (256, 1_024, 4_096, 16_384)

LEAST = "a call, a look, JSON"
"""No tool, but what any could not do without."""

TOOLS = (
    Tool("a Python loop", _loop),
    Tool(LEAST, _least),
    Tool("streamz", _streamz, "streamz"),
    Tool("Bytewax", _bytewax, "bytewax", _SIZES),
    Tool("polars", _polars, "polars", _SIZES),
    Tool("DuckDB", _duckdb, "duckdb", _SIZES),
    Tool("polars of whole events", _whole_polars, "polars", _SIZES, (FILTER,)),
    Tool("DuckDB of whole events", _whole_duckdb, "duckdb", _SIZES, (FILTER,)),
)
