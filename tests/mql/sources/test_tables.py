"""Tables as events: an answer is what it is of the same events as dicts."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

import pyarrow as pa
import pytest

import mql
from mql.columnar.layout import EVENT
from mql.events.decode import EventReader
from mql.planner.fields import Fields
from mql.sources.open import Input

EVENTS = [
    {"at": n, "k": f"k{n % 3}", "n": n - 5, "x": n / 4 or None, "on": n % 2 == 0, "none": None}
    for n in range(20)
]
QUERIES = [
    "select * from s",
    "select * from s where n >= 3",
    "select *, n as again from s where k == 'k1'",
    "select * from s where none == 1",
    "select * from s window 4",
    "select * from s order by x desc, n limit 4",
    "select e['n*'], k from s",
    "select count(*), k from s window 7 group by k",
    "select * from s, t where k == 'k2'",
    "select * from s join t 4 seconds on k where n > 10",
]


def table_of(events: list[dict[str, object]]) -> pa.Table:
    """A table of several batches."""
    table = pa.Table.from_pylist(events)
    return pa.Table.from_batches(table.to_batches(max_chunksize=7))


def answers(query: str, s: Input, t: Input) -> tuple[list[Any], ...]:
    """The answer in each of its forms."""
    inputs = {name: events for name, events in (("s", s), ("t", t)) if f" {name}" in query}
    rows = mql.run(query, inputs, "at").rows()
    chunks = list(mql.run(query, inputs, "at"))
    columns = mql.run(query, inputs, "at").to_table().to_pylist()
    return rows, [c.rows() for c in chunks], b"".join(c.json_lines() for c in chunks), columns


@pytest.mark.parametrize("query", QUERIES)
def test_a_table_is_answered_as_its_events_are(query: str) -> None:
    expected = answers(query, EVENTS, EVENTS)
    table = table_of(EVENTS)
    assert answers(query, table, table) == expected
    assert answers(query, table, EVENTS) == expected
    assert answers(query, EVENTS, table) == expected


def test_whole_events_of_plain_cells_stay_columns() -> None:
    events = EventReader(Fields(event=True)).from_table(table_of(EVENTS).to_batches())
    assert pa.types.is_struct(events.batch.column(EVENT).type)
    found = mql.run("select * from s where n > 10", {"s": table_of(EVENTS)}).to_table()
    assert found.schema.names == list(EVENTS[0])
    assert found.schema.field("n").type == pa.int64()


def nested(values: pa.Array) -> list[pa.Array]:
    """Two cells with the values in them, of each type that holds others."""
    offsets, twice = pa.array([0, None, 2], pa.int32()), pa.concat_arrays([values, values])
    return [
        pa.ListArray.from_arrays(offsets, values),
        pa.LargeListArray.from_arrays(pa.array([0, 1, 2], pa.int64()), values),
        pa.FixedSizeListArray.from_arrays(twice, 2),
        pa.StructArray.from_arrays([values], ["a"], mask=pa.array([False, True])),
        pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays([values], ["a"])),
        pa.MapArray.from_arrays(pa.array([0, 1, 2], pa.int32()), ["a", "b"], values),
    ]


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([[1, 2], None]),
        pa.array([{"a": 1}, {"a": None}]),
        pa.array([math.nan, math.inf]),
        pa.array([2**63, 1], pa.uint64()),
        pa.array([1, 2], pa.int8()),
        pa.array([1.5, None], pa.float32()),
        pa.array(["a", None], pa.large_string()),
        pa.array(["a", "b"]).dictionary_encode(),
        pa.array([dt.datetime(2026, 1, 2, tzinfo=dt.UTC)] * 2),
        pa.nulls(2),
        *nested(pa.array([1_577_840_523_456_789_123, None], pa.timestamp("ns", "Europe/Berlin"))),
        *nested(pa.array([1, None], pa.duration("ns"))),
        *nested(pa.array([dt.date(2026, 1, 2), None])),
        *nested(pa.array([1, 2])),
    ],
    ids=lambda cells: str(cells.type),
)
def test_cells_of_any_type_are_rows_as_they_are_in_json(cells: pa.Array) -> None:
    table = pa.table({"c": cells, "n": [1, 2]})
    table = pa.concat_tables([table, table]).combine_chunks().slice(1, 2)  # at an offset
    rows = mql.run("select * from s", {"s": table}).rows()
    lines = b"".join(chunk.json_lines() for chunk in mql.run("select * from s", {"s": table}))
    assert [json.loads(line) for line in lines.splitlines()] == rows
    named = mql.run("select c, n from s", {"s": table}).rows()
    assert [{k: v for k, v in row.items() if v is not None} for row in rows] == named
