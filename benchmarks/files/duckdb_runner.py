"""One DuckDB query in a process of its own: `duckdb_runner SQL EVENTS [OUT]`.

The result is fetched as an Arrow table; with OUT it is then also written as JSON lines, to be
compared. Imports no more than it needs: its start-up is part of what is measured.
"""

from __future__ import annotations

import sys

import duckdb

COLUMNS = {
    "ts": "BIGINT",
    "service": "VARCHAR",
    "node": "VARCHAR",
    "country": "VARCHAR",
    "user_id": "VARCHAR",
    "path": "VARCHAR",
    "method": "VARCHAR",
    "status": "BIGINT",
    "latency_ms": "DOUBLE",
    "bytes": "BIGINT",
    "msg": "VARCHAR",
    "device": 'STRUCT("type" VARCHAR, os STRUCT("name" VARCHAR, "version" VARCHAR))',
    "tags": "STRUCT(k VARCHAR, v VARCHAR)[]",
}


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _view(events: str) -> str:
    columns = ", ".join(f"{_quoted(name)}: {_quoted(kind)}" for name, kind in COLUMNS.items())
    return (
        "create temp view s as select * from read_json("
        f"{_quoted(events)}, format='newline_delimited', columns={{{columns}}})"
    )


def main(sql: str, events: str, out: str = "") -> None:
    """Run a query over the view `s` of a file of events."""
    connection = duckdb.connect()
    connection.execute("SET threads=1")
    connection.execute(_view(events))
    table = connection.sql(sql).to_arrow_table()
    if out:
        from benchmarks.check import save

        save(out, table.to_pylist())


if __name__ == "__main__":
    main(*sys.argv[1:])
