"""The second table: events that are columns already, Arrow batches of 16,384 rows.

Our engine, polars and DuckDB get all batches at once. pyarrow's kernels are called by hand, batch
by batch, as nobody can do with less. Each answer is an Arrow table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

import mql
from benchmarks import events as made_up
from benchmarks.peers.questions import WINDOW, WINDOW_MS, Rows
from benchmarks.peers.turns import OURS, TableOptions, Turn, agreeing, measure
from benchmarks.queries import QUERIES, Query
from benchmarks.report import markdown

ROWS = 16_384
_DISTINCT, _TIMES = 10, 5
"""Different batches, and how often they are there, each time at a later one."""
_GOAL = 2.0
"""Our engine may take so many times what the quickest takes."""
_SCHEMA = pa.schema(
    {
        "ts": pa.int64(),
        "country": pa.string(),
        "user_id": pa.string(),
        "path": pa.string(),
        "status": pa.int64(),
        "latency_ms": pa.float64(),
    }
)
_HEADER = ("question", "tool", "ns/row", "x the best", "goal", "met")

_FILTER, _PROJECTION, _GROUPED = QUERIES[0], QUERIES[1], QUERIES[3]
_NARROW_TEXT = "select user_id, status from s where status >= 500"
_NARROW = Query(0, _NARROW_TEXT, _NARROW_TEXT)
_NAMES = {
    _FILTER: "filter",
    _NARROW: "filter, two columns",
    _PROJECTION: "projection",
    _GROUPED: "10-second groups",
}

Answer = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True, slots=True)
class _Tool:
    name: str
    package: str
    answer: Callable[[Query], Answer]


def _ours(query: Query) -> Answer:
    timed = "ts" if query.windowed else None

    def answer(table: pa.Table) -> pa.Table:
        return mql.run(query.mql, {"s": table}, timed).to_table()

    return answer


def _polars(query: Query) -> Answer:
    import polars as pl
    from polars import col

    is_error, latency = col("status") >= 500, col("latency_ms")
    is_slow = (col("country") == "KR") & (latency > 250)
    ask: dict[Query, Callable[[Any], Any]] = {
        _FILTER: lambda s: s.filter(is_error),
        _NARROW: lambda s: s.filter(is_error).select("user_id", "status"),
        _PROJECTION: lambda s: s.filter(is_slow).select("user_id", "path", "latency_ms"),
        _GROUPED: lambda s: s.group_by((col("ts") // WINDOW_MS).alias(WINDOW), "country").agg(
            pl.len().alias("count(*)"),
            latency.mean().alias("average(latency_ms)"),
            latency.max().alias("max(latency_ms)"),
        ),
    }
    needed = {
        _FILTER: _SCHEMA.names,
        _NARROW: ["user_id", "status"],
        _PROJECTION: ["country", "user_id", "path", "latency_ms"],
        _GROUPED: ["ts", "country", "latency_ms"],
    }[query]

    def answer(table: pa.Table) -> pa.Table:
        frame: Any = pl.from_arrow(table.select(needed), rechunk=False)
        return ask[query](frame.lazy()).collect().to_arrow()

    return answer


def _duckdb(query: Query) -> Answer:
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET threads=1")
    sql = query.duckdb
    if query is _GROUPED:
        sql = sql.replace("select ", f"select ts // {WINDOW_MS} as {WINDOW}, ", 1)

    def answer(table: pa.Table) -> pa.Table:
        connection.register("s", table)
        return connection.sql(sql).to_arrow_table()

    return answer


def _kernels(query: Query) -> Answer:
    def errors(batch: pa.RecordBatch) -> pa.Array:
        return pc.greater_equal(batch["status"], 500)

    def slow(batch: pa.RecordBatch) -> pa.Array:
        return pc.and_(pc.equal(batch["country"], "KR"), pc.greater(batch["latency_ms"], 250.0))

    ask: dict[Query, Callable[[pa.RecordBatch], pa.RecordBatch]] = {
        _FILTER: lambda s: s.filter(errors(s)),
        _NARROW: lambda s: s.select(["user_id", "status"]).filter(errors(s)),
        _PROJECTION: lambda s: s.select(["user_id", "path", "latency_ms"]).filter(slow(s)),
    }
    if query is _GROUPED:
        return _kernels_groups
    return lambda table: pa.Table.from_batches([ask[query](batch) for batch in table.to_batches()])


def _kernels_groups(table: pa.Table) -> pa.Table:
    keys, parts = [WINDOW, "country"], []
    for batch in table.to_batches():
        columns = [pc.divide(batch["ts"], WINDOW_MS), batch["country"], batch["latency_ms"]]
        rows = pa.table(columns, [*keys, "x"]).group_by(keys, use_threads=False)
        parts.append(rows.aggregate([("x", "count"), ("x", "sum"), ("x", "max")]))
    groups = pa.concat_tables(parts).group_by(keys, use_threads=False)
    found = groups.aggregate([("x_count", "sum"), ("x_sum", "sum"), ("x_max", "max")])
    count = found["x_count_sum"]
    return pa.table(
        {
            WINDOW: found[WINDOW],
            "country": found["country"],
            "count(*)": count,
            "average(latency_ms)": pc.divide(found["x_sum_sum"], count),
            "max(latency_ms)": found["x_max_max"],
        }
    )


_TOOLS = (
    _Tool(OURS, "", _ours),
    _Tool("pyarrow's kernels", "pyarrow", _kernels),
    _Tool("polars", "polars", _polars),
    _Tool("DuckDB", "duckdb", _duckdb),
)


def report(options: TableOptions) -> bool:
    """Compare, measure and print; False if a tool gave other rows."""
    table = made_table()
    tools = [tool for tool in _TOOLS if options.wants(tool.name) and _is_here(tool)]
    click.echo(f"{table.num_rows:,} rows in batches of {ROWS:,}")
    turns, good = [], True
    for query, name in _NAMES.items():
        expected = _rows(query, _kernels(query)(table))
        click.echo(f"{name}, Arrow: {len(expected):,} rows", err=True)
        mine = [_turn(query, tool, table) for tool in tools]
        fine = agreeing(mine, expected, lambda found, query=query: _rows(query, found))  # type: ignore[misc]
        good = good and len(fine) == len(mine)
        turns += fine
    if not options.checking:
        measure(turns, options.rounds, options.random)
        click.echo("\n" + _table(turns))
    return good


def made_table() -> pa.Table:
    """Plain columns of made-up events, in order of time."""
    events = [msgspec.json.decode(line) for line in made_up.lines(ROWS * _DISTINCT)]
    columns = {f.name: pa.array([e[f.name] for e in events], f.type) for f in _SCHEMA}
    times = columns.pop("ts").to_numpy()
    span = int(times[-1] - times[0]) + 1
    parts = [pa.table({"ts": times + i * span, **columns}) for i in range(_TIMES)]
    batches = [batch for part in parts for batch in part.to_batches(ROWS)]
    return pa.Table.from_batches(batches)


def _is_here(tool: _Tool) -> bool:
    if tool.package:
        try:
            click.echo(f"{tool.name} {version(tool.package)}")
        except PackageNotFoundError:
            click.echo(f"{tool.name}: skipped, {tool.package} is not installed", err=True)
            return False
    return True


def _turn(query: Query, tool: _Tool, table: pa.Table) -> Turn:
    answer = tool.answer(query)
    return Turn(_NAMES[query], "Arrow", tool.name, lambda: answer(table), table.num_rows)


def _rows(query: Query, found: Any) -> Rows:
    """An answer as rows in an order of their own, columns as the query names them."""
    rows: Rows = []
    for row in found.to_pylist():
        named = {str(name).lower(): value for name, value in row.items()}
        if "_window_start" in named:
            named[WINDOW] = named.pop("_window_start") // WINDOW_MS
            del named["_window_end"]
        rows.append(named)
    if query.windowed:
        rows.sort(key=lambda row: (row[WINDOW], row["country"]))
    return rows


def _table(turns: Sequence[Turn]) -> str:
    lines = []
    for name in _NAMES.values():
        mine = [turn for turn in turns if turn.question == name]
        best = min(turn.ns for turn in mine)
        for turn in mine:
            ratio = turn.ns / best
            goal = (
                ["at most 2", "yes" if ratio <= _GOAL else "no"] if turn.tool == OURS else ["", ""]
            )
            lines.append([name, turn.tool, f"{turn.ns:,.1f}", f"{ratio:.2f}", *goal])
    return markdown(_HEADER, lines, left=2)
