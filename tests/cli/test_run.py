"""`mql run` from end to end: inputs, formats, files."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tests.cli.support import START_MS, Event, lines_of, rows_of, run_mql

COUNTS = "select count(*) as 'n', path from s window 10 group by path"


def test_rows_are_ndjson_when_piped(log: Path, events: list[Event]) -> None:
    done = run_mql("run", "select * from s where status >= 500", str(log))
    assert rows_of(done.stdout) == [e for e in events if e["status"] == 500]
    assert done.stderr == b""


def test_rows_of_windows_carry_the_window(log: Path) -> None:
    done = run_mql("run", "select count(*) as 'n' from s window 10", str(log), "--time", "ts")
    expected = [
        {
            "_window_start": START_MS + i * 10_000,
            "_window_end": START_MS + (i + 1) * 10_000,
            "n": 10,
        }
        for i in range(4)
    ]
    assert rows_of(done.stdout) == expected
    assert b"`ts`, milliseconds" in done.stderr


def test_standard_input_is_read_with_and_without_a_dash(events: list[Event]) -> None:
    text = lines_of(events)
    for file in ([], ["-"]):
        done = run_mql("run", "select path", *file, stdin=text)
        assert [row["path"] for row in rows_of(done.stdout)] == [e["path"] for e in events]


def test_gzip_is_read_from_a_file_and_from_a_pipe(log: Path) -> None:
    packed = log.with_suffix(".ndjson.gz")
    packed.write_bytes(gzip.compress(log.read_bytes()))
    from_file = run_mql("run", "select count(*) as 'n'", str(packed))
    from_pipe = run_mql("run", "select count(*) as 'n'", stdin=packed.read_bytes())
    assert rows_of(from_file.stdout) == rows_of(from_pipe.stdout) == [{"n": 40}]


def test_named_inputs_are_joined(tmp_path: Path) -> None:
    left, right = tmp_path / "left.ndjson", tmp_path / "right.ndjson"
    left.write_text(lines_of([{"t": START_MS, "k": 1, "a": 1}]))
    right.write_text(lines_of([{"t": START_MS + 1000, "k": 1, "b": 2}]))
    query = "select a, b from l join r 5 seconds on k"
    inputs = ["--from", f"l={left}", "--from", f"r={right}"]
    done = run_mql("run", query, *inputs, "--time", "t")
    assert rows_of(done.stdout) == [{"a": 1, "b": 2}]


def test_the_query_may_come_from_a_file(tmp_path: Path, log: Path) -> None:
    query = tmp_path / "errors.mql"
    query.write_text("-- how many?\nselect count(*) as 'n' from s where status >= 500;\n")
    done = run_mql("run", "--file", str(query), str(log))
    assert rows_of(done.stdout) == [{"n": 4}]


def test_csv_comes_back(log: Path) -> None:
    done = run_mql("run", COUNTS, str(log), "--time", "ts", "--output", "csv")
    table = pl.read_csv(done.stdout)
    assert table.columns == ["_window_start", "_window_end", "n", "path"]
    assert table["n"].sum() == 40
    assert table["_window_start"][0] == START_MS


def test_csv_of_whole_events_has_every_column_and_nested_values_as_json(tmp_path: Path) -> None:
    log = tmp_path / "odd.ndjson"
    log.write_text(lines_of([{"a": 1}, {"b": {"c": [1, None]}, "a": "x,\ny"}, {"a": ""}]))
    done = run_mql("run", "select *", str(log), "--output", "csv")
    rows = list(csv.reader(io.StringIO(done.stdout.decode())))
    assert rows == [["a", "b"], ["1", ""], ["x,\ny", '{"c":[1,null]}'], ["", ""]]


def test_csv_without_rows_still_has_its_header(log: Path) -> None:
    query = "select path, status from s where status == 1"
    done = run_mql("run", query, str(log), "--output", "csv")
    assert done.stdout == b'"path","status"\n'


def test_arrow_is_a_stream_that_others_read(log: Path, events: list[Event]) -> None:
    done = run_mql("run", "select * from s", str(log), "--output", "arrow")
    assert pa.ipc.open_stream(done.stdout).read_all()["ms"].to_pylist() == [e["ms"] for e in events]
    assert pl.read_ipc_stream(done.stdout)["ts"].to_list() == [e["ts"] for e in events]


def test_parquet_replaces_its_file_and_leaves_nothing_else(tmp_path: Path, log: Path) -> None:
    out = tmp_path / "out" / "n.parquet"
    out.parent.mkdir()
    out.write_text("something older")
    done = run_mql("run", COUNTS, str(log), "--time", "ts", "--out", str(out))
    assert done.stdout == b""
    assert pq.read_table(out).column_names == ["_window_start", "_window_end", "n", "path"]
    assert duckdb.read_parquet(str(out)).aggregate("sum(n)").fetchall() == [(40,)]
    assert [p.name for p in out.parent.iterdir()] == ["n.parquet"]


def test_no_rows_are_a_valid_file_in_every_format(tmp_path: Path, log: Path) -> None:
    for query in ("select path from s where false", "select * from s where false"):
        parquet, arrow = tmp_path / "none.parquet", tmp_path / "none.arrow"
        run_mql("run", query, str(log), "--out", str(parquet))
        run_mql("run", query, str(log), "--out", str(arrow))
        assert pq.read_table(parquet).num_rows == 0
        assert pa.ipc.open_stream(arrow).read_all().num_rows == 0


def test_a_failed_run_leaves_the_old_file(tmp_path: Path) -> None:
    log, out = tmp_path / "bad.ndjson", tmp_path / "out.jsonl"
    log.write_text('{"a": 1}\nnot json\n')
    out.write_text("older")
    done = run_mql("run", "select *", str(log), "--strict", "--out", str(out), ok=False)
    assert done.returncode == 1
    assert out.read_text() == "older"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_may_be_written_over_itself(log: Path, events: list[Event]) -> None:
    run_mql("run", "select * from s where status >= 500", str(log), "--out", str(log))
    assert rows_of(log.read_bytes()) == [e for e in events if e["status"] == 500]


def test_a_table_of_any_width_goes_into_a_pipe(log: Path) -> None:
    done = run_mql("run", COUNTS, str(log), "--time", "ts", "--output", "table")
    lines = done.stdout.decode().splitlines()
    assert lines[0].split() == ["window", "(UTC)", "n", "path"]
    assert lines[2:4] == ["2023-11-14", "22:13:20      4  /a"]
    assert lines[-1] == "(12 rows)"


def test_a_plot_in_a_pipe_is_drawn_once(log: Path) -> None:
    done = run_mql("run", COUNTS, str(log), "--time", "ts", "--plot")
    text = done.stdout.decode()
    assert text.count("22:13:20") == 1
    assert "\x1b" not in text
    for name in ("/a", "/b", "/c"):
        assert name in text


def test_bars_are_drawn_without_windows_while_rows_go_to_a_file(tmp_path: Path, log: Path) -> None:
    out = tmp_path / "n.csv"
    query = "select count(*) as 'n', path from s group by path"
    done = run_mql("run", query, str(log), "--plot", "--out", str(out))
    assert done.stdout.decode().splitlines()[1].startswith("/a  14  █")
    assert pl.read_csv(out)["n"].to_list() == [14, 13, 13]
