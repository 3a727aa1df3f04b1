"""Columns that agents ship are checked through, few values or many."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mql.batch import EVENT
from mql.wire.codec import ProtocolError
from mql.wire.payload import write_batch
from source_jobs import columns
from source_jobs.columns import read_columns

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
