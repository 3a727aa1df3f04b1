"""Warnings of runs over recorded events: from each kind of input, and never a false one."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import mql
from mql.engine import Input

Event = dict[str, Any]
Opener = Callable[[list[Event], Path], Input]


def lines_of(events: list[Event]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def as_file(events: list[Event], folder: Path) -> Input:
    path = folder / "s.ndjson"
    path.write_bytes(lines_of(events))
    return path


def as_gzip(events: list[Event], folder: Path) -> Input:
    path = folder / "s.ndjson.gz"
    path.write_bytes(gzip.compress(lines_of(events)))
    return path


def as_pipe(events: list[Event], _: Path) -> Input:
    reading, writing = os.pipe()

    def write() -> None:
        with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "wb") as file:
            file.write(lines_of(events))

    threading.Thread(target=write, daemon=True).start()
    return os.fdopen(reading, "rb", buffering=0)


def as_csv(events: list[Event], folder: Path) -> Input:
    path = folder / "s.csv"
    pa.csv.write_csv(table_of(events), path)
    return path


def as_parquet(events: list[Event], folder: Path) -> Input:
    path = folder / "s.parquet"
    pa.parquet.write_table(table_of(events), path, row_group_size=700)
    return path


def as_pandas(events: list[Event], _: Path) -> Input:
    pandas = pytest.importorskip("pandas")
    frame: Input = pandas.DataFrame(events)
    return frame


def table_of(events: list[Event]) -> pa.Table:
    names = dict.fromkeys(name for event in events for name in event)
    return pa.table({name: [event.get(name) for event in events] for name in names})


LINES: dict[str, Opener] = {
    "file": as_file,
    "gzip": as_gzip,
    "pipe": as_pipe,
    "bytes": lambda events, _: lines_of(events),
    "stream": lambda events, _: io.BytesIO(lines_of(events)),
    "dicts": lambda events, _: events,
    "generator": lambda events, _: iter(events),
}
TABLES: dict[str, Opener] = {
    "csv": as_csv,
    "parquet": as_parquet,
    "pandas": as_pandas,
    "table": lambda events, _: table_of(events),
    "batches": lambda events, _: iter(table_of(events).to_batches(300)),
}
FLAT = LINES | TABLES


@pytest.fixture(params=FLAT)
def of_flat(request: pytest.FixtureRequest) -> Opener:
    return FLAT[request.param]


@pytest.fixture(params=LINES)
def of_lines(request: pytest.FixtureRequest) -> Opener:
    return LINES[request.param]


def warned(query: str, given: Input, **settings: Any) -> list[str]:
    result = mql.run(query, {"*": given}, **settings)
    result.rows()
    return [f"{warning.code} {query[warning.start : warning.end]}" for warning in result.warnings]


def plain(count: int) -> list[Event]:
    return [{"status": 200 + i % 5, "path": f"/p{i % 7}", "ms": i / 2} for i in range(count)]


@pytest.mark.parametrize("count", [3, 1_000, 3_500])
def test_a_misspelt_name_is_told(of_flat: Opener, tmp_path: Path, count: int) -> None:
    given = of_flat(plain(count), tmp_path)
    assert warned("select path, stauts from s where ms >= 0", given) == ["unknown-name stauts"]


@pytest.mark.parametrize("count", [3, 3_500])
@pytest.mark.parametrize(
    "query",
    [
        "select path, status, ms from s where status >= 500",
        "select * from s where path == '/nowhere'",
        "select * from s where path ==~ /.*nowhere.*/ and ms > 5",
        "select count(*), path, max(ms) from s group by path order by max(ms) desc limit 3",
        "select status from s limit 1",
        "select e[^'pa'] from s where false",
        "select ms from s where ms == null",
    ],
)
def test_names_that_all_events_have_are_known(
    of_flat: Opener, tmp_path: Path, count: int, query: str
) -> None:
    assert warned(query, of_flat(plain(count), tmp_path)) == []


def test_text_among_numbers_is_told(of_lines: Opener, tmp_path: Path) -> None:
    events = [*plain(40), {"status": "500"}, {"status": None}, {}]
    result = mql.run("select * from s where status >= 500", {"s": of_lines(events, tmp_path)})
    assert result.rows() == []
    (warning,) = result.warnings
    assert warning.message == (
        "`status` is text in 1 of 43 events looked at; `>= 500` is false there; "
        "`number(status)` reads it"
    )
    assert (warning.source, warning.of) == ("s", 43)
    assert dict(warning.counts) == {"number": 40, "text": 1}


def test_a_column_of_text_is_told(of_flat: Opener, tmp_path: Path) -> None:
    events: list[Event] = [{"code": f"{i}x"} for i in range(5)]
    assert warned("select * from s where code > 3", of_flat(events, tmp_path)) == [
        "mixed-kinds code > 3"
    ]
    assert warned("select * from s where code > '3'", of_flat(events, tmp_path)) == []


def rare(key: str, places: Iterator[int] | range, count: int = 5_000) -> list[Event]:
    events = plain(count)
    for place in places:
        events[place][key] = "x"
    return events


@pytest.mark.parametrize(
    "query",
    [
        "select extra from s",
        "select path from s where extra == 'x'",
        "select path from s where extra == 'y'",
        "select path from s where extra == 'y' or ms < 0",
        "select path from s where not extra == null and ms < 0",
        "select count(extra) from s",
        "select path, extra from s where ms >= 1",
    ],
)
def test_a_name_that_one_event_has_is_known(of_flat: Opener, tmp_path: Path, query: str) -> None:
    """Event 4,321 is not in the sample, but it is read."""
    assert warned(query, of_flat(rare("extra", range(4_321, 4_322)), tmp_path)) == []


def test_what_a_prefilter_passes_over_is_not_lacking(tmp_path: Path) -> None:
    """No line holds the text, so that none is read: only the sample is."""
    events = rare("extra", range(0, 5_000, 50))
    path = as_file(events, tmp_path)
    query = "select e['extra'], ms from s where path == '/nowhere'"
    result = mql.run(query, {"s": path})
    result.rows()
    assert result.statistics.unread == 5_000
    assert result.warnings == ()
    assert warned(query.replace("ms", "mss"), path) == ["unknown-name mss"]
    assert warned(query.replace("path ==", "pth =="), path) == ["unknown-name pth"]


def test_names_of_events_that_where_drops_are_known(of_lines: Opener, tmp_path: Path) -> None:
    events = [*plain(50), {"status": 500, "path": "/err"}]
    events[3]["detail"] = {"code": 5}
    query = "select path, e['detail']['code'] from s where status == 500"
    assert warned(query, of_lines(events, tmp_path)) == []


def test_nested_names(of_lines: Opener, tmp_path: Path) -> None:
    events: list[Event] = [
        {"user": {"id": i, "name": None}, "hops": [{"ms": i}], "nf.node": "a", "none": []}
        for i in range(1_500)
    ]
    good = (
        "select e['user']['id'], e['user']['name'], e['hops'][0]['ms'], e['hops'][-1]['ms'],"
        " e['none'][0]['x'], nf.node, e[^'nf.'] from s where e['hops'][*]['ms'] > 5"
    )
    assert warned(good, of_lines(events, tmp_path)) == []
    bad = (
        "select user.id, e['user']['idd'], e['hops'][0]['mss'], e['nf']['node'], e[^'xy']"
        " from s where e['hops'][*]['m'] > 5 or e['nope'][*] > 5"
    )
    assert len(warned(bad, of_lines(events, tmp_path))) == 7


def test_structs_and_maps_of_tables(tmp_path: Path) -> None:
    user = pa.array([{"id": 1, "name": None}] * 4, pa.struct([("id", "int64"), ("name", "string")]))
    tags = pa.array([[("zone", "a")], [], None, [("host", "b")]], pa.map_("string", "string"))
    table = pa.table({"user": user, "tags": tags, "empty": pa.nulls(4, pa.int64())})
    path = tmp_path / "s.parquet"
    pa.parquet.write_table(table, path)
    for given in (table, path):
        good = "select e['user']['name'], e['user']['id'], tags, e['tags'][0][1], empty from s"
        assert warned(good, given) == []
        names = ["user.id", "e['user']['nme']", "tag"]
        found = warned(f"select {', '.join(names)} from s", given)
        assert found == [f"unknown-name {name}" for name in names]


def test_columns_of_other_types_are_names() -> None:
    table = pa.table(
        {
            "coded": pa.array(["a", "b", "a"]).dictionary_encode(),
            "at": pa.array([1, 2, 3], pa.timestamp("ms")),
            "big": pa.array([1, 2**63 + 1, 3], pa.uint64()),
            "view": pa.array(["a", "b", "c"], pa.string_view()),
        }
    )
    query = "select coded, at, view, big from s where coded == 'a' and at > '1'"
    assert warned(query, table) == ["rounded-integer big"]
    assert warned("select vieww from s where codedd == 'a'", table) == [
        "unknown-name vieww",
        "unknown-name codedd",
    ]


def test_joins_know_whose_a_name_is() -> None:
    spans = [{"t": i, "id": i, "parent": i - 1, "name": "x"} for i in range(20)]
    other = [{"t": i, "id": i, "cents": i} for i in range(20)]
    inputs: dict[str, Input] = {"spans": lines_of(spans), "pays": lines_of(other)}

    def told(query: str) -> list[str]:
        result = mql.run(query, inputs, time="t")
        result.rows()
        return [query[w.start : w.end] + f" of {w.source}" for w in result.warnings]

    assert told("select name, cents from spans join pays 5s on id") == []
    assert told("select name, centz from spans join pays 5s on parent") == [
        "centz of None",
        "parent of pays",
    ]
    named = "from spans as c join spans as p 10s on c['parent'] = p['id']"
    assert told(f"select c['name'], p['name'] as up {named}") == []
    assert told(f"select c['cents'] {named} where p['nme'] == 'x'") == [
        "c['cents'] of spans",
        "p['nme'] of spans",
    ]
    both = "from spans as c join pays as p 10s on c['id'] = p['id']"
    assert told(f"select c['name'], p['cents'] {both}") == []
    assert told(f"select p['name'], c['cents'] {both}") == [
        "p['name'] of pays",
        "c['cents'] of spans",
    ]


def test_an_answer_that_ends_early_is_of_what_was_read() -> None:
    seen = list[int]()

    def events(count: int) -> Iterator[Event]:
        for number in range(count):
            seen.append(number)
            yield {"a": number}

    assert warned("select b from s limit 3", events(100_000)) == ["unknown-name b"]
    assert len(seen) < 10_000, "the others have not been asked for"
    batches = table_of(list(events(600))).to_batches(200)
    assert warned("select b from s limit 3", iter(batches)) == [], "others may come"
    for given in (events(900), table_of(list(events(900))), lines_of(list(events(900)))):
        assert warned("select b from s limit 3", given) == ["unknown-name b"]


def test_a_pipe_is_judged_before_its_end() -> None:
    reading, writing = os.pipe()
    result = mql.run("select b from s where a >= 0", {"s": os.fdopen(reading, "rb", buffering=0)})
    assert result.warnings == ()
    chunks = result.chunks()
    os.write(writing, lines_of([{"a": 1}] * 1_200))
    while not result.warnings:
        next(chunks)
    assert [warning.of for warning in result.warnings] == [1_000]
    os.close(writing)
    assert sum(chunk.num_rows for chunk in chunks) <= 1_200
    assert len(result.warnings) == 1, "once each"


def test_what_the_text_says_is_known_before_the_first_event() -> None:
    def events() -> Iterator[Event]:
        yield {"-a": 1, "b": 1}
        raise AssertionError("nobody asks for another one")

    result = mql.run("select b, -a from s order by c limit 1", {"s": events()})
    assert [warning.code for warning in result.warnings] == ["unknown-name"]


def test_runs_in_threads_do_not_know_of_each_other(tmp_path: Path) -> None:
    path = as_file(plain(2_500), tmp_path)

    def ask(number: int) -> list[str]:
        name = f"name{number}" if number % 2 else "path"
        return warned(f"select {name} from s where ms >= 0", path)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(40)))
    assert found == [[f"unknown-name name{n}"] if n % 2 else [] for n in range(40)]


def test_lines_that_are_no_events_are_not_looked_at() -> None:
    lines = b"not json\n" * 1_500 + lines_of([{"a": 1}] * 20)
    assert warned("select b from s", lines) == []
    assert warned("select a, b from s", b"not json\n" + lines_of([{"a": 1}] * 20)) == [
        "unknown-name b"
    ]


def test_integers_that_are_rounded_are_told(of_lines: Opener, tmp_path: Path) -> None:
    events: list[Event] = [
        {"id": 2**64 + i % 2, "exact": 2**70, "text": str(2**65 + 1)} for i in range(9)
    ]
    found = warned("select id, exact, text from s", of_lines(events, tmp_path))
    assert found == ["rounded-integer id"]


@pytest.mark.parametrize("optimized", [True, False])
def test_rules_change_no_warning(optimized: bool) -> None:  # noqa: FBT001 - a parameter
    query = "select path, e['path']['x'], nope from s where ms > 'x' and true or false"
    found = warned(query, plain(10), optimized=optimized)
    assert found == ["unknown-name e['path']['x']", "unknown-name nope", "mixed-kinds ms > 'x'"]
