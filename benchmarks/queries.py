"""The nine queries of the comparison, in the words of each tool (polars: polars_runner)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Query:
    """One question. `columns` are those of its rows, named as MQL names them.

    No columns: whole events. Rows of a query over windows are compared by `key`, each key in
    the order of its windows. No `jq` program: jq has no reasonable way to say it. `shown` is a long
    query in short: reading it takes part of its start-up, which is measured by itself.
    """

    number: int
    mql: str
    duckdb: str
    jq: str = ""
    columns: tuple[str, ...] = ()
    key: str = ""
    windowed: bool = False
    shown: str = ""


_USERS = ", ".join(f"'u{number}'" for number in range(1, 10_001))

QUERIES = (
    Query(
        1,
        mql="select * from s where status >= 500",
        duckdb="select * from s where status >= 500",
        jq="select(.status >= 500)",
    ),
    Query(
        2,
        mql="select user_id, path, latency_ms from s where country == 'KR' and latency_ms > 250",
        duckdb="select user_id, path, latency_ms from s where country = 'KR' and latency_ms > 250",
        jq='select(.country == "KR" and .latency_ms > 250) | {user_id, path, latency_ms}',
        columns=("user_id", "path", "latency_ms"),
    ),
    Query(
        3,
        mql="select * from s where msg ==~ /.*ERROR.*timeout.*/",
        duckdb="select * from s where regexp_full_match(msg, '.*ERROR.*timeout.*', 's')",
        jq='select(.msg | test("ERROR.*timeout"; "p"))',
    ),
    Query(
        4,
        mql="select count(*), average(latency_ms), max(latency_ms), country"
        " from s window 10 group by country",
        duckdb='select count(*) as "count(*)", avg(latency_ms) as "average(latency_ms)",'
        ' max(latency_ms) as "max(latency_ms)", country'
        " from s group by ts // 10000, country",
        columns=("count(*)", "average(latency_ms)", "max(latency_ms)", "country"),
        key="country",
        windowed=True,
    ),
    Query(
        5,
        mql="select p99(latency_ms), path from s window 10 group by path",
        # The value at the zero-based position min(ceil(0.99 n), n - 1). quantile_disc takes
        # another position, max(ceil(0.99 n), 1) - 1: close, and about a tenth faster.
        duckdb="select (list_sort(list(latency_ms)))"
        "[least(ceil(0.99 * count(*)), count(*) - 1)::BIGINT + 1]"
        ' as "p99(latency_ms)", path from s group by ts // 10000, path',
        columns=("p99(latency_ms)", "path"),
        key="path",
        windowed=True,
    ),
    Query(
        6,
        mql="select count(distinct user_id) from s window 10",
        duckdb='select count(distinct user_id) as "count(user_id)" from s group by ts // 10000',
        columns=("count(user_id)",),
        windowed=True,
    ),
    Query(
        7,
        mql="select * from s where user_id == 'u123456'",
        duckdb="select * from s where user_id = 'u123456'",
        jq='select(.user_id == "u123456")',
    ),
    Query(
        8,
        mql="select * from s where e['tags'][*]['k'] == 'ab_test'",
        duckdb="select * from s"
        " where list_contains(list_transform(tags, lambda tag: tag.k), 'ab_test')",
        jq='select(any(.tags[]; .k == "ab_test"))',
    ),
    Query(
        9,
        mql=f"select * from s where user_id in ({_USERS})",
        duckdb=f"select * from s where user_id in ({_USERS})",
        shown="select * from s where user_id in ('u1', …, 'u10000')",
    ),
)
