"""No event and no byte of an input makes a query fail: each oddity has an answer, always the same.

The answers are those of the docstring of `mql.values.json_values`. They do not depend on what else
a query needs of an event, nor on whether the event comes as a dict or as a line.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import mql
from mql.engine import Input
from mql.result import Statistics
from mql.values.json_values import read_json

Event = dict[str, object]
Rows = list[dict[str, object]]

DEPTH = 1_000
MB = 1_000_000
AROUND = {"b": 1, "c": "x"}
"""What stands beside the odd value of an event."""

QUERIES = (
    "select *",
    "select a",
    "select b",
    "select count(*), count(a), count(b)",
    "select * where b == 1",
    "select a where b == 1",
    "select b where a != 'x'",
    "select e[^'a'], b",
    "select e[^'b'] where a == null",
    "select *, a as again",
    "select a, b group by a order by a",
    "select count(distinct a), list(a), first(a), last(a), max(a), min(a), sum(a), p50(a)",
    "select count(*), a group by a",
    "select b where e['a'][*] != 1",
    "select b where e['a'][0] == null and e['a']['k'] == null",
    "select b where a ==~ /.*/",
    "select b where a ==+ '1' or a like '%1%'",
    "select a + 1 as more",
    "select b sample {'strategy': 'STICKY', 'keys': ['a'], 'threshold': 5000}",
)
"""They need the whole event, or some of it, with and without a filter before."""


@dataclass(frozen=True)
class Lines:
    """Bytes, the events that they are, and the numbers of the lines that are none."""

    text: bytes
    events: list[Event]
    bad: tuple[int, ...] = ()


def one(value: str, read: object) -> Lines:
    """A line whose `a` is a value, and what that is read as."""
    return Lines(f'{{"a": {value}, "b": 1, "c": "x"}}\n'.encode(), [{"a": read, **AROUND}])


LINES = {
    "an integer of 64 bits": one("9223372036854775807", 2**63 - 1),
    "an integer beyond 64 bits": one("9223372036854775808", 2.0**63),
    "a negative integer beyond 64 bits": one("-9223372036854775809", -(2.0**63)),
    "an integer of 30 digits": one("9" * 30, 1e30),
    "an integer of 400 digits": one("9" * 400, None),
    "an integer of 5,000 digits": one("9" * 5_000, None),
    "an integer beyond 64 bits in a list": one("[18446744073709551616]", [2.0**64]),
    "an integer of 5,000 digits in an object": one('{"k": %s}' % ("9" * 5_000), {"k": None}),
    "a number of many digits": one("0." + "1" * 5_000, 1 / 9),
    "a number too large": one("1e400", None),
    "a number too small": one("1e-400", 0.0),
    "minus zero": one("-0.0", -0.0),
    "NaN": one("NaN", None),
    "infinities": one("[Infinity, -Infinity, NaN, 1]", [None, None, None, 1]),
    "a key that stands twice": one('1, "a": 2', 2),
    "a key that stands twice, of two kinds": one('1, "a": "two"', "two"),
    "a key that stands twice below": one('{"k": [1], "k": {}}', {"k": {}}),
    "a lone surrogate": one(r'"x\ud800y"', "x\ufffdy"),
    "a surrogate pair": one(r'"\ud83d\ude00"', "\U0001f600"),
    "surrogates the wrong way round": one(r'"\ude00\ud83d"', "\ufffd\ufffd"),
    "a lone surrogate in a key": one(r'{"k\ud800": "\udfff"}', {"k\ufffd": "\ufffd"}),
    "NUL in a text": one(r'"x\u0000y"', "x\0y"),
    "NUL in a key": one(r'{"\u0000": 1}', {"\0": 1}),
    "an empty key": one('{"": 1}', {"": 1}),
    "line separators in a text": one('"x\u2028y\u0085z"', "x\u2028y\u0085z"),
    "empty containers": one('[{}, [], [[]], {"k": {}}]', [{}, [], [[]], {"k": {}}]),
    "invalid UTF-8": Lines(b'{"a": "x\xffy\xc3", "b": 1}\n', [{"a": "x\ufffdy\ufffd", "b": 1}]),
    "invalid UTF-8 in a key": Lines(b'{"a\xff": 1, "b": 1}\n', [{"a\ufffd": 1, "b": 1}]),
    "invalid UTF-8 outside of texts": Lines(b'{"b": 1}\n{"b": \xff}\n', [{"b": 1}], (2,)),
    "an overlong sequence": Lines(b'{"a": "\xc0\x80"}\n', [{"a": "\ufffd\ufffd"}]),
    "a byte order mark": Lines(b'\xef\xbb\xbf{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
    "CRLF": Lines(
        b'{"a": 1, "b": 1}\r\n{"a": 2, "b": 2}\r\n', [{"a": 1, "b": 1}, {"a": 2, "b": 2}]
    ),
    "blank lines": Lines(b'\n\n{"b": 1}\n \t\r\n{"b": 2}\n\n', [{"b": 1}, {"b": 2}]),
    "no newline at the end": Lines(b'{"b": 1}\n{"b": 2}', [{"b": 1}, {"b": 2}]),
    "blanks around": Lines(b' {"b": 1}\t\n\t{ "b" : 1 } \n', [{"b": 1}, {"b": 1}]),
    "an empty file": Lines(b"", []),
    "nothing but newlines": Lines(b"\n\r\n \n", []),
    "an empty object": Lines(b"{}\n", [{}]),
    "JSON that is no object": Lines(
        b'{"b": 1}\n[1]\n5\nnull\n"x"\n{}\n', [{"b": 1}, {}], (2, 3, 4, 5)
    ),
    "no JSON": Lines(b'garbage\n{"b": 1}\n{"b": 1,}\n{b: 1}\n', [{"b": 1}], (1, 3, 4)),
    "numbers that are none": Lines(
        b'{"a": 01}\n{"a": 1.}\n{"a": +1}\n{"a": .5}\n', [], (1, 2, 3, 4)
    ),
    "a line that breaks off": Lines(b'{"b": 1}\n{"b": ', [{"b": 1}], (2,)),
    "an object over two lines": Lines(b'{"a": 1,\n"b": 1}\n{"b": 2}\n', [{"b": 2}], (1, 2)),
    "two objects on a line": Lines(b'{"b": 1}{"b": 2}\n{"b": 3} {"b": 4}\n', [], (1, 2)),
    "two objects on a line, and a blank one": Lines(b'\n{"b": 1}{"b": 2}\n', [], (2,)),
    "an object over two lines, and two on one": Lines(
        b'{"a": 1,\n"b": 1}\n{"b": 2}{"b": 3}\n{"b": 4}\n', [{"b": 4}], (1, 2, 3)
    ),
    "an object over two lines, and a blank one": Lines(
        b'{"a":\n1}\n\n{"b": 4}\n', [{"b": 4}], (1, 2)
    ),
    "something after the object": Lines(b'{"b": 1},\n{"b": 1} x\n{"b": 2}\n', [{"b": 2}], (1, 2)),
    "control characters": Lines(
        b'{"a": "x\x01"}\n\x00\n{"b": 2}\n\x0c{"b": 1}\n', [{"b": 2}], (1, 2, 4)
    ),
    "a carriage return alone": Lines(b'{"b": 1}\r{"b": 2}\r', [], (1,)),
    "types that change": Lines(
        b'{"a": 200}\n{"a": "200"}\n{"a": 2e2}\n{"a": true}\n{"a": null}\n'
        b'{}\n{"a": [1]}\n{"a": {"k": 1}}\n',
        [{"a": a} for a in (200, "200", 200.0, True, None)] + [{}, {"a": [1]}, {"a": {"k": 1}}],
    ),
    "many keys": Lines(
        json.dumps({f"k{i}": i for i in range(20_000)} | {"b": 1}).encode(),
        [{f"k{i}": i for i in range(20_000)} | {"b": 1}],
    ),
    "a key without end": Lines(json.dumps({"k" * MB: 1, "b": 1}).encode(), [{"k" * MB: 1, "b": 1}]),
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_is_what_the_documentation_says(name: str) -> None:
    lines = LINES[name]
    everything, counted = answer("select *", lines.text)
    assert exactly(everything) == exactly(lines.events)
    assert counted.events == len(lines.events)
    assert counted.bad_lines == len(lines.bad)
    assert counted.first_bad_line == (lines.bad[0] if lines.bad else None)


@pytest.mark.parametrize("name", LINES)
def test_the_answer_is_the_same_whatever_a_query_needs(name: str) -> None:
    lines = LINES[name]
    for query in QUERIES:
        expected, _ = answer(query, lines.events)
        got, counted = answer(query, lines.text)
        assert exactly(got) == exactly(expected), query
        assert (counted.events, counted.bad_lines) == (len(lines.events), len(lines.bad)), query
        assert counted.first_bad_line == (lines.bad[0] if lines.bad else None), query


@pytest.mark.parametrize("name", LINES)
def test_a_whole_event_leaves_as_one_line_of_json(name: str) -> None:
    lines = LINES[name]
    text = b"".join(chunk.json_lines() for chunk in run("select *", lines.text).chunks())
    assert text.count(b"\n") == len(lines.events)
    for line in text.decode().split("\n")[:-1]:
        assert isinstance(json.loads(line, parse_int=float), dict)


def test_a_strict_run_stops_at_the_first_bad_line() -> None:
    result = mql.run("select b", {"stream": LINES["no JSON"].text}, strict=True)
    with pytest.raises(mql.InputError, match=r"^line 1 is not a JSON object: "):
        result.rows()


class Color(enum.Enum):
    RED = "red"


class Number(int):
    pass


class Text(str):
    __slots__ = ()


class Speechless:
    """An object that cannot even be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


VALUES: dict[str, tuple[object, object]] = {
    "a datetime": (dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "2020-01-02T03:04:05Z"),
    "a date": (dt.date(2020, 1, 2), "2020-01-02"),
    "a Decimal": (decimal.Decimal("1.50"), "1.50"),
    "bytes": (b"x\xff", "eP8="),
    "a set": ({1}, [1]),
    "a tuple": ((1, "x", (2.0,)), [1, "x", [2.0]]),
    "a tuple in a list": ([(1, 2), {"k": (3,)}], [[1, 2], {"k": [3]}]),
    "a UUID": (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "an enum": (Color.RED, "red"),
    "a kind of int": (Number(5), 5),
    "a kind of str": (Text("x"), "x"),
    "kinds of int in a list": ([Number(5), Text("x")], [5, "x"]),
    "a function": (len, "<built-in function len>"),
    "an integer beyond 64 bits": (2**64, 2.0**64),
    "an integer beyond doubles": (10**400, None),
    "an integer of 5,000 digits": (10**5_000, None),
    "large integers in a list": ([2**64, 10**400, 10**5_000], [2.0**64, None, None]),
    "NaN": (float("nan"), None),
    "infinities in a list": ([float("inf"), -float("inf")], [None, None]),
    "a lone surrogate": ("x\ud800y", "x\ufffdy"),
    "a surrogate pair": ("\ud83d\ude00", "\U0001f600"),
    "a lone surrogate in a key": ({"k\ud800": 1}, {"k\ufffd": 1}),
    "keys that are no texts": ({1: 2, None: 3, (4, 5): 6}, {"1": 2, "None": 3, "(4, 5)": 6}),
    "what cannot be printed": (Speechless(), "<Speechless>"),
    "what cannot be printed, in a list": ([Speechless()], ["<Speechless>"]),
    "a key that cannot be printed": ({Speechless(): 1}, {"<Speechless>": 1}),
    "a numpy float": (np.float64(1.5), 1.5),
    "a numpy NaN": (np.float64("nan"), None),
    "numpy floats in a list": ([np.float64(1.5), np.float64("nan")], [1.5, None]),
    "a numpy text": (np.str_("x"), "x"),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_python_value_is_what_the_documentation_says(name: str) -> None:
    check_value(*VALUES[name])


@pytest.mark.parametrize(
    ("given_value", "read"),
    [
        (np.int64(5), 5),
        (np.uint64(2**64 - 1), 2.0**64),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        ([np.int64(5)], [5]),
    ],
    ids=repr,
)
def test_a_numpy_number_is_the_number_it_holds(given_value: object, read: object) -> None:
    check_value(given_value, read)


def check_value(value: object, read: object) -> None:
    """A value of a dict is read as something, whatever the query."""
    event: Event = {"a": value, **AROUND}
    plain: Event = {"a": read, **AROUND}
    assert exactly(answer("select *", [event])[0]) == exactly([plain])
    for query in QUERIES:
        assert exactly(answer(query, [event])[0]) == exactly(answer(query, [plain])[0]), query


ring: list[object] = []
ring.append(ring)


@pytest.mark.parametrize("value", [ring, {"k": ring}], ids=["a list", "in an object"])
def test_a_dict_that_holds_itself_is_no_event_whatever_a_query_needs(value: object) -> None:
    events: list[Event] = [{"a": 1, "b": 1}, {"a": value, "b": 1}, {"a": 2, "b": 1}]
    for query in QUERIES:
        rows, counted = answer(query, events)
        assert (counted.events, counted.bad_lines, counted.first_bad_line) == (2, 1, 2), query
        assert exactly(rows) == exactly(answer(query, [events[0], events[2]])[0]), query


def test_a_key_of_an_event_is_its_text() -> None:
    event = {1: 2, None: 3, "b": 1}
    assert answer("select *", [event])[0] == [{"1": 2, "None": 3, "b": 1}]
    assert answer("select e[^'1'], b", [event])[0] == [{"1": 2, "b": 1}]
    assert answer("select e['1'], b", [event])[0] == [{"1": 2, "b": 1}]


def test_what_is_no_event_is_counted() -> None:
    events = [{"b": 1}, 5, None, [1], (1, 2, 3), {"b": 2}]
    for query in QUERIES:
        _, counted = answer(query, events)
        assert (counted.events, counted.bad_lines, counted.first_bad_line) == (2, 4, 2), query
    pairs = [(0, {"b": 1}), {"b": 2}, (None, {"b": 3}), ("0", {"b": 4}), (0, 5), (1, {"b": 6})]
    rows, counted = answer("select b", pairs)
    assert rows == [{"b": 1}, {"b": 6}]
    assert (counted.events, counted.bad_lines, counted.first_bad_line) == (2, 4, 2)


@pytest.mark.parametrize("time", [True, 2**63, -(2**63) - 1, 10**30, 1.5, float("nan")], ids=repr)
def test_a_time_that_is_none_is_counted(time: object) -> None:
    for query in ("select count(*) window 1", "select b", "select * where b == 1"):
        _, counted = answer(query, [(0, {"b": 1}), (time, {"b": 1}), (1, {"b": 1})])
        assert counted.bad_lines + counted.without_time == 1, query


@pytest.mark.parametrize("text", ['""', '"x"', "9" * 20, "true", "[1]", "1e400", "-1e30", "NaN"])
def test_an_event_without_a_time_is_counted(text: str) -> None:
    times = ("1700000000000", text, "null", "1700000000001")
    lines = "".join(f'{{"t": {time}}}\n' for time in times)
    result = mql.run("select count(*) window 1", {"stream": lines.encode()}, time="t")
    assert result.rows() == [{"COUNT(*)": 2}]
    assert result.statistics.without_time == 2


def nested(kind: type, depth: int = DEPTH) -> object:
    """A value inside so many lists or objects."""
    value: object = 1
    for _ in range(depth):
        value = [value] if kind is list else {"k": value}
    return value


def nested_line(kind: type, depth: int = DEPTH) -> bytes:
    """The same as JSON, in an event."""
    left, right = (b"[", b"]") if kind is list else (b'{"k":', b"}")
    return b'{"a": ' + left * depth + b"1" + right * depth + b', "b": 1}\n'


@pytest.mark.parametrize("kind", [list, dict])
@pytest.mark.parametrize("query", QUERIES)
def test_an_event_may_be_nested_a_thousand_levels_deep(query: str, kind: type) -> None:
    from_dict, _ = answer(query, [{"a": nested(kind), "b": 1}])
    from_line, counted = answer(query, nested_line(kind))
    assert counted.bad_lines == 0
    assert flat(from_dict) == flat(from_line)
    if query == "select a":
        assert flat(from_line) == flat([{"a": nested(kind)}])


@pytest.mark.parametrize("kind", [list, dict])
def test_a_deep_value_leaves_as_a_table_too(kind: type) -> None:
    result = run("select a, b", nested_line(kind))
    table = result.to_table()
    assert table.num_rows == 1
    assert table["b"].to_pylist() == [1]
    assert "b" in repr(result)
    assert result._repr_html_()


@pytest.mark.parametrize("kind", [list, dict])
@pytest.mark.parametrize("depth", [20_000, 300_000])
def test_what_is_nested_too_deeply_counts_as_no_json(kind: type, depth: int) -> None:
    text = b'{"b": 1}\n' + nested_line(kind, depth) + b'{"b": 2}\n'
    for query in QUERIES:
        _, counted = answer(query, text)
        assert (counted.events, counted.bad_lines, counted.first_bad_line) == (2, 1, 2), query


@pytest.mark.parametrize("query", QUERIES)
def test_a_dict_nested_too_deeply_is_counted_too(query: str) -> None:
    _, counted = answer(query, [{"b": 1}, {"a": nested(list, 20_000), "b": 1}])
    assert (counted.events, counted.bad_lines, counted.first_bad_line) == (1, 1, 2)


def test_a_text_may_be_ten_megabytes_long() -> None:
    text = "é" * (5 * MB)
    events: list[Event] = [{"a": text, "b": 1}, {"a": 1, "b": 1}]
    lines = "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events).encode()
    for inputs in (events, lines):
        assert answer("select a", inputs)[0] == [{"a": text}, {"a": 1}]
        assert answer("select * where b == 1", inputs)[0] == events
        assert answer("select b where a ==~ /é*/", inputs)[0] == [{"b": 1}]
        assert answer("select count(*), a group by a", inputs)[0][0] == {"COUNT(*)": 1, "a": text}


def test_sums_and_averages_beyond_a_double_are_null() -> None:
    events: list[dict[str, object]] = [{"a": 1e308}, {"a": 1e308}]
    result = mql.run("select sum(a) as s, average(a) as m, count(a) as n from s", {"s": events})
    assert result.rows() == [{"s": None, "m": None, "n": 2}]


def test_a_line_longer_than_the_limit_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "long.ndjson"
    with path.open("wb") as file:
        file.write(b'{"b": 1}\n{"a": "')
        for _ in range(270):
            file.write(b"x" * (1 << 20))
        file.write(b'", "b": 2}\n{"b": 3}\n')
    result = run("select b", path)
    assert result.rows() == [{"b": 1}, {"b": 3}]
    assert (result.statistics.bad_lines, result.statistics.first_bad_line) == (1, 2)


FRAGMENTS = [
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b"\n",
        b"\r\n",
        b" ",
        b"\\",
        b"1",
        b"-",
        b"e9",
        b".",
    ),
    *(b'{"a": 1}', b'{"a": 1, "b": 1}', b'{"b": "x"}\n', b'"a":', b'"b": 1', b"null", b"NaN"),
    *(b'{"a": {"k": [1, "x"]}, "b": 1}', b"\\ud800", b"\xff", b"\xef\xbb\xbf", b"\x00", b"9" * 25),
    *('"é"'.encode(), b"\xe2\x80\xa8", b"1e400", b"{}", b"\x0c", b"\x85"),
]

any_bytes = st.binary(max_size=60) | st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(b"".join)


@settings(deadline=None, max_examples=30)
@given(any_bytes)
@example(b'\n{"a":1}{"b":1}\n')
@example(b'{"a": 1,\n"b": 1}\n{"b": 2}{"b": 3}\n')
@example(b' {"b": 1}\n{"b": 1}\r\n')
@example(b"\x0b\n\x0c\n\x1c\n\x85\n\xe2\x80\xa8\n")
def test_every_line_is_an_event_or_counted_as_none(text: bytes) -> None:
    assume(not text.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")))  # compressed, they say
    read = text.removeprefix(b"\xef\xbb\xbf")  # a byte order mark
    filled = sum(1 for line in read.split(b"\n") if line.strip())
    counts = set()
    for query in QUERIES:
        rows, counted = answer(query, text)
        assert counted.events + counted.bad_lines == filled, query
        assert (counted.first_bad_line is None) == (counted.bad_lines == 0), query
        counts.add((counted.events, counted.first_bad_line))
        if query == "select *":
            assert len(rows) == counted.events
    assert len(counts) == 1


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from([b'{"b": 1, "a": %d}' % i for i in range(9)] + [b"", b"x", b" "])))
def test_good_lines_among_bad_ones_are_all_read(lines: list[bytes]) -> None:
    good = [json.loads(line) for line in lines if line.startswith(b"{")]
    for query in QUERIES:
        assert answer(query, b"\n".join(lines))[0] == answer(query, good)[0], query


def run(query: str, inputs: Input) -> mql.Result:
    return mql.run(query, {"stream": inputs})


def answer(query: str, inputs: Input) -> tuple[Rows, Statistics]:
    """The rows, and what was counted. Two ways to read an answer tell the same."""
    result = run(query, inputs if isinstance(inputs, bytes) else list(inputs))  # type: ignore[call-overload]
    return result.rows(), result.statistics


def exactly(rows: Sequence[object]) -> str:
    """A text that differs for whatever differs: 1, 1.0 and true, keys in another order, too."""
    return "\n".join(json.dumps(row) for row in rows)


def flat(rows: object) -> str:
    """The same for values too deep for `json`."""
    out: list[str] = []
    left: list[object] = [rows]
    while left:
        value = left.pop()
        match value:
            case dict():
                out.append("{" + ",".join(map(repr, value)))
                left += value.values()
            case list():
                out.append(f"[{len(value)}")
                left += value
            case _:
                out.append(repr(value))
    return " ".join(out)


@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("number", [2**63 - 1, 2**63, 2**64, 10**18, 10**19])
def test_large_integers_are_found_in_a_long_text_wherever_they_are(
    number: int, before: int
) -> None:
    text = " " * before + json.dumps([number, "x1" * 2_000])
    for at_the_end in (text, json.dumps(["x1" * 2_000 + "y" * before, number])):
        read = read_json(at_the_end)
        assert isinstance(read, list)
        (found,) = (value for value in read if not isinstance(value, str))
        assert found == number
        assert isinstance(found, int) is (number < 2**63)


def test_a_line_that_is_deeper_than_any_stack_is_counted_under_any_recursion_limit() -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        for line in (nested_line(list, 90_000), b'{"a": ' + b"[" * 90_000 + b"\n"):
            for query in (
                "select a",
                "select *",
                "select e[^'a']",
                "select b where e['a'][0] == 1",
            ):
                rows, counted = answer(query, line + b'{"a": 1, "b": 1}\n')
                assert (len(rows), counted.bad_lines) == (query[-1] != "1", 1), query
    finally:
        sys.setrecursionlimit(limit)
