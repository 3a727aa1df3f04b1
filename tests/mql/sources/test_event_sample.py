"""The sample of a source: the first events and one in a thousand, however the input was cut."""

from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mql.events.profile import ProfileBuilder
from mql.language.paths import AnyElement, Property
from mql.sources.sampling.event_sample import EVERY, FIRST, LineSample, RowSample
from mql.sources.slices import Slice
from mql.values.kind import Kind

N = Property(("n",))


class Taken(ProfileBuilder):
    """Keeps the lines that it is to count."""

    def __init__(self) -> None:
        super().__init__([N])
        self.text = b""

    def add_lines(self, lines: bytes) -> None:
        self.text += lines


def numbered(count: int) -> list[bytes]:
    return [b'{"n":%d}\n' % number for number in range(count)]


def sampled(lines: list[bytes], cuts: list[int]) -> tuple[bytes, bool]:
    taken = Taken()
    sample = LineSample(taken)
    bounds = [0, *sorted(cut % (len(lines) + 1) for cut in cuts), len(lines)]
    for start, end in pairwise(bounds):
        before, data = b"behind\n", b"".join(lines[start:end])
        if data:
            sample.add(Slice(before + data + b"after\n", len(before), len(before) + len(data)))
    sample.settle()
    return taken.text, sample.is_whole


@given(st.lists(st.integers(0, 10_000), max_size=8), st.integers(0, 6_000))
def test_the_sample_does_not_depend_on_how_lines_come(cuts: list[int], count: int) -> None:
    lines = numbered(count)
    assert sampled(lines, cuts) == sampled(lines, [])


def test_the_first_thousand_lines_and_one_in_a_thousand_are_taken() -> None:
    lines = numbered(100_000)
    text, is_whole = sampled(lines, [])
    taken = text.splitlines(keepends=True)
    assert taken[:FIRST] == lines[:FIRST]
    assert len(set(taken)) == len(taken)
    assert set(taken) <= set(lines)
    assert 99 <= len(taken) - FIRST <= 120  # later lines are longer: there are fewer to a stride
    assert not is_whole


@pytest.mark.parametrize("count", [0, 1, FIRST])
def test_a_short_text_is_taken_wholly(count: int) -> None:
    lines = numbered(count)
    assert sampled(lines, [7]) == (b"".join(lines), True)
    assert sampled([*lines, b"{}"], [])[1] == (count < FIRST)


def test_a_last_line_without_its_newline_gets_one() -> None:
    assert sampled([b'{"n":1}\n', b'{"n":2}'], []) == (b'{"n":1}\n{"n":2}\n', True)


def test_of_long_lines_no_more_is_taken_than_is_read_in_a_moment() -> None:
    line = b'{"n":"%s"}\n' % (b"x" * (1 << 20))
    text, is_whole = sampled([line] * 40, [5, 30])
    assert len(text) == 32 * len(line)
    assert not is_whole


@given(st.lists(st.integers(1, 3_000), max_size=10))
def test_events_that_come_in_parts_are_counted_through(parts: list[int]) -> None:
    taken = Taken()
    sample = LineSample(taken)
    number = 0
    for size in parts:
        lines = [str(number + i) for i in range(size)]
        sample.add_texts(lines, "\n".join(lines).encode())
        number += size
    sample.settle()
    expected = [n for n in range(number) if n < FIRST or n % EVERY == 0]
    assert list(map(int, taken.text.split())) == expected
    assert sample.is_whole == (len(expected) == number)


@given(st.lists(st.integers(1, 3_000), max_size=6))
def test_rows_are_counted_through(parts: list[int]) -> None:
    builder = ProfileBuilder([N])
    sample = RowSample(builder)
    number = 0
    for size in parts:
        batch = pa.record_batch({"n": range(number, number + size)})
        sample.add_schema(batch.schema)
        sample.add(batch)
        number += size
    expected = [n for n in range(number) if n < FIRST or n % EVERY == 0]
    assert builder.events == len(expected)
    assert sample.is_whole == (len(expected) == number)


def test_columns_of_a_table_are_names_whatever_is_in_them() -> None:
    user = pa.struct([("id", pa.int64()), ("tags", pa.list_(pa.struct([("k", pa.string())])))])
    schema = pa.schema([("n", pa.int64()), ("user", user), ("other", pa.null())])
    builder = ProfileBuilder([N])
    RowSample(builder).add_schema(schema)
    fields = builder.profile("s", is_complete=True).fields
    nested = [("user", "id"), ("user", "tags"), ("user", "tags", AnyElement.ANY)]
    assert set(fields) == {("n",), ("user",), ("other",), *nested, (*nested[-1], "k")}


def test_what_is_no_event_is_not_counted() -> None:
    builder = ProfileBuilder([N])
    builder.add_lines(b'{"n":1}\nnot json\n[1]\n\n{"n":"x"}\n{"m":null}\n')
    profile = builder.profile("s", is_complete=True)
    assert profile.events == 3
    counts = profile.counts(N)
    assert counts is not None
    assert dict(counts.kinds) == {Kind.NULL: 1, Kind.INT: 1, Kind.STRING: 1}
