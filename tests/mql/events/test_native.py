"""The compiled decoder: what it takes, it reads as the other way does, within its bounds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatch_build import DECODER
from mql.columnar.read import to_python
from mql.events.decode import EventReader
from mql.events.native import LIBRARY, NativeDecoder, library
from mql.language.syntax import Property
from mql.planner.fields import Fields
from mql.values.json_values import write_json
from tests.native import sanitizer

EXAMPLES = int(os.environ.get("MQL_EXAMPLES", "100"))

PATHS = (("a",), ("b", "c"), ("b",), ("a long key that no guess holds",), ("é",), ("b", "d", "e"))
KEYS = ("a", "b", "c", "d", "e", "é", "aa", "a long key that no guess holds", "")
FIELDS = Fields(tuple(Property(path) for path in PATHS), event=True)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**66), 2**66),
    st.integers(-100, 100),
    st.floats(-1e307, 1e307),
    st.floats(-1e6, 1e6).map(lambda x: round(x, 3)),
    st.text(max_size=40),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=8,
)
EVENTS = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6)


def spaced(event: object) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(" , ", " :\t"))


LINES = st.one_of(
    EVENTS.map(write_json),
    EVENTS.map(spaced),
    st.sampled_from(
        [
            '{"a":1,"a":"x"}',
            '{"b":{"c":1},"b":{"d":{}}}',
            '{"b":{"c":1,"c":null}}',
            '{"a":"\\ud83d\\ude00 \\u00e9\\/\\b\\f\\n\\r\\t\\"\\\\"}',
            '{"a":-0}',
            '{"a":-0.0,"é":1E5}',
            '{"a":1e307,"é":1e-320}',
            '{"a":123456789012345678,"é":9223372036854775807}',
            '{"a":9223372036854775808,"é":-9223372036854775808}',
            '{"a":0.1234567890123456789,"é":12345678901234567890.5e-30}',
        ]
    ),
)
BROKEN = st.sampled_from(
    [
        *("", " ", "{", "{}}", "[1]", "null", "{} ", "{a:1}", '{"a" 1}', '{"a":1,}'),
        *('{"a":01}', '{"a":1.}', '{"a":1e}', '{"a":+1}', '{"a":NaN}', '{"a":tru}', '{"a":"b}'),
        *('{"a":"\\x"}', '{"a":"\\u12g4"}', '{"a":"\t"}', '{"\\u0061":1}', '{"a":1} {"a":2}'),
        *('{"a":[1,]}', '{"a":{"b":[}]}', '{"a":"\\ud83d"}', '{"x":"\\ud83dx"}'),
        *('{"a":"\\udc00\\ud83d"}', '{"a":"\\ud83d\\u0041"}'),
        *('{"a":1e308}', '{"a":1e309}', '{"x":-9E23372036854775807}', '{"x":1e-9999}'),
        f'{{"x":{"9" * 309}}}',
    ]
)


def both(chunk: bytes) -> tuple[list[object], list[object]]:
    """What is read with the compiled decoder and without it: columns, texts, bad lines."""
    answers = []
    for native in (True, False):
        reader = EventReader(FIELDS, native=native)
        read = reader.from_lines(chunk, now_ms=1)
        columns = [to_python(column) for column in read.batch.columns]
        types = [column.type for column in read.batch.columns]
        answers.append([columns, types, reader.bad, reader.lines, read.lines is None])
    return answers[0], answers[1]


def test_the_compiled_decoder_is_there() -> None:
    assert library() is not None, "the build did not compile mql/events/columns.c"


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=6))
def test_it_reads_what_the_other_way_reads(lines: list[str]) -> None:
    chunk = "".join(f"{line}\n" for line in lines).encode()
    decoder = NativeDecoder.of(PATHS)
    assert decoder is not None
    assert decoder.decode(chunk) is not None, "valid lines are taken"
    native, other = both(chunk)
    assert native == other


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(LINES | BROKEN, min_size=1, max_size=5))
def test_what_it_does_not_take_is_read_the_other_way(lines: list[str]) -> None:
    native, other = both("\n".join(lines).encode())
    assert native == other


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=3), st.data())
def test_damaged_bytes_are_read_as_the_other_way_reads_them(
    lines: list[str], data: st.DataObject
) -> None:
    chunk = bytearray("".join(f"{line}\n" for line in lines).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        chunk[data.draw(st.integers(0, len(chunk) - 1))] = data.draw(st.integers(0, 255))
    native, other = both(bytes(chunk))
    assert native == other


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_counted_as_lines_only_if_they_are_utf8(data: bytes) -> None:
    compiled = library()
    assert compiled is not None
    try:
        lines = data.decode().count("\n")
    except UnicodeDecodeError:
        lines = -1
    buffer = pa.py_buffer(data)
    assert compiled.count_lines(buffer.address, len(data)) == lines


@pytest.mark.parametrize("depth", [61, 62, 63, 64, 300])
def test_a_deeply_nested_value_is_read_in_one_way_or_the_other(depth: int) -> None:
    native, other = both(b'{"a":' + b"[" * depth + b"]" * depth + b',"x":{}}\n')
    assert native == other


def test_a_path_that_is_not_of_keys_alone_is_left_to_the_other_way() -> None:
    assert NativeDecoder.of([("a",), ("b", 0)]) is None
    assert NativeDecoder.of([("a",) * 33]) is None


@pytest.mark.parametrize("sanitized", [False, True], ids=["as built", "with sanitizers"])
def test_it_stays_inside_its_arrays(*, sanitized: bool, tmp_path: Path) -> None:
    """In a process of its own: a page after the text that cannot be read would end it.

    So would what C leaves undefined, and an access after an array, with the sanitizers.
    """
    compiled = LIBRARY
    if sanitized:
        compiled = tmp_path / LIBRARY.name
        sanitizer.build(DECODER, compiled)
    done = subprocess.run(
        [sys.executable, "-m", "tests.native.native_bounds", str(EXAMPLES * 20), str(compiled)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=sanitizer.environment() if sanitized else None,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == EXAMPLES * 20


def test_nothing_of_the_process_is_under_a_null() -> None:
    decoder = NativeDecoder.of([("x",)])
    assert decoder is not None
    np.full(1_000, 77, np.int64)  # freed, and found again by whoever does not clear its memory
    decoded = decoder.decode(b'{"x":1}\n{}\n{"x":null}\n' * 300)
    assert decoded is not None
    values = np.frombuffer(decoded.columns[0].buffers()[1], np.int64)[:900]
    assert values.tolist() == [1, 0, 0] * 300
