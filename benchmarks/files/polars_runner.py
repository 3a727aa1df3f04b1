"""One polars query in a process of its own: `polars_runner NUMBER EVENTS [OUT]`.

With OUT the result is also written as JSON lines, to be compared. The number of threads comes
from the environment, which polars reads when it is imported: POLARS_MAX_THREADS.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import polars as pl
from polars import col

SCHEMA = pl.Schema(
    {
        "ts": pl.Int64(),
        "service": pl.String(),
        "node": pl.String(),
        "country": pl.String(),
        "user_id": pl.String(),
        "path": pl.String(),
        "method": pl.String(),
        "status": pl.Int64(),
        "latency_ms": pl.Float64(),
        "bytes": pl.Int64(),
        "msg": pl.String(),
        "device": pl.Struct(
            {
                "type": pl.String(),
                "os": pl.Struct({"name": pl.String(), "version": pl.String()}),
            }
        ),
        "tags": pl.List(pl.Struct({"k": pl.String(), "v": pl.String()})),
    }
)
WINDOW = (col("ts") // 10_000).alias("window")


def _latencies(s: pl.LazyFrame) -> pl.LazyFrame:
    latency = col("latency_ms")
    return s.group_by(WINDOW, "country").agg(
        pl.len().alias("count(*)"),
        latency.mean().alias("average(latency_ms)"),
        latency.max().alias("max(latency_ms)"),
    )


def _p99(s: pl.LazyFrame) -> pl.LazyFrame:
    """Exact: the value at the zero-based position min(ceil(0.99 n), n - 1)."""
    count = pl.len().cast(pl.Int64)
    position = pl.min_horizontal((count * 0.99).ceil().cast(pl.Int64), count - 1)
    value = col("latency_ms").sort().get(position).alias("p99(latency_ms)")
    return s.group_by(WINDOW, "path").agg(value)


def _users(s: pl.LazyFrame) -> pl.LazyFrame:
    return s.group_by(WINDOW).agg(col("user_id").n_unique().alias("count(user_id)"))


def _tagged(s: pl.LazyFrame) -> pl.LazyFrame:
    is_test = pl.element().struct.field("k") == "ab_test"
    return s.filter(col("tags").list.eval(is_test).list.any())


def _slow(s: pl.LazyFrame) -> pl.LazyFrame:
    rows = s.filter((col("country") == "KR") & (col("latency_ms") > 250))
    return rows.select("user_id", "path", "latency_ms")


USERS = pl.Series([f"u{number}" for number in range(1, 10_001)])


QUERIES: dict[int, Callable[[pl.LazyFrame], pl.LazyFrame]] = {
    1: lambda s: s.filter(col("status") >= 500),
    2: _slow,
    3: lambda s: s.filter(col("msg").str.contains("(?s)ERROR.*timeout")),
    4: _latencies,
    5: _p99,
    6: _users,
    7: lambda s: s.filter(col("user_id") == "u123456"),
    8: _tagged,
    9: lambda s: s.filter(col("user_id").is_in(USERS.implode())),
}


def main(number: str, events: str, out: str = "") -> None:
    """Run a query over a file of events."""
    result = QUERIES[int(number)](pl.scan_ndjson(events, schema=SCHEMA)).collect()
    if out:
        from benchmarks.check import save

        rows = result.sort("window") if "window" in result.columns else result
        save(out, rows.to_dicts())


if __name__ == "__main__":
    main(*sys.argv[1:])
