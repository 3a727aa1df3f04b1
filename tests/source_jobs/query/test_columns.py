"""Columns that agents ship are checked through, few values or many."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest

from mql.columnar.layout import EVENT, VARIANT
from mql.values.kind import Kind
from mql.wire.codec import ProtocolError
from mql.wire.payload import write_batch
from source_jobs.query import untrusted_columns as columns
from source_jobs.query.untrusted_columns import read_columns

OBJECTS = (
    *('{"a":1}', '{"a":{"b":[1,2.5e3,"é€😀",null]}}', "{}", '{"a":1}\n', '{"a":\n1}'),
    *('{"a":' + "[" * 100 + "]" * 100 + "}", '{"a":123456789012345678901234567890}'),
)
OTHERS = (
    *("", "\n", "[]", "1", "null", '"{}"', '{"a":1', '{"a":1}}', '{"a":NaN}', "{'a':1}"),
    *('{"a":1}\n{"b":2}', '{"a":1},{"b":2}', "{a:1}", '{"a":"\\ud83"}', '{"a":01}'),
)


def events(texts: list[str]) -> pa.Array:
    batch = pa.RecordBatch.from_pydict({"*time": [1] * len(texts), EVENT: texts})
    return read_columns(write_batch(batch).to_pybytes()).column(EVENT)


@pytest.mark.parametrize("number", [1, 30])
def test_events_are_texts_of_objects(number: int) -> None:
    texts = [OBJECTS[i % len(OBJECTS)] for i in range(number)]
    assert events(texts).to_pylist() == texts


@pytest.mark.parametrize("end", ["", "\n"])
def test_those_of_an_agent_are_checked_together(end: str) -> None:
    assert columns._are_objects(pa.array([f'{{"a":{n}}}{end}' for n in range(30)]))


@pytest.mark.parametrize("blank", ["", "\n", " \n"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_blank_ones_do_not_make_up_for_two_in_one(blank: str, end: str) -> None:
    with pytest.raises(ProtocolError):
        events(['{"a":1}\n{"b":2}' + end, blank] * 20)


@pytest.mark.parametrize("bad", OTHERS)
@pytest.mark.parametrize("number", [1, 30])
def test_one_that_is_none_is_found_among_many(number: int, bad: str) -> None:
    texts = ['{"a":1}'] * number
    texts[number // 2] = bad
    with pytest.raises(ProtocolError):
        events(texts)


def test_a_row_takes_bytes() -> None:
    """An agent ships a time with each: rows that only a head speaks of are refused unread."""
    nulls = pa.nulls(1_000_000)
    with pytest.raises(ProtocolError, match="1,000,000 rows in"):
        read_columns(write_batch(pa.record_batch({"*time": nulls, "a": nulls})).to_pybytes())
    times = pa.nulls(1_000, pa.int64())
    few = pa.record_batch({"*time": times, "a": nulls[:1_000]})
    assert read_columns(write_batch(few).to_pybytes()).num_rows == 1_000


def test_a_list_of_nulls_has_a_limit() -> None:
    def column(length: int) -> pa.RecordBatch:
        values = pa.ListArray.from_arrays([0, length], pa.nulls(length))
        return pa.record_batch({"*time": [1], "a[*]": values})

    assert read_columns(write_batch(column(1 << 20)).to_pybytes()).num_rows == 1
    with pytest.raises(ProtocolError, match="values in"):
        read_columns(write_batch(column(1 << 30)).to_pybytes())


def nested(*texts: str) -> bytes:
    """A payload of a column of lists, or objects, that are these texts."""
    rows = len(texts)
    kinds = [int(Kind.LIST if text.startswith("[") else Kind.OBJECT) for text in texts]
    children = [
        pa.array(kinds, VARIANT.field(0).type),
        pa.array([0] * rows, VARIANT.field(1).type),
        pa.array([0.0] * rows, VARIANT.field(2).type),
        pa.array(texts, VARIANT.field(3).type),
    ]
    column = pa.StructArray.from_arrays(children, fields=list(VARIANT))
    times = pa.array(range(rows), pa.int64())
    return write_batch(pa.RecordBatch.from_arrays([times, column], ["*time", "n"])).to_pybytes()


@pytest.mark.parametrize(
    "texts",
    [
        ("[1", "[2]]"),
        ("[1,", "[2]]", "[1][2]"),
        ('["a', '["]', "[1][2]"),
        ('{"a":', '{"b":1}}', "{}{}"),
        ("[1] [2]", "[3]"),
        ("[1]\n[2]", "[3]"),
        ("[]0",),
    ],
)
def test_nested_values_that_are_checked_together_do_not_make_up_for_one_another(
    texts: tuple[str, ...],
) -> None:
    with pytest.raises(ProtocolError):
        read_columns(nested(*texts))
    assert read_columns(nested("[1]", ' {"a": [1,\n2]}'.strip(), "[[]]", "[" * 300 + "]" * 300))


def test_many_nested_values_are_checked_quickly() -> None:
    """140,000 of them in 4 MiB took 0.7 s of the source job's thread, a message."""
    payload = nested(*["[1]"] * 140_000)
    began = time.process_time()
    read_columns(payload)
    assert time.process_time() - began < 0.15
