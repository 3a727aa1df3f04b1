"""Questions about two real logs, asked of mql and of something that shares nothing with it.

That is DuckDB for what has columns, jq and plain loops for what nests. The answers have to be
the same: rows, order, integers exactly, floats to 1e-9. They are the questions of docs/examples.md.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

import mql

duckdb = pytest.importorskip("duckdb")

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ACCESS = DATA / "apache_access.ndjson"
STATUS = DATA / "nginx_status.ndjson"

pytestmark = pytest.mark.skipif(not DATA.exists(), reason=f"no real events: {DATA} is missing")

ROBOT = "(?i).*(bot|crawl|spider|slurp).*"
PEERS = "e['upstreams']['trac-backend']['peers']"
HOUR_MS, DAY_MS = 3_600_000, 86_400_000

Sql = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def sql() -> Iterator[Sql]:
    """Ask DuckDB about `log`, whose `n` numbers the requests."""
    with duckdb.connect(config={"threads": 1}) as database:
        database.execute(
            "create table log as select row_number() over () as n, * from read_json(?, columns = {"
            "ts: 'BIGINT', client: 'VARCHAR', method: 'VARCHAR', path: 'VARCHAR', "
            "status: 'BIGINT', bytes: 'BIGINT', referrer: 'VARCHAR', agent: 'VARCHAR'})",
            [str(ACCESS)],
        )
        yield lambda query: database.execute(query).fetchall()


def ask(query: str, file: Path = ACCESS) -> list[tuple[Any, ...]]:
    """The rows of mql's answer as tuples; those of windows begin with the window's start."""
    result = mql.run(query, {"log": file}, time="ts" if file == ACCESS else "timestamp")
    head = (lambda window: (window.start_ms,)) if result.has_windows else (lambda _: ())
    return [(*head(window), *row.values()) for window in result for row in window.rows()]


def snapshots() -> list[dict[str, Any]]:
    return [json.loads(line) for line in STATUS.read_text(encoding="utf-8").splitlines()]


def same(left: object, right: object) -> bool:
    """Whether two answers are equal, floats to 1e-9.

    >>> same([(1, 0.1 + 0.2)], [(1, 0.3)]), same([(1,)], [(True,)]), same([(1,)], [(1,), (2,)])
    (True, False, False)
    """
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9)
    return type(left) is type(right) and left == right


# A web server's access log


def test_errors_by_path_and_hour(sql: Sql) -> None:
    """In each hour, every path that failed has its number of failures, the most frequent first."""
    mine = ask(
        "select count(*) as errors, path from log where status >= 400 "
        "window 3600 group by path order by errors desc"
    )
    theirs = sql(
        f"select ts // {HOUR_MS} * {HOUR_MS} as start, count(*) as errors, path from log "
        "where status >= 400 group by start, path order by start, errors desc, min(n)"
    )
    assert same(mine, theirs)
    assert len(mine) == 196


def test_errors_that_came_twice(sql: Sql) -> None:
    """`having` leaves the paths that failed more than once in an hour, and no others."""
    mine = ask(
        "select count(*) as errors, path from log where status >= 400 "
        "window 3600 group by path having errors > 1 order by errors desc"
    )
    theirs = sql(
        f"select ts // {HOUR_MS} * {HOUR_MS} as start, count(*) as errors, path from log "
        "where status >= 400 group by start, path having errors > 1 "
        "order by start, errors desc, min(n)"
    )
    assert same(mine, theirs)
    assert len(mine) == 23


def test_busiest_clients_of_six_hours(sql: Sql) -> None:
    """Every six hours have their ten busiest clients; of two as busy, who came first is first."""
    mine = ask(
        "select count(*) as requests, client from log "
        "window 21600 group by client order by requests desc limit 10"
    )
    theirs = sql(
        f"select ts // {6 * HOUR_MS} * {6 * HOUR_MS} as start, count(*) as requests, client "
        "from log group by start, client "
        "qualify row_number() over (partition by start order by requests desc, min(n)) <= 10 "
        "order by start, requests desc, min(n)"
    )
    assert same(mine, theirs)
    assert len(mine) == 150


def test_sliding_windows_count_an_event_in_each_that_holds_it(sql: Sql) -> None:
    """Six-hour windows that begin every hour count what is in them, from the first event's on."""
    mine = ask("select count(*), sum(bytes) from log window 21600 3600")
    theirs = sql(
        f"with starts as (select unnest(range(min(ts) // {HOUR_MS}, max(ts) // {HOUR_MS} + 1)) "
        f"* {HOUR_MS} as start from log) select start, count(*), sum(bytes)::bigint from starts "
        f"join log on ts >= start and ts < start + {6 * HOUR_MS} group by start order by start"
    )
    assert same(mine, theirs)
    assert len(mine) == 84


def test_bytes_by_method(sql: Sql) -> None:
    """P95 is the value at position min(ceil(0.95 n), n - 1) of a method's n sorted sizes."""
    mine = ask(
        "select p50(bytes), p95(bytes), max(bytes), average(bytes), stddev(bytes), count(bytes), "
        "count(*), method from log group by method order by count(*) desc"
    )
    theirs = sql(
        "with m as (select list_sort(list(bytes) filter (bytes is not null)) as b, method, "
        "count(bytes) as k, count(*) as n, max(bytes) as most, avg(bytes) as mean, "
        "stddev_samp(bytes) as spread from log group by method) "
        "select b[least(ceil(0.5 * k), k - 1)::int + 1], b[least(ceil(0.95 * k), k - 1)::int + 1], "
        "most, mean, spread, k, n, method from m order by n desc"
    )
    assert same(mine, theirs)
    assert [row[1] for row in mine] == [171717, None, 12292, 626]


def test_largest_answers_of_each_day(sql: Sql) -> None:
    """Each day has the three requests with the largest answers; equal ones in order of arrival."""
    mine = ask("select bytes, client, path from log window 86400 order by bytes desc limit 3")
    theirs = sql(
        f"select ts // {DAY_MS} * {DAY_MS} as start, bytes, client, path from log "
        "qualify row_number() over (partition by start order by bytes desc nulls last, n) <= 3 "
        "order by start, bytes desc, n"
    )
    assert same(mine, theirs)


def test_share_of_robots(sql: Sql) -> None:
    """The share of requests whose user agent matches a regex, day by day."""
    robots = f"count(*) filter (where agent ==~ /{ROBOT}/)"
    mine = ask(
        f"select count(*) as requests, {robots} as robots, {robots} * 100 / count(*) as percent, "
        "count(distinct client) as clients from log window 86400"
    )
    robots = f"count(*) filter (regexp_full_match(agent, '{ROBOT}'))"
    theirs = sql(
        f"select ts // {DAY_MS} * {DAY_MS} as start, count(*), {robots}, "
        f"{robots} * 100 / count(*), count(distinct client) from log group by start order by start"
    )
    assert same(mine, theirs)


def test_a_sticky_sample_keeps_clients_whole(sql: Sql) -> None:
    """Each client in the sample has all its requests, and a fifth of the clients is in it."""
    mine = ask(
        "select client, count(*) from log group by client "
        "sample {'strategy': 'STICKY', 'keys': ['client'], 'threshold': 2000}"
    )
    everything = sql("select client, count(*) from log group by client")
    assert set(mine) <= set(everything)
    assert 0.15 < len(mine) / len(everything) < 0.25


def test_anomalous_minutes(sql: Sql) -> None:
    """A minute is anomalous if its forecast is off by over three times the smoothed error."""
    mine = ask(
        "select count(*) as n, method from log where method == 'GET' "
        "window 60 group by method anomaly des n 0.3 0.1 having anomalous"
    )
    minutes = sql(
        "select ts // 60000 * 60000 as start, count(*) from log where method = 'GET' "
        "group by start order by start"
    )
    (_, first), (_, level) = minutes[:2]
    trend, usual = level - first, None
    theirs = []
    for start, n in minutes[2:]:
        expected = level + trend
        error = abs(n - expected)
        if usual is not None and error > 3 * usual:
            theirs.append((start, n, "GET", True, expected, error / usual))
        before, level = level, 0.3 * n + 0.7 * expected
        trend = 0.1 * (level - before) + 0.9 * trend
        usual = error if usual is None else 0.3 * error + 0.7 * usual
    assert same(mine, theirs)
    assert len(mine) == 3


def test_failures_of_the_server(sql: Sql) -> None:
    """A row query gives the events that match, in their order, and the asked properties."""
    mine = ask("select ts, client, path from log where status >= 500")
    theirs = sql("select ts, client, path from log where status >= 500 order by n")
    assert same(mine, theirs)
    assert len(mine) == 3


def test_a_row_that_lacks_a_property_leaves_it_out() -> None:
    """`select *` of all events is the file, and a missing property is missing in its row."""
    events = [json.loads(line) for line in ACCESS.read_text(encoding="utf-8").splitlines()]
    assert mql.run("select *", {"stream": ACCESS}).rows() == events
    picked = [{k: e[k] for k in ("bytes", "agent") if k in e} for e in events]
    assert mql.run("select bytes, agent", {"stream": ACCESS}).rows() == picked


# A load balancer's status


def test_unhealthy_peers_by_window() -> None:
    """In every snapshot some peer of trac-backend is unhealthy."""
    mine = ask(
        "select count(*), "
        f"count(*) filter (where {PEERS}[*]['state'] == 'unhealthy') as bad from log window 600",
        STATUS,
    )
    theirs = []
    for window, group in groupby(snapshots(), lambda each: each["timestamp"] // 600_000):
        found = [e["upstreams"]["trac-backend"]["peers"] for e in group]
        bad = [peers for peers in found if any(p["state"] == "unhealthy" for p in peers)]
        theirs.append((window * 600_000, len(found), len(bad)))
    assert same(mine, theirs)
    assert sum(row[2] for row in mine) == 500


def test_which_peer_was_unhealthy() -> None:
    """Peer 1 was unhealthy in all snapshots, since a second after the start; peer 0 in none."""
    mine = [
        (peer, *row)
        for peer in (0, 1)
        for row in ask(
            f"select {PEERS}[{peer}]['server'] as server, {PEERS}[{peer}]['state'] as state, "
            f"count(*) as n, max({PEERS}[{peer}]['downstart']) as since "
            f"from log group by {PEERS}[{peer}]['state']",
            STATUS,
        )
    ]
    states: Counter[tuple[int, str, str]] = Counter()
    since: defaultdict[int, int] = defaultdict(int)
    for each in snapshots():
        for number, peer in enumerate(each["upstreams"]["trac-backend"]["peers"]):
            states[number, peer["server"], peer["state"]] += 1
            since[number] = max(since[number], peer["downstart"])
    theirs = [(number, *rest, n, since[number]) for (number, *rest), n in states.items()]
    assert same(mine, theirs)
    assert [row[2] for row in mine] == ["up", "unhealthy"]


@pytest.mark.skipif(not shutil.which("jq"), reason="no jq here")
def test_jq_finds_the_same_unhealthy_snapshots() -> None:
    """`[*]` in `where` keeps the snapshots for which jq's `any` is true."""
    for state in ("unhealthy", "up", "down"):
        mine = ask(f"select timestamp from log where {PEERS}[*]['state'] == '{state}'", STATUS)
        program = (
            f'select(any(.upstreams["trac-backend"].peers[]; .state == "{state}")) | .timestamp'
        )
        done = subprocess.run(
            ["jq", program, str(STATUS)], capture_output=True, text=True, check=True
        )
        assert [(int(line),) for line in done.stdout.split()] == mine


def test_requests_handled_by_window() -> None:
    """What a window handled is the counter's last value in it less its first."""
    mine = ask(
        "select last(e['requests']['total']) - first(e['requests']['total']) as handled, "
        "max(e['requests']['current']), max(e['connections']['active']) from log window 300",
        STATUS,
    )
    theirs = duckdb.execute(
        "select timestamp // 300000 * 300000 as start, "
        "arg_max(requests.total, timestamp) - arg_min(requests.total, timestamp), "
        "max(requests.current), max(connections.active) from read_json(?, columns = {"
        "timestamp: 'BIGINT', requests: 'STRUCT(total BIGINT, current BIGINT)', "
        "connections: 'STRUCT(active BIGINT)'}) group by start order by start",
        [str(STATUS)],
    ).fetchall()
    assert same(mine, theirs)
    assert len(mine) == 10


def test_errors_of_one_site() -> None:
    """One minute had answers 5xx of hg.nginx.org: three of them."""
    count = "e['server_zones']['hg.nginx.org']['responses']['5xx']"
    mine = ask(
        f"select last({count}) - first({count}) as errors from log window 60 having errors > 0",
        STATUS,
    )
    theirs = []
    for minute, group in groupby(snapshots(), lambda each: each["timestamp"] // 60_000):
        counts = [e["server_zones"]["hg.nginx.org"]["responses"]["5xx"] for e in group]
        if counts[-1] > counts[0]:
            theirs.append((minute * 60_000, counts[-1] - counts[0]))
    assert same(mine, theirs)
    assert [row[1] for row in mine] == [3]
