"""`mql run` under a limit of memory: a stated peak, and an error for what cannot be had."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mql
from mql.columnar.arrays import from_numpy
from mql.errors import InputError, MQLError
from mql.sources.portions import BYTES, portions, size_of
from tests.cli.support import LIMIT_S, command, environment, rows_of

PEAK_KIB = 1 << 20
"""Address space of a run over anything here, Python and its libraries (half of it) included."""

MIB = 1 << 20


def run_bounded(*arguments: str, kib: int = PEAK_KIB) -> subprocess.CompletedProcess[bytes]:
    """Run the command with so much memory."""
    done = subprocess.run(
        ["bash", "-c", f'ulimit -v {kib}; exec "$@"', "bash", *command(*arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(),
        timeout=LIMIT_S,
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def coded(text: str, rows: int = 65_536) -> pa.Array:
    """A column in which all rows have one text, which is kept once."""
    return pa.DictionaryArray.from_arrays(from_numpy(np.zeros(rows, np.int8)), pa.array([text]))


def listed(elements: pa.Array, *ends: int) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0, *ends], pa.int32()), elements)


def write_arrow(path: Path, column: pa.Array) -> None:
    batch = pa.RecordBatch.from_arrays([column], ["a"])
    make = pa.ipc.new_stream if path.suffix == ".arrows" else pa.ipc.new_file
    with make(str(path), batch.schema) as writer:
        writer.write_batch(batch)


def write_parquet(path: Path, column: pa.Array) -> None:
    pq.write_table(pa.table({"a": column}), path, store_schema=False)


def write_long_line(path: Path, _column: object) -> None:
    with pa.CompressedOutputStream(str(path), "zstd") as file:
        file.write(b'{"a":1}\n{"a":"' + b"x" * (250 * MIB) + b'"}\n{"a":2}\n')


def write_cells(path: Path, _column: object) -> None:
    path.write_bytes(b'{"a":[' + b"{}," * 5_000_000 + b"1]}\n")


@pytest.mark.parametrize(
    ("name", "write", "column", "rows"),
    [
        ("a.arrow", write_arrow, lambda: coded("x" * (16 << 10)), 65_536),
        ("a.arrows", write_arrow, lambda: coded("x" * (16 << 10)), 65_536),
        ("a.parquet", write_parquet, lambda: coded("x" * (16 << 10)), 65_536),
        ("a.ndjson.zst", write_long_line, lambda: None, 2),
        ("a.ndjson", write_cells, lambda: None, 1),
    ],
)
def test_what_would_fill_memory_is_read_in_little(
    tmp_path: Path,
    name: str,
    write: Callable[[Path, object], None],
    column: Callable[[], object],
    rows: int,
) -> None:
    write(tmp_path / name, column())
    done = run_bounded("run", "select count(*) as n, max(e['a'][0]) from s", str(tmp_path / name))
    assert done.returncode == 0, done.stderr.decode()
    assert rows_of(done.stdout)[0]["n"] == rows


@pytest.mark.parametrize("suffix", ["arrow", "parquet"])
def test_values_that_are_not_asked_for_are_not_written_out(tmp_path: Path, suffix: str) -> None:
    write = write_arrow if suffix == "arrow" else write_parquet
    write(tmp_path / f"a.{suffix}", coded("x" * MIB))
    done = run_bounded("run", "select count(*) as n from s", str(tmp_path / f"a.{suffix}"))
    assert rows_of(done.stdout) == [{"n": 65_536}]


def test_one_row_that_asks_for_64_gib_is_refused_by_name(tmp_path: Path) -> None:
    write_arrow(tmp_path / "a.arrow", listed(coded("x" * MIB), 65_536))
    done = run_bounded("run", "select * from s", str(tmp_path / "a.arrow"))
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"a row takes 68,720,525,328 bytes, and at most 16,777,216 are read" in done.stderr


def test_what_cannot_be_had_is_an_error(tmp_path: Path) -> None:
    offsets = pa.py_buffer(np.array([0, 900 * MIB], np.int32))
    zeros = pa.py_buffer(np.zeros(900 * MIB, np.uint8))
    values = pa.Array.from_buffers(pa.string(), 1, [None, offsets, zeros])
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    path = tmp_path / "a.arrow"
    batch = pa.RecordBatch.from_arrays([values], ["a"])
    with pa.ipc.new_file(str(path), batch.schema, options=options) as writer:
        writer.write_batch(batch)
    done = run_bounded("run", "select count(*) from s", str(path))
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"it asks for more memory than there is" in done.stderr


def test_a_query_that_holds_more_than_there_is_ends_with_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson.zst"
    with pa.CompressedOutputStream(str(path), "zstd") as file:
        for i in range(25):
            file.write(b'{"a":"' + str(i).encode() + b"x" * (15 * MIB) + b'"}\n')
    done = run_bounded(
        "run", "select count(*), a from s group by a", str(path), kib=PEAK_KIB * 3 // 4
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"more memory than there is" in done.stderr


COLUMNS = {
    "text": pa.array(["a" * 84] * 10),
    "coded": pa.array(["a" * 84] * 10).dictionary_encode(),
    "runs": pa.RunEndEncodedArray.from_arrays(
        pa.array([4, 10], pa.int32()), pa.array(["a" * 84] * 2)
    ),
    "views": pa.array(["a" * 84] * 10, pa.string_view()),
    "large": pa.array(["a" * 84] * 10, pa.large_string()),
    "coded structs": pa.DictionaryArray.from_arrays(
        pa.array([0] * 10, pa.int8()), pa.array([{"k": "a" * 68}])
    ),
    "lists": listed(pa.array(["a" * 68] * 10), *range(1, 11)),
    "lists of codes": listed(pa.array(["a" * 68] * 10).dictionary_encode(), *range(1, 11)),
    "list views": pa.array([["a" * 68]] * 10, pa.list_view(pa.string())),
    "maps": pa.array([[("k", "a" * 35)]] * 10, pa.map_(pa.string(), pa.string())),
    "structs": pa.array([{"k": "a" * 68}] * 10),
    "fixed lists": pa.array([["a" * 26, "b" * 26]] * 10, pa.list_(pa.string(), 2)),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_takes_what_it_is_written_out(name: str) -> None:
    column = COLUMNS[name]
    assert size_of(column) == 1_000
    assert size_of(column.slice(3, 5)) == 500, "of a part, its own rows count"


@pytest.mark.parametrize("name", COLUMNS)
def test_a_row_is_the_same_however_its_column_is_kept(name: str) -> None:
    column = COLUMNS[name].slice(2, 6)
    read = mql.run("select * from s", {"s": pa.table({"a": column, "n": range(6)})}).rows()
    assert read == [{"a": _plain(value), "n": i} for i, value in enumerate(column.to_pylist())]


def _plain(value: object) -> object:
    is_map = isinstance(value, list) and isinstance(value[0], tuple)
    return [list(pair) for pair in value] if isinstance(value, list) and is_map else value


def test_portions_are_bounded_and_keep_all_rows() -> None:
    rows = 200_000
    columns = [coded("x" * 4_000, rows), from_numpy(np.arange(rows)), pa.nulls(rows)]
    parts = list(portions(pa.RecordBatch.from_arrays(columns, ["a", "n", "z"])))
    assert all(sum(map(size_of, part.columns)) <= BYTES for part in parts)
    assert np.concatenate([np.asarray(part["n"]) for part in parts]).tolist() == list(range(rows))


def test_a_parquet_file_reads_the_same_with_codes_and_without(tmp_path: Path) -> None:
    texts = [f"text {i % 7}" + "x" * (40_000 * (i % 2)) for i in range(2_000)]
    table = pa.table({"a": texts, "b": [f"{i}" for i in range(2_000)], "c": [[t] for t in texts]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=1_500)
    query = "select count(*) as n, a, max(b), max(e['c'][0]) from s group by a order by a"
    assert mql.run(query, {"s": str(tmp_path / "a.parquet")}).rows() == (
        mql.run(query, {"s": table}).rows()
    )


def test_a_row_of_csv_that_is_too_long_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n" + "x" * (3 * MIB) + ",1\n")
    with pytest.raises(InputError, match="a row has more than 1,048,576 bytes"):
        mql.run("select * from s", {"s": str(tmp_path / "a.csv")}).rows()


def test_a_damaged_file_is_an_error_or_an_answer(tmp_path: Path) -> None:
    table = pa.table({"a": pa.array(["x", None] * 9).dictionary_encode(), "b": [[1]] * 18})
    pq.write_table(table, tmp_path / "a.parquet")
    for name, make in (("a.arrow", pa.ipc.new_file), ("a.arrows", pa.ipc.new_stream)):
        with make(str(tmp_path / name), table.schema) as writer:
            writer.write_table(table)
    random_ = random.Random(17)  # noqa: S311 - no secret
    refused = 0
    for name in ("a.parquet", "a.arrow", "a.arrows"):
        whole = (tmp_path / name).read_bytes()
        for _ in range(150):
            data = bytearray(whole[: random_.choice([len(whole), random_.randrange(len(whole))])])
            for place in random_.sample(range(len(data)), min(2, len(data))):
                data[place] = random_.choice([0, 127, 255])
            (tmp_path / name).write_bytes(data)
            try:
                mql.run("select * from s", {"s": str(tmp_path / name)}).rows()
            except MQLError:
                refused += 1
    assert refused > 100
