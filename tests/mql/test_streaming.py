"""Answers come while the input still does; memory is bounded by state; cuts change nothing."""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
import pytest

import mql
from mql.engine import Input
from tests.oracle.cases import same

ROOT = Path(__file__).resolve().parents[2]
NOON_MS = 1_700_049_600_000
START_MS = NOON_MS - 10_000
SOON_S = 20
"""Far more than anything here takes, far less than for ever."""

Event = dict[str, object]


@contextmanager
def pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Both ends of a pipe, to read from and to write to."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as reader, os.fdopen(writing, "wb", 0) as writer:
        yield cast("BinaryIO", reader), cast("BinaryIO", writer)


def lines(*events: Event) -> bytes:
    return "".join(json.dumps(event) + "\n" for event in events).encode()


class TestAPipe:
    """Each test has an end by itself: without one, `pytest-timeout` would tell."""

    def test_windows_of_arrival_close_while_it_is_silent(self) -> None:
        with pipe() as (reader, writer):
            writer.write(lines({"a": 1}, {"a": 2}))
            windows = iter(mql.run("select count(*) as n window 0.2", {"stream": reader}))
            counts = [next(windows).rows()[0]["n"] for _ in range(4)]
            assert sum(cast("list[int]", counts)) == 2
            assert counts[-1] == 0
            writer.write(lines({"a": 3}))
            later = [next(windows).rows()[0]["n"] for _ in range(3)]
            assert sum(cast("list[int]", later)) == 1
            writer.close()
            assert all(window.rows() == [{"n": 0}] for window in windows)

    def test_windows_of_arrival_close_on_time(self) -> None:
        with pipe() as (reader, writer):
            writer.write(lines({"a": 1}))
            for window in mql.run("select a window 0.2", {"stream": reader}):
                assert window.end_ms is not None
                assert time.time() * 1000 - window.end_ms < 1_000
                if not window.num_rows:
                    break

    def test_a_pipe_that_has_not_said_a_word_gives_windows_once_it_does(self) -> None:
        with pipe() as (reader, writer):
            later = threading.Timer(0.3, lambda: (writer.write(lines({"a": 1})), writer.close()))
            later.start()
            result = mql.run("select sum(a) as s window 0.1", {"stream": reader})
            assert [row["s"] for row in result.rows() if row["s"]] == [1]
            later.join()

    def test_windows_of_event_time_close_when_an_event_is_past_them(self) -> None:
        query = "select sum(a) as s window 10"
        with pipe() as (reader, writer):
            writer.write(lines({"a": 1, "ts": NOON_MS}, {"a": 2, "ts": NOON_MS + 9_999}))
            windows = iter(mql.run(query, {"stream": reader}, time="ts"))
            writer.write(lines({"a": 4, "ts": NOON_MS + 10_000}))
            first = next(windows)
            assert (first.start_ms, first.rows()) == (NOON_MS, [{"s": 3}])
            writer.write(lines({"a": 8, "ts": NOON_MS + 5_000}, {"a": 16, "ts": NOON_MS + 20_000}))
            assert next(windows).rows() == [{"s": 4}]
            writer.close()
            assert [window.rows() for window in windows] == [[{"s": 16}]]

    def test_full_windows_of_events_come_at_once(self) -> None:
        with pipe() as (reader, writer):
            writer.write(lines(*({"a": a} for a in range(5))))
            windows = iter(mql.run("select list(a) as l window |2|", {"stream": reader}))
            assert [next(windows).rows() for _ in range(2)] == [[{"l": [0, 1]}], [{"l": [2, 3]}]]
            writer.close()
            assert [window.rows() for window in windows] == [[{"l": [4]}]]

    def test_rows_come_at_once(self) -> None:
        with pipe() as (reader, writer):
            writer.write(b'{"a": 1}\n{"a"')
            result = mql.run("select a", {"stream": reader})
            chunks = (chunk for chunk in result.chunks() if chunk.num_rows)
            assert next(chunks).rows() == [{"a": 1}]
            writer.write(b": 2}")
            writer.write(b'\n{"a": 3}')
            assert next(chunks).rows() == [{"a": 2}]
            writer.close()
            assert next(chunks).rows() == [{"a": 3}]
            assert next(chunks, None) is None

    def test_a_limit_ends_the_query_while_it_is_open(self) -> None:
        with pipe() as (reader, writer):
            writer.write(lines({"a": 1}, {"a": 2}, {"a": 3}))
            assert mql.run("select a limit 2", {"stream": reader}).rows() == [{"a": 1}, {"a": 2}]

    def test_reading_may_be_stopped_while_it_is_silent(self) -> None:
        with pipe() as (reader, writer):
            writer.write(lines({"a": 1}, {"a": 2}))
            result = mql.run("select sum(a) as s", {"stream": reader})
            threading.Timer(0.3, result.stop_reading).start()
            assert result.rows() == [{"s": 3}]

    @pytest.mark.parametrize("kind", ["gzip", "zstd"])
    def test_it_may_be_compressed(self, kind: str) -> None:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, kind) as stream:
            stream.write(lines(*({"a": a} for a in range(10_000))))
        data = sink.getvalue().to_pybytes()
        with pipe() as (reader, writer):
            feed = threading.Thread(target=lambda: (writer.write(data), writer.close()))
            feed.start()
            assert mql.run("select count(*) as n", {"stream": reader}).rows() == [{"n": 10_000}]
            feed.join()


class TestTheCommandOnAPipe:
    @staticmethod
    @contextmanager
    def running(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "cli", "run", *arguments]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, cwd=ROOT, bufsize=0, **pipes) as process:  # type: ignore[call-overload]
            try:
                yield process
            finally:
                process.kill()

    @staticmethod
    def next_row(process: subprocess.Popen[bytes]) -> Event:
        """The next line of the output, which has to come soon."""
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], SOON_S)
        assert ready, "no row has come"
        row: Event = json.loads(process.stdout.readline())
        return row

    def test_windows_appear_while_the_input_is_open_and_silent(self) -> None:
        with self.running("select count(*) as n, max(a) as m from s window 0.2") as process:
            assert process.stdin is not None
            process.stdin.write(lines({"a": 1}, {"a": 7}))
            rows = [self.next_row(process) for _ in range(4)]
            assert sum(cast("int", row["n"]) for row in rows) == 2
            assert {row["m"] for row in rows} == {7, None}
            assert all(row["_window_end"] - row["_window_start"] == 200 for row in rows)  # type: ignore[operator]
            starts = [row["_window_start"] for row in rows]
            assert starts == [cast("int", starts[0]) + 200 * i for i in range(4)]
            _, errors = process.communicate(timeout=SOON_S)
            assert (process.returncode, errors) == (0, b"")

    def test_rows_appear_at_once(self) -> None:
        with self.running("select a from s where a > 1") as process:
            assert process.stdin is not None
            for a in (1, 2, 3):
                process.stdin.write(lines({"a": a}))
                if a > 1:
                    assert self.next_row(process) == {"a": a}
            process.communicate(timeout=SOON_S)
            assert process.returncode == 0

    def test_windows_of_event_time_appear_when_an_event_is_past_them(self) -> None:
        query = "select sum(a) as s from s window 10"
        with self.running(query, "--time", "ts", "--lateness", "1s") as process:
            assert process.stdin is not None
            process.stdin.write(lines({"a": 1, "ts": NOON_MS}, {"a": 2, "ts": NOON_MS + 10_500}))
            process.stdin.write(lines({"a": 4, "ts": NOON_MS + 9_000}))
            process.stdin.write(lines({"a": 8, "ts": NOON_MS + 11_000}))
            first = self.next_row(process)
            assert first == {"_window_start": NOON_MS, "_window_end": NOON_MS + 10_000, "s": 5}
            process.communicate(timeout=SOON_S)
            assert process.returncode == 0


CHUNKS_SMALL, CHUNKS_LARGE = 200, 500
ALLOWED_KB = 40_000

MEASURE = """
import resource, sys
import mql
result = mql.run(sys.argv[1], {"s": sys.argv[2]}, time=sys.argv[3] or None)
size = sum(len(chunk.json_lines()) for chunk in result.chunks())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, result.statistics.events, size)
"""


def write_events(path: Path, chunks: int) -> int:
    """About a megabyte of events for each chunk, a second apart; the number of events."""
    stamp = b"%013d" % NOON_MS
    template = b"".join(
        b'{"ts": %s, "user": "u%d", "ms": %d.5, "path": "/%d", "text": "%s"}\n'
        % (stamp, i, i % 1_000, i % 50, b"x" * 280)
        for i in range(3_000)
    )
    with path.open("wb") as file:
        for second in range(chunks):
            file.write(template.replace(stamp, b"%013d" % (NOON_MS + second * 1000)))
    return chunks * 3_000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Path, int]]]:
    folder = tmp_path_factory.mktemp("large")
    paths = [folder / "small.ndjson", folder / "large.ndjson"]
    counts = [
        write_events(path, n) for path, n in zip(paths, (CHUNKS_SMALL, CHUNKS_LARGE), strict=True)
    ]
    yield list(zip(paths, counts, strict=True))
    for path in paths:
        path.unlink()


@pytest.mark.parametrize(
    ("query", "timed"),
    [
        ("select count(*), p95(ms), count(distinct user) from s window 5 group by path", "ts"),
        ("select * from s window 2 where ms < 100", "ts"),
        ("select user, ms from s where ms > 100 and path != '/1'", ""),
        ("select * from s order by ms desc, user limit 5", ""),
    ],
)
def test_memory_is_bounded_by_state_not_by_input(
    query: str, timed: str, files: list[tuple[Path, int]]
) -> None:
    peaks, sizes = [], []
    for path, count in files:
        command = [sys.executable, "-c", MEASURE, query, str(path), timed]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
        )
        peak_kb, events, size = map(int, done.stdout.split())
        assert events == count
        peaks.append(peak_kb)
        sizes.append(size)
    assert 0 < sizes[0] <= sizes[1]
    assert peaks[1] - peaks[0] < ALLOWED_KB, f"{peaks} KB"


class Slowly:
    """A binary stream that gives a few bytes at a time, wherever that cuts a line."""

    def __init__(self, data: bytes, dice: random.Random, most: int) -> None:
        self._data = data
        self._dice = dice
        self._most = most

    def read(self, size: int = -1) -> bytes:
        count = min(self._dice.randint(1, self._most), size if size > 0 else self._most)
        part, self._data = self._data[:count], self._data[count:]
        return part

    def close(self) -> None:
        """Nothing to let go of."""


def thrown(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - where to cut is no secret


def disordered(count: int, *, mixed: bool) -> list[Event]:
    """Events about 50 ms apart, some of them up to 2 s late; `mixed` in the types of `v`."""
    dice = thrown(count)
    odd: list[object] = ["x", None, True, 2.5, [1], {"k": 1}, 2**60, "10"]
    return [
        {
            "ts": NOON_MS + i * 50 - (dice.randrange(2_000) if dice.random() < 0.3 else 0),
            "g": dice.choice("abc"),
            "v": dice.choice(odd) if mixed and dice.random() < 0.4 else i,
            "n": i,
        }
        for i in range(count)
    ]


CUT_QUERIES = (
    "select count(*), sum(v), list(n), first(v), last(v), max(v), g window 1 group by g",
    "select count(*), list(n) window 2 0.5",
    "select count(*), list(n) window 0.5 2",
    "select average(v), p50(v), stddev(v), count(distinct v) window 3 1 where n > 5",
    "select n, v window 1 group by g order by v desc, n",
    "select n window 2 1 order by v limit 3",
    "select list(n), g window |7| group by g",
    "select n, v window |5| where g == 'a' order by v",
    "select * where v != 5 limit 30",
    "select n, v order by v desc limit 7",
    "select count(*) as c, g group by g having count(*) > 3 order by g",
    "select count(*) as c, g window 1 group by g anomaly mad c 1 1.5",
    "select n, v anomaly des v 0.3 0.3",
    "select n sample {'strategy': 'STICKY', 'keys': ['v'], 'threshold': 5000}",
    "select n sample {'strategy': 'RPS', 'threshold': 7}",
    "select n window 1 sample 50%",
)


@pytest.mark.parametrize(("mixed", "lateness_ms"), [(False, 700), (True, 0)])
@pytest.mark.parametrize("query", CUT_QUERIES)
def test_the_answer_does_not_depend_on_cuts(query: str, lateness_ms: int, mixed: bool) -> None:  # noqa: FBT001
    events = disordered(150, mixed=mixed)
    data = lines(*events)
    expected = answer(query, data, lateness_ms)
    assert len(expected) > 1
    inputs: list[Input] = [events, iter(events), data[:-1]]
    for seed, most in enumerate((7, 900, len(data))):
        inputs.append(cast("BinaryIO", Slowly(data, thrown(seed), most)))
    if not mixed:
        inputs += [batches(events, sizes) for sizes in ([1], [150], [7, 1, 13], [75, 74, 1])]
    for number, each in enumerate(inputs):
        assert same(expected, answer(query, each, lateness_ms)), number


@pytest.mark.parametrize("lateness_ms", [0, 700, 5_000])
@pytest.mark.parametrize("query", CUT_QUERIES[:3])
def test_where_a_query_starts_does_not_depend_on_cuts(query: str, lateness_ms: int) -> None:
    events = disordered(200, mixed=False)
    expected = answer(query, lines(*events), lateness_ms, start_ms=None)
    for number, sizes in enumerate(([1], [2], [7, 1, 13], [100, 99, 1])):
        got = answer(query, batches(events, sizes), lateness_ms, start_ms=None)
        assert same(expected, got), number


@pytest.mark.parametrize("cut", [[2], [1]], ids=["one batch", "two batches"])
def test_the_first_event_too_closes_windows_before_the_next_one_comes(cut: list[int]) -> None:
    """At 1.5 s the window from -1 s to 1 s is over: what comes at 0.5 s is too late for it.

    |---- -1 ----|
          |---- 0 ----|
           2    1          in order of time; 1 came first
    """
    events: list[Event] = [{"ts": NOON_MS + 1_500, "n": 1}, {"ts": NOON_MS + 500, "n": 2}]
    windows = answer("select list(n) window 2 1", batches(events, cut), start_ms=NOON_MS - 1_000)
    assert [rows for _, _, rows in windows[1:]] == [  # type: ignore[misc]
        [{"LIST(n)": None}],
        [{"LIST(n)": [1, 2]}],
        [{"LIST(n)": [1]}],
    ]


@pytest.mark.parametrize("lateness_ms", [0, 2_000])
@pytest.mark.parametrize("window", ["", " window 1"])
def test_a_join_does_not_depend_on_cuts(window: str, lateness_ms: int) -> None:
    left, right = disordered(200, mixed=False), disordered(150, mixed=False)
    query = f"select n, v, g from a join b 0.5 seconds on g{window}"
    expected: object = None
    for most in (9, 500, 100_000):
        dice = thrown(most)
        streams = {n: Slowly(lines(*e), dice, most) for n, e in (("a", left), ("b", right))}
        inputs = cast("dict[str, Input]", streams)
        result = mql.run(query, inputs, time="ts", start_ms=START_MS, lateness_ms=lateness_ms)
        got = [(w.start_ms, w.rows()) for w in result]
        assert sum(len(rows) for _, rows in got) > 50
        assert got == (expected or got)
        expected = got


def answer(
    query: str, given: Input, lateness_ms: int = 0, start_ms: int | None = START_MS
) -> list[object]:
    """How many events were late, and the windows with their bounds and rows."""
    result = mql.run(
        query, {"stream": given}, time="ts", start_ms=start_ms, lateness_ms=lateness_ms, seed=1
    )
    windows: list[object] = [[w.start_ms, w.end_ms, w.rows()] for w in result]
    return [result.statistics.late, *windows]


def batches(events: list[Event], sizes: list[int]) -> list[pa.RecordBatch]:
    """The events as record batches of these numbers of rows, over and over."""
    whole = pa.Table.from_pylist(events).combine_chunks().to_batches()[0]
    made, start = [], 0
    while start < whole.num_rows:
        size = sizes[len(made) % len(sizes)]
        made.append(whole.slice(start, size))
        start += size
    return made
