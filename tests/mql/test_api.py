"""`mql.run` as a program uses it: what it takes, what it gives, and what it refuses."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import mql
from mql.engine import Input
from mql.errors import MQLError

NOON_MS = 1_700_049_600_000
EVENTS: list[dict[str, object]] = [
    {"ts": NOON_MS, "path": "/a", "ms": 10},
    {"ts": NOON_MS + 4_000, "path": "/b", "ms": 20},
    {"ts": NOON_MS + 9_999, "path": "/a", "ms": 30},
    {"ts": NOON_MS + 10_000, "path": "/a", "ms": 40},
    {"ts": NOON_MS + 31_000, "path": "/b", "ms": 50},
]
PER_PATH = "select count(*) as n, sum(ms) as total, path group by path"
BY_PATH = [{"n": 3, "total": 80, "path": "/a"}, {"n": 2, "total": 70, "path": "/b"}]
PER_WINDOW = "select count(*) as n window 10"


def as_lines(events: Iterable[dict[str, object]] = EVENTS) -> bytes:
    return "".join(json.dumps(event) + "\n" for event in events).encode()


def as_table() -> pa.Table:
    return pa.Table.from_pylist(EVENTS)


class Handed:
    """Something that hands out Arrow and is nothing else."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return as_table().__arrow_c_stream__(requested_schema)


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    compressed: bytes = sink.getvalue().to_pybytes()
    return compressed


def write_ipc_file(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, as_table().schema) as writer:
        writer.write_table(as_table(), max_chunksize=2)


def write_ipc_stream(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, as_table().schema) as writer:
        writer.write_table(as_table(), max_chunksize=2)


FILES: dict[str, Callable[[Path], object]] = {
    "events.ndjson": lambda path: path.write_bytes(as_lines()),
    "events": lambda path: path.write_bytes(as_lines()),
    "events.ndjson.gz": lambda path: path.write_bytes(gzip.compress(as_lines())),
    "several members.gz": lambda path: path.write_bytes(
        gzip.compress(as_lines(EVENTS[:2])) + gzip.compress(as_lines(EVENTS[2:]))
    ),
    "events.ndjson.zst": lambda path: path.write_bytes(zstd(as_lines())),
    "events.csv": lambda path: pyarrow.csv.write_csv(as_table(), path),
    "events.CSV": lambda path: pyarrow.csv.write_csv(as_table(), path),
    "events.parquet": lambda path: pyarrow.parquet.write_table(as_table(), path, row_group_size=2),
    "events.arrow": write_ipc_file,
    "stream.arrow": write_ipc_stream,
    "events.feather": write_ipc_file,
}

INPUTS: dict[str, Callable[[], Input]] = {
    "dicts": lambda: EVENTS,
    "a generator of dicts": lambda: (event for event in EVENTS),
    "pairs": lambda: [(event["ts"], event) for event in EVENTS],
    "lines": as_lines,
    "a bytearray": lambda: bytearray(as_lines()),
    "lines that end without a newline": lambda: as_lines()[:-1],
    "a table": as_table,
    "a batch": lambda: as_table().to_batches()[0],
    "batches": lambda: as_table().to_batches(max_chunksize=2),
    "a reader of batches": lambda: as_table().to_reader(max_chunksize=2),
    "whatever hands out Arrow": Handed,
}


@pytest.mark.parametrize("kind", INPUTS)
def test_events_come_in_many_shapes(kind: str) -> None:
    assert mql.run(PER_PATH, {"stream": INPUTS[kind]()}).rows() == BY_PATH
    windows = mql.run(PER_WINDOW, {"stream": INPUTS[kind]()}, time="ts")
    assert [window.rows() for window in windows] == [[{"n": 3}], [{"n": 1}], [{"n": 0}], [{"n": 1}]]
    assert mql.run("select * where ms > 35", {"stream": INPUTS[kind]()}).rows() == EVENTS[3:]


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_by_its_name_or_its_first_bytes(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    FILES[name](path)
    for given in (path, str(path)):
        result = mql.run(PER_PATH, {"stream": given})
        assert result.rows() == BY_PATH
        assert result.statistics.events == len(EVENTS)
    with path.open("rb") as file:
        if path.suffix.lower() not in (".csv", ".parquet", ".arrow", ".feather"):
            assert mql.run(PER_PATH, {"stream": file}).rows() == BY_PATH
    windows = mql.run(PER_WINDOW, {"stream": path}, time="ts")
    assert windows.rows() == [{"n": 3}, {"n": 1}, {"n": 0}, {"n": 1}]


def test_polars_and_duckdb_are_inputs_too() -> None:
    polars, duckdb = pytest.importorskip("polars"), pytest.importorskip("duckdb")
    assert mql.run(PER_PATH, {"stream": polars.DataFrame(EVENTS)}).rows() == BY_PATH
    events = as_table()
    relation = duckdb.sql("select * from events")
    assert events.num_rows
    assert mql.run(PER_PATH, {"stream": relation}).rows() == BY_PATH


def test_arrow_types_that_events_do_not_have_become_texts_and_numbers() -> None:
    table = pa.table(
        {
            "when": pa.array([NOON_MS], pa.timestamp("ms", "UTC")),
            "day": pa.array([19_675], pa.date32()),
            "small": pa.array([5], pa.int8()),
            "wide": pa.array([2**64 - 1], pa.uint64()),
            "half": pa.array([0.5], pa.float32()),
            "word": pa.array(["x"]).dictionary_encode(),
            "large": pa.array(["y"], pa.large_string()),
            "view": pa.array(["z"], pa.string_view()),
            "raw": pa.array([b"x"], pa.binary()),
            "money": pa.array(["1.50"]).cast(pa.decimal128(9, 2)),
            "list": pa.array([[1, 2]]),
            "struct": pa.array([{"k": 1}]),
            "nothing": pa.nulls(1),
            "not a number": pa.array([float("nan")]),
        }
    )
    expected = {
        "when": "2023-11-15T12:00:00.000Z",
        "day": "2023-11-14",
        "small": 5,
        "wide": 2.0**64,
        "half": 0.5,
        "word": "x",
        "large": "y",
        "view": "z",
        "raw": "eA==",
        "money": 1.5,
        "list": [1, 2],
        "struct": {"k": 1},
    }
    for name, value in expected.items():
        row = mql.run(f"select e['{name}'] as v", {"stream": table}).rows()[0]
        assert row == {"v": value}, name
    assert mql.run("select nothing, e['not a number']", {"stream": table}).rows() == [{}]
    everything = mql.run("select *", {"stream": table}).rows()[0]
    assert {k: v for k, v in everything.items() if v is not None} == expected


def test_a_result_is_a_series_of_windows() -> None:
    result = mql.run("select path window 10", {"stream": EVENTS}, time="ts")
    assert result.has_windows
    windows = list(result)
    bounds = [(w.start_ms, w.end_ms) for w in windows]
    assert bounds == [(NOON_MS + s, NOON_MS + s + 10_000) for s in range(0, 40_000, 10_000)]
    assert [w.num_rows for w in windows] == [3, 1, 0, 1]
    assert windows[0].rows() == [{"path": "/a"}, {"path": "/b"}, {"path": "/a"}]
    assert windows[0].table.equals(pa.table({"path": ["/a", "/b", "/a"]}))
    assert windows[2].rows() == []
    assert windows[2].table.num_rows == 0
    first = json.loads(windows[0].json_lines().split(b"\n")[0])
    bounds_in_row = {"_window_start": NOON_MS, "_window_end": NOON_MS + 10_000}
    assert first == bounds_in_row | {"path": "/a"}
    assert windows[2].json_lines() == b""


def test_a_result_without_windows_is_one() -> None:
    result = mql.run("select path limit 2", {"stream": EVENTS})
    assert not result.has_windows
    (window,) = result
    assert (window.start_ms, window.end_ms) == (None, None)
    assert window.rows() == [{"path": "/a"}, {"path": "/b"}]


def test_windows_of_events_have_no_bounds() -> None:
    result = mql.run("select sum(ms) as s window |2|", {"stream": EVENTS})
    windows = list(result)
    assert [w.rows() for w in windows] == [[{"s": 30}], [{"s": 70}], [{"s": 50}]]
    assert {(w.start_ms, w.end_ms) for w in windows} == {(None, None)}
    again = mql.run("select sum(ms) as s window |2|", {"stream": EVENTS})
    assert again.to_table().to_pydict() == {"s": [30, 70, 50]}


def test_a_result_may_be_read_again_once_it_is_kept() -> None:
    result = mql.run(PER_WINDOW, {"stream": EVENTS}, time="ts")
    table = result.to_table()
    assert result.to_table().equals(table)
    assert result.rows() == [{"n": 3}, {"n": 1}, {"n": 0}, {"n": 1}]
    assert [window.rows() for window in result] == [[{"n": 3}], [{"n": 1}], [{"n": 0}], [{"n": 1}]]
    assert result.statistics.rows == 4


def test_a_table_begins_with_the_windows_bounds() -> None:
    table = mql.run(PER_WINDOW, {"stream": EVENTS}, time="ts").to_table()
    assert table.column_names == ["_window_start", "_window_end", "n"]
    assert table["n"].to_pylist() == [3, 1, 0, 1]
    assert table["_window_start"].to_pylist()[1] == NOON_MS + 10_000
    assert table.schema.field("_window_start").type == pa.int64()


def test_a_table_has_types_where_events_have_them() -> None:
    events = [
        {"a": 1, "b": 1, "c": 1, "d": {"x": 1}, "e": [1], "n": None},
        {"a": 2, "b": 0.5, "c": "x"},
    ]
    table = mql.run("select a, b, c, d, e, n", {"stream": events}).to_table()
    types = dict(zip(table.column_names, table.schema.types, strict=True))
    assert types["a"] == pa.int64()
    assert types["b"] == pa.float64()
    assert types["d"] == pa.struct({"x": pa.int64()})
    assert types["e"] == pa.list_(pa.int64())
    assert types["n"] == pa.null()
    assert table["c"].combine_chunks().storage.to_pylist() == ["1", '"x"']


def test_large_integers_stay_exact_in_a_table() -> None:
    events = [{"a": 2**53 + 1}, {"a": 0.5}]
    result = mql.run("select a", {"stream": events})
    assert result.rows() == events
    assert result.to_table()["a"].combine_chunks().storage.to_pylist() == [
        "9007199254740993",
        "0.5",
    ]


def test_nested_properties_are_structs_in_a_table() -> None:
    events = [{"a": {"x": 1, "y": 2}, "b": 3}, {"b": 4}]
    table = mql.run("select e['a']['x'], b", {"stream": events}).to_table()
    assert table.to_pylist() == [{"a": {"x": 1}, "b": 3}, {"a": None, "b": 4}]


def test_an_empty_answer_is_an_empty_table() -> None:
    for query in ("select path, ms where ms > 99", "select path, ms window 10 where ms > 99"):
        table = mql.run(query, {"stream": EVENTS}, time="ts").to_table()
        assert table.num_rows == 0
        assert table.column_names[-2:] == ["path", "ms"]
    assert mql.run("select *", {"stream": []}).to_table().num_rows == 0
    assert mql.run("select *", {"stream": []}).rows() == []


@pytest.mark.parametrize("count", [1, 3])
def test_rows_without_a_column_are_counted_in_a_table_too(count: int) -> None:
    table = mql.run("select *", {"stream": [{}] * count}).to_table()
    assert table.num_rows == count
    assert mql.run("select *", {"stream": [{}] * count}).rows() == [{}] * count
    shown = repr(mql.run("select *", {"stream": [{}] * count}))
    assert shown == ("1 row" if count == 1 else f"{count} rows")


class TestOthersTakeAResult:
    def result(self) -> mql.Result:
        return mql.run(PER_PATH, {"stream": EVENTS})

    def test_pyarrow(self) -> None:
        assert pa.table(self.result()).to_pylist() == BY_PATH
        assert pa.RecordBatchReader.from_stream(self.result()).read_all().to_pylist() == BY_PATH

    def test_polars(self) -> None:
        polars = pytest.importorskip("polars")
        assert polars.DataFrame(self.result()).to_dicts() == BY_PATH

    def test_duckdb(self) -> None:
        duckdb = pytest.importorskip("duckdb")
        r = self.result()
        assert duckdb.sql("select n, path from r order by n").fetchall() == [(2, "/b"), (3, "/a")]
        assert r.rows() == BY_PATH

    def test_pandas(self) -> None:
        pandas = pytest.importorskip("pandas")
        assert pandas.DataFrame.from_arrow(self.result()).to_dict("records") == BY_PATH

    def test_mixed_columns(self) -> None:
        polars, duckdb = pytest.importorskip("polars"), pytest.importorskip("duckdb")
        events = [{"a": 1}, {"a": "x"}, {"a": [True, None]}, {"b": 1}]
        r = mql.run("select a", {"stream": events})
        assert pa.table(r)["a"].combine_chunks().storage.to_pylist() == [
            "1",
            '"x"',
            "[true,null]",
            None,
        ]
        assert duckdb.sql("select count(a) from r").fetchall() == [(3,)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("POLARS_UNKNOWN_EXTENSION_TYPE_BEHAVIOR", "load_as_storage")
            assert polars.DataFrame(r)["a"].to_list() == ["1", '"x"', "[true,null]", None]

    def test_another_query(self) -> None:
        assert mql.run("select n where path == '/b'", {"stream": self.result()}).rows() == [
            {"n": 2}
        ]


def test_a_result_shows_its_first_rows() -> None:
    shown = repr(mql.run(PER_PATH, {"stream": EVENTS}))
    assert shown.split("\n") == [
        "n  total  path",
        "─  ─────  ────",
        "3  80     /a",
        "2  70     /b",
        "(2 rows)",
    ]
    many = mql.run("select a", {"stream": [{"a": i} for i in range(5_000)]})
    assert repr(many).endswith("(5,000 rows)")
    assert repr(many).count("\n") < 30


def test_a_result_in_a_notebook_is_a_table_with_nothing_unescaped() -> None:
    events = [{"<b>": "<script>alert('x')</script>", "c": "a & b"}, {"c": None}]
    html = mql.run("select *", {"stream": events})._repr_html_()
    assert html.startswith("<table>")
    assert "<th>&lt;b&gt;</th>" in html
    assert "<script" not in html
    assert "a &amp; b" in html
    assert "2 rows" in html


@pytest.mark.parametrize("odd", ["a\nb", "\x1b[31mred", "tab\tbed", "x" * 500, "\u202eflip"])
def test_a_shown_text_stays_in_its_cell(odd: str) -> None:
    shown = repr(mql.run("select a, b", {"stream": [{"a": odd, "b": 1}]}))
    assert len(shown.split("\n")) == 4
    assert "\x1b" not in shown
    assert max(map(len, shown.split("\n"))) < 100


def test_a_wrong_query_is_refused_with_a_caret() -> None:
    with pytest.raises(mql.QueryError) as refusal:
        mql.run("select a\nfrm stream", {"stream": []})
    error = refusal.value
    assert (error.line, error.column) == (2, 1)
    message = str(error).split("\n")
    assert message[0].startswith("line 2, column 1: unexpected `frm`")
    assert message[1:] == ["  frm stream", "  ^^^", "hint: did you mean `from`?"]
    assert error.hint == "did you mean `from`?"
    assert isinstance(error, MQLError)


def test_a_window_of_time_needs_a_time_and_names_what_looks_like_one() -> None:
    events = [
        {"id": 17, "at": NOON_MS, "iso": "2023-11-15T12:00:00Z", "word": "x", "s": NOON_MS / 1000}
    ]
    with pytest.raises(mql.InputError) as refusal:
        mql.run(PER_WINDOW, {"stream": events})
    message = str(refusal.value)
    assert "which property is the time" in message
    assert "`at` (milliseconds since 1970)" in message
    assert "`iso` (ISO 8601)" in message
    assert "`s` (seconds since 1970)" in message
    assert "`id`" not in message
    assert "`word`" not in message


def test_a_time_that_no_event_has_is_refused() -> None:
    with pytest.raises(mql.InputError, match=r"`tz` holds no time .*`ts`"):
        mql.run(PER_WINDOW, {"stream": EVENTS}, time="tz")


@pytest.mark.parametrize(
    ("time", "values", "note"),
    [
        ("ts", [NOON_MS, NOON_MS + 10_000], "milliseconds"),
        ("ts", [NOON_MS // 1000, NOON_MS // 1000 + 10], "seconds"),
        ("ts", [NOON_MS / 1000 + 0.25, NOON_MS / 1000 + 10], "seconds"),
        ("ts", [NOON_MS * 1000, (NOON_MS + 10_000) * 1000], "microseconds"),
        ("ts", [NOON_MS * 1_000_000, (NOON_MS + 10_000) * 1_000_000], "nanoseconds"),
        ("ts", ["2023-11-15T12:00:00Z", "2023-11-15T13:00:10.5+01:00"], "ISO 8601"),
        ("ts", ["2023-11-15T12:00:00", "2023-11-15 12:00:10"], "ISO 8601"),
    ],
)
def test_the_unit_of_a_time_is_recognized(time: str, values: list[object], note: str) -> None:
    events = [{"ts": value} for value in values]
    for inputs in (events, as_lines(events)):
        result = mql.run(PER_WINDOW, {"stream": inputs}, time=time)
        bounds = [(w.start_ms, w.rows()) for w in result]
        assert bounds == [(NOON_MS, [{"n": 1}]), (NOON_MS + 10_000, [{"n": 1}])]
        assert any(f"`ts`, {note}" in line for line in result.statistics.notes)


@pytest.mark.parametrize("time", ["e['meta']['at']", 'e["meta"]["at"]', "the time"])
def test_a_time_may_be_nested_or_have_a_blank_in_its_name(time: str) -> None:
    events = [{"meta": {"at": NOON_MS}, "the time": NOON_MS}]
    (window,) = mql.run(PER_WINDOW, {"stream": events}, time=time)
    assert window.start_ms == NOON_MS


def test_a_source_without_an_input_is_refused_with_a_guess() -> None:
    with pytest.raises(mql.InputError, match=r"`request`; did you mean `requests`\?"):
        mql.run("select a from request", {"requests": []})
    with pytest.raises(mql.InputError, match=r"`stream`; there are: a, b"):
        mql.run("select a", {"a": [], "b": []})
    with pytest.raises(mql.InputError, match="there are: none"):
        mql.run("select a", {})


@pytest.mark.parametrize(
    "name", ["missing.ndjson", "missing.csv", "missing.parquet", "missing.arrow", "."]
)
def test_a_file_that_cannot_be_read_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with pytest.raises(mql.InputError, match=f"cannot read {re.escape(str(path))}: "):
        mql.run("select a", {"stream": path}).rows()


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.arrow", "a.gz", "a.zst"])
def test_a_file_that_is_not_what_it_says_is_no_traceback(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    for data in (b"", b"\x1f\x8b\x08\x00bad", b"\x28\xb5\x2f\xfdbad", b'"a\n"b,\x00\n\xff,,,'):
        path.write_bytes(data)
        with contextlib.suppress(mql.InputError):
            mql.run("select a", {"stream": path}).rows()


def test_a_compressed_file_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    whole = as_lines() * 20_000
    for name, data in (("a.gz", gzip.compress(whole)), ("a.zst", zstd(whole))):
        path = tmp_path / name
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(mql.InputError, match=name):
            mql.run("select count(*)", {"stream": path}).rows()


@pytest.mark.parametrize("given", [5, None, [5], ["x"], [[1]], len], ids=repr)
def test_what_is_no_input_is_a_type_error(given: object) -> None:
    with pytest.raises(TypeError):
        mql.run("select a", {"stream": given})  # type: ignore[dict-item]


def test_several_sources_are_named_by_a_mapping() -> None:
    left = [(0, {"k": 1, "a": "x"}), (9_000, {"k": 1, "a": "y"}), (9_500, {"k": 2})]
    right = [(1_000, {"k": 1, "b": 5}), (8_000, {"k": 1, "b": 6})]
    joined = mql.run("select * from a join b 2 seconds on k", {"a": left, "b": right})
    assert joined.rows() == [{"k": 1, "a": "x", "b": 5}, {"k": 1, "a": "y", "b": 6}]
    merged = mql.run("select a, b from a, b", {"b": right, "a": left, "unused": []})
    assert merged.rows() == [{"a": "x"}, {"b": 5}, {"b": 6}, {"a": "y"}, {}]


def test_sources_may_come_in_different_shapes(tmp_path: Path) -> None:
    path = tmp_path / "right.ndjson"
    path.write_bytes(as_lines([{"ts": NOON_MS + 500, "path": "/a", "user": "ann"}]))
    query = "select path, user, ms from requests join users 1 seconds on path"
    inputs: dict[str, Input] = {"requests": as_table(), "users": path}
    assert mql.run(query, inputs, time="ts").rows() == [{"path": "/a", "user": "ann", "ms": 10}]


def test_one_input_named_by_a_star_is_the_one_source() -> None:
    assert mql.run("select ms from whatever limit 1", {"*": EVENTS}).rows() == [{"ms": 10}]
    with pytest.raises(mql.InputError, match=r"2 sources \(a, b\)"):
        mql.run("select ms from a, b", {"*": EVENTS})


def test_a_seed_makes_a_sample_repeatable() -> None:
    events = [{"a": i} for i in range(1_000)]
    samples = [
        mql.run("select a sample 30%", {"stream": events}, seed=seed).rows() for seed in (7, 7, 8)
    ]
    assert samples[0] == samples[1] != samples[2]
    assert 200 < len(samples[0]) < 400
    counts = {len(mql.run("select a sample 30%", {"stream": events}).rows()) for _ in range(20)}
    assert len(counts) > 1


def test_a_sticky_sample_does_not_depend_on_what_else_is_there() -> None:
    query = "select u sample {'strategy': 'STICKY', 'keys': ['u'], 'salt': 1, 'threshold': 5000}"
    values: list[object] = [
        "ann",
        "bob",
        "cid",
        "dot",
        "eve",
        1,
        2,
        3,
        4,
        1.0,
        2.5,
        "1",
        True,
        False,
        [1],
    ]
    together = mql.run(query, {"stream": [{"u": value} for value in values]}).rows()
    alone = [row for value in values for row in mql.run(query, {"stream": [{"u": value}]}).rows()]
    assert 0 < len(together) < len(values)
    assert together == alone


def test_a_rate_holds_in_each_second_whatever_the_order_of_events() -> None:
    events = [(ms, {"a": ms}) for ms in (0, 1_000, 500, 1_500, 900, 2_000)]
    rows = mql.run("select a sample {'strategy': 'RPS', 'threshold': 1}", {"stream": events}).rows()
    assert rows == [{"a": 0}, {"a": 1_000}, {"a": 2_000}]


def test_a_query_starts_and_ends_where_it_is_told() -> None:
    pairs = [(12_000, {"a": 1}), (18_000, {"a": 2})]
    result = mql.run(PER_WINDOW, {"stream": pairs}, start_ms=0, end_ms=40_000)
    assert [(w.start_ms, w.rows()) for w in result] == [
        (0, [{"n": 0}]),
        (10_000, [{"n": 2}]),
        (20_000, [{"n": 0}]),
        (30_000, [{"n": 0}]),
    ]
    result = mql.run(PER_WINDOW, {"stream": pairs}, end_ms=20_001)
    assert [w.start_ms for w in result] == [10_000, 20_000]
    result = mql.run(PER_WINDOW, {"stream": pairs}, start_ms=15_000)
    assert [w.start_ms for w in result] == [10_000]


def test_late_events_are_counted() -> None:
    pairs = [(t * 1000, {"a": t}) for t in (0, 11, 9, 12, 22, 19)]
    result = mql.run("select list(a) as l window 10", {"stream": pairs})
    assert result.rows() == [{"l": [0]}, {"l": [11, 12]}, {"l": [22]}]
    assert result.statistics.late == 2
    result = mql.run("select list(a) as l window 10", {"stream": pairs}, lateness_ms=2_001)
    assert result.rows() == [{"l": [0, 9]}, {"l": [11, 12, 19]}, {"l": [22]}]
    assert result.statistics.late == 0


def test_an_event_in_a_gap_between_windows_is_not_late() -> None:
    pairs = [(t, {"a": t}) for t in (0, 1_000, 2_999, 3_000)]
    result = mql.run("select count(*) as n window 1 3", {"stream": pairs})
    assert result.rows() == [{"n": 1}, {"n": 1}]
    assert result.statistics.late == 0


def test_events_without_a_time_are_counted() -> None:
    events = [*EVENTS, {"path": "/c"}, {"ts": "noon"}, {"ts": None}]
    result = mql.run(PER_WINDOW, {"stream": events}, time="ts")
    assert sum(row["n"] for row in result.rows()) == len(EVENTS)  # type: ignore[misc]
    assert result.statistics.without_time == 3
    assert mql.run("select path", {"stream": events}, time="ts").rows()[-3:] == [
        {"path": "/c"},
        {},
        {},
    ]


def test_a_limit_stops_the_reading_early() -> None:
    taken = 0

    def endless() -> Iterator[dict[str, object]]:
        nonlocal taken
        while True:
            taken += 1
            yield {"a": taken}

    assert mql.run("select a where a > 3 limit 2", {"stream": endless()}).rows() == [
        {"a": 4},
        {"a": 5},
    ]
    assert taken < 20_000
    taken = 0
    result = mql.run("select count(*) as n window |2| limit 3", {"stream": endless()})
    assert result.rows() == [{"n": 2}] * 3
    assert taken < 20_000


def test_a_result_may_be_closed_before_its_end(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(as_lines() * 100_000)
    result = mql.run("select ms window |2|", {"stream": path})
    first = next(iter(result))
    assert first.rows() == [{"ms": 10}, {"ms": 20}]
    result.close()
    assert result.statistics.events < 500_000


def test_reading_may_be_stopped_with_what_there_is() -> None:
    def events() -> Iterator[tuple[int, dict[str, object]]]:
        for second in range(100_000):
            if second == 50_000:
                result.stop_reading()
            yield second * 1000, {"a": second}

    result = mql.run("select count(*) as n window 1000", {"stream": events()})
    counts = [row["n"] for row in result.rows()]
    assert 1 < len(counts) < 100
    assert counts[:-1] == [1000] * (len(counts) - 1)


def test_statistics_tell_what_was_read(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"garbage\n" + as_lines() + b"[]\n")
    result = mql.run("select path where ms > 15", {"stream": path})
    rows = result.rows()
    statistics = result.statistics
    assert (statistics.events, statistics.rows) == (len(EVENTS), len(rows))
    assert (statistics.bad_lines, statistics.first_bad_line) == (2, 1)
    assert statistics.bytes_total == path.stat().st_size
    assert statistics.bytes_read == path.stat().st_size


def test_queries_are_parsed_planned_and_explained() -> None:
    tree = mql.parse(PER_PATH)
    assert mql.format_query(tree).startswith(
        "select count(*) as 'n', sum(ms) as 'total', path from stream"
    )
    assert mql.run(tree, {"stream": EVENTS}).rows() == BY_PATH
    assert "ships states" not in str(mql.plan("select a"))
    assert "in the source job" in str(mql.plan(tree))
    explained = mql.explain("select a where not (b != 1)", rules=True)
    assert "rule remove_double_negation" in explained
    assert explained.index("logical plan") < explained.index("optimized plan")
    with pytest.raises(mql.QueryError, match="window"):
        mql.plan("select count(*) from requests", live=True)
    with pytest.raises(mql.QueryError, match="names its stream"):
        mql.plan(PER_PATH, live=True)
    with pytest.raises(TypeError):
        mql.parse(b"select a")  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0, 3, 70, 100])
@pytest.mark.parametrize(
    "columns",
    ["*", "n, t", "a, n", "count(*) as c, t", "e[^'a'], n"],
)
def test_a_table_is_read_the_same_in_batches_of_any_size(columns: str, share: int) -> None:
    n = range(1_000)
    texts = [None if i % 7 == 0 else f"t{i % 5}" for i in n]
    table = pa.table({"n": [i % 100 for i in n], "t": texts, "a": [[i] for i in n]})
    group = " group by t" if "count" in columns else ""
    query = f"select {columns} from s where n < {share}{group}"
    expected = mql.run(query, {"s": table.to_pylist()}).rows()
    for size in (1, 37, 1_000):
        cut = pa.Table.from_batches(table.to_batches(max_chunksize=size))
        assert mql.run(query, {"s": cut}).rows() == expected
        assert mql.run(query, {"s": iter(cut.to_batches())}).rows() == expected
