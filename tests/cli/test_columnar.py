"""CSV, Arrow and Parquet of rows whose types change: one schema, no value lost."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.output.columnar import ArrowWriter, CsvWriter, ParquetWriter
from cli.output.schema import JSON, common_schema
from cli.output.spool import PIECE_ROWS, Spool
from cli.output.writer import Writer
from tests.cli.support import FakeChunk, chunk

MIXED = (
    chunk({"a": 1, "o": {"x": 1}}),
    chunk({"a": "1", "o": {"y": 2.5}}),
    chunk({"a": None, "b": [1]}),
)


def _write(writer: Writer, chunks: Iterable[FakeChunk]) -> None:
    for each in chunks:
        writer.write(each)
    writer.finish()


def _arrow(*chunks: FakeChunk) -> pa.Table:
    out = io.BytesIO()
    with Spool() as spool:
        _write(ArrowWriter(out, None, spool), chunks)
    return pa.ipc.open_stream(out.getvalue()).read_all()


def _csv(*chunks: FakeChunk, names: tuple[str, ...] | None = None) -> str:
    out = io.BytesIO()
    with Spool() as spool:
        _write(CsvWriter(out, names, spool), chunks)
    return out.getvalue().decode()


def test_types_that_do_not_merge_become_json() -> None:
    table = _arrow(*MIXED)
    assert table.column_names == ["a", "o", "b"]
    assert table.schema.field("a").type == JSON
    assert table["a"].to_pylist() == ["1", '"1"', None]
    assert table["o"].to_pylist() == [{"x": 1, "y": None}, {"x": None, "y": 2.5}, None]


def test_parquet_holds_the_same() -> None:
    out = io.BytesIO()
    with Spool() as spool:
        _write(ParquetWriter(out, None, spool), (*MIXED, chunk({"e": {}})))
    table = pq.read_table(io.BytesIO(out.getvalue()))
    assert table.select(["a", "o", "b"]).slice(0, 3) == _arrow(*MIXED)
    assert table["e"].to_pylist() == [None, None, None, "{}"]


def test_windows_come_first() -> None:
    table = _arrow(chunk({"n": 1}, at=0), chunk(at=10_000), chunk({"n": 2.5}, {"n": 3}, at=20_000))
    assert table.to_pydict() == {
        "_window_start": [0, 20_000, 20_000],
        "_window_end": [10_000, 30_000, 30_000],
        "n": [1.0, 2.5, 3.0],
    }


@pytest.mark.parametrize(("value", "kind"), [(2**53, pa.float64()), (2**53 + 1, JSON)])
def test_an_integer_that_a_double_would_round_is_kept(value: int, kind: pa.DataType) -> None:
    table = _arrow(chunk({"n": value}), chunk({"n": 0.5}))
    assert table.schema.field("n").type == kind
    assert int(float(table["n"][0].as_py())) == 2**53
    assert str(table["n"][0].as_py()).rstrip("0").rstrip(".") in {str(value), f"{value:.0f}"}


def test_null_merges_with_anything() -> None:
    kinds = [pa.int64(), pa.struct({"a": pa.int64()}), JSON, pa.list_(pa.string())]
    for kind in kinds:
        schema = common_schema([pa.schema({"x": pa.null()}), pa.schema({"x": kind})])
        assert schema.field("x").type == kind


def test_many_small_tables_become_few_large_ones() -> None:
    tables = 2 * PIECE_ROWS // 100 + 1
    with Spool() as spool:
        for number in range(tables):
            spool.add(pa.table({"n": pa.array(range(100)), "odd": [number % 2 or None] * 100}))
        pieces = list(spool.pieces(spool.schema()))
    assert len(pieces) <= 3
    assert sum(piece.num_rows for piece in pieces) == tables * 100


def test_more_than_memory_should_hold_waits_in_a_file(tmp_path: Path) -> None:
    text = "".join(random.Random(1).choices("0123456789abcdef", k=1 << 20))  # noqa: S311
    with Spool(tmp_path) as spool:
        for number in range(64):
            spool.add(pa.table({"n": [number], "text": [text[number:] + text[:number]]}))
        pieces = list(spool.pieces(spool.schema()))
    assert len(pieces) > 1
    assert [n for piece in pieces for n in piece["n"].to_pylist()] == list(range(64))
    assert list(tmp_path.iterdir()) == []


def test_alternating_schemas_keep_their_order() -> None:
    rows = [{"a": i} if i % 2 else {"a": i, "b": "x"} for i in range(100)]
    table = _arrow(*(chunk(row) for row in rows))
    assert table["a"].to_pylist() == list(range(100))


def test_csv_with_known_columns_is_written_as_it_comes() -> None:
    out = io.BytesIO()
    with Spool() as spool:
        writer = CsvWriter(out, ("a", "b"), spool)
        writer.write(chunk({"b": "x\ny"}))
        assert out.getvalue() == b'"a","b"\n,"x\ny"\n'
        writer.write(chunk({"a": 1.5, "b": 2}))
    assert out.getvalue().endswith(b"1.5,2\n")


def test_csv_tells_an_empty_string_from_null_and_unquotes_mixed_text() -> None:
    assert _csv(chunk({"a": ""}, {"a": None})) == '"a"\n""\n\n'
    assert _csv(chunk({"a": "x"}), chunk({"a": 1}), chunk({"a": [{"b": None}]})) == (
        '"a"\n"x"\n"1"\n"[{}]"\n'
    )


def test_csv_of_nothing_is_empty_or_a_header() -> None:
    assert _csv() == ""
    assert _csv(names=("a",)) == '"a"\n'
