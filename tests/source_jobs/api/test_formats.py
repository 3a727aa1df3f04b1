"""Formats of answers, without a server: what changes while it comes, and what events may hold."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pytest

from mql.columnar.layout import EVENT
from mql.wire.messages import Answer
from source_jobs.api.feeds.events import Closing, Lost, Numbered, Piece, Said
from source_jobs.api.formats.arrow import ArrowStream
from source_jobs.api.formats.events import EventStream
from source_jobs.client.actions import Gap
from source_jobs.client.window import LiveWindow
from source_jobs.query.live_query import read_question

END = Closing("limit", failed=False, total=None, number=9)


def piece(number: int, query: str, gap: Gap | None = None, **columns: list[object]) -> Numbered:
    batch = pa.record_batch({name.replace("event", EVENT): v for name, v in columns.items()})
    layout = read_question(query).layout
    return Numbered(number, Piece(LiveWindow(layout, batch, Answer(1, number, False), gap)))


def arrow_streams(*said: Said) -> list[pa.ipc.RecordBatchStreamReader]:
    written = ArrowStream()
    data = b"".join(map(written.write, said))
    source, streams = io.BytesIO(data), []
    while source.tell() < len(data):
        reader = pa.ipc.open_stream(source)
        streams.append((reader.schema, list(reader.iter_batches_with_custom_metadata())))
    return streams


def test_an_arrow_column_widens_and_nothing_is_lost() -> None:
    query = "select a from s"
    kinds = [[1, 2], [2.5], ["x"], [3]]
    streams = arrow_streams(*(piece(i, query, a=v) for i, v in enumerate(kinds, 1)), END)
    assert [schema.field("a").type for schema, _ in streams] == [
        pa.int64(),
        pa.float64(),
        pa.json_(pa.string()),
    ]
    columns = [batch.column("a") for _, batches in streams for batch, _ in batches]
    values = [value for column in columns for value in column.to_pylist()]
    assert values == [1, 2, 2.5, '"x"', "3"]
    (_, batches) = streams[-1]
    assert json.loads(batches[-1][1][b"mql.ended"])["reason"] == "limit"


def test_an_arrow_stream_says_what_is_missing_and_may_have_no_rows() -> None:
    first = piece(1, "select a from s", a=[1])
    ((_, batches),) = arrow_streams(Lost(3, 7), first, END)
    assert json.loads(batches[0][1][b"mql.gap"]) == {
        "from_ms": None,
        "to_ms": None,
        "pieces": 3,
        "rows": 7,
    }
    ((schema, batches),) = arrow_streams(END)
    assert (schema.names, batches[0][0].num_rows) == ([], 0)


@pytest.mark.parametrize("space", ["\n", "\r", "\r\n \n"])
def test_white_space_in_an_event_makes_no_event_of_its_own(space: str) -> None:
    text = f'{{"a":{space}1,{space}"b": "data: x"}}'
    said = piece(5, "select * from s", Gap(1, 2), event=[text, '{"a": 2}'])
    blocks = EventStream().write(said).decode().split("\n\n")
    assert [block.splitlines()[0] for block in blocks if block] == [
        "retry: 1000",
        "event: gap",
        "id: 5",
    ]
    data = json.loads(blocks[2].splitlines()[-1].removeprefix("data: "))
    assert data["rows"] == [{"a": 1, "b": "data: x"}, {"a": 2}]
