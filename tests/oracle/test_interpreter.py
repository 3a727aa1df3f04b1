"""The interpreter answers every conformance case; the parser reads back whatever is formatted."""

# ruff: noqa: SIM905 - a table of words is easier to read than a list of quoted ones

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mql.errors import QueryError
from mql.language.format import format_query
from mql.language.functions import FUNCTIONS
from mql.language.parser import parse
from mql.language.syntax import Query
from tests.conformance import check_by_interpreter
from tests.oracle.cases import Case, Event, Row, compare, load
from tests.oracle.drawn.events import streams
from tests.oracle.interpreter import interpret
from tests.oracle.strategies import queries

CONFORMANCE = Path(__file__).resolve().parents[3] / "shared" / "conformance"
FILES = (
    *("reference.jsonl", "decided.jsonl", "mixed.jsonl"),
    *("names/decided2.jsonl", "names/scalars.jsonl"),
)

PIECES = [
    *"""select from where window group by order limit sample having anomaly join on as and or not in
    between like is null true false distinct asc desc seconds filter count sum( p99( tick() count(*)
    mad des a nf.node e['a'] e["b"][0] [*] [^'p'] 'text' "it's" 1 -0.5 1e400 99999999999999999999
    9.5e-3 |3| 2.5% {'strategy':'RPS','threshold':1} {'a} /x.*/ /( == = != <> < >= ==~ ==+ + - * / %
    , ( ) [ ] ; && || ! ' " -- é""".split(),
    *("\\", "\n", "\x00", "\ud800", "\u00a0", "٣"),
]
"""What queries are made of, and what spoils them."""

slow_to_draw = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)


def cases(name: str) -> list[Case]:
    path = CONFORMANCE / name
    if not path.exists():
        pytest.skip(f"no conformance cases: {path} is missing")
    return [case for case in load(path) if case.expect_error is None]


@pytest.mark.parametrize("name", FILES)
def test_the_interpreter_answers_each_case(name: str) -> None:
    failures = [failure for failure in map(check_by_interpreter, cases(name)) if failure]
    assert not failures, "\n".join(failures)


DECISIONS: list[tuple[str, list[Row], list[Row]]] = [
    # Values
    ("select a where a == 1", [{"a": 1.0}, {"a": True}], [{"a": 1.0}]),
    (
        "select a where a == b",
        [{"a": [1, {"k": 2}], "b": [1.0, {"k": 2.0}]}, {"a": [1], "b": [True]}],
        [{"a": [1, {"k": 2}]}],
    ),
    ("select a where a < 9007199254740993", [{"a": 2.0**53}, {"a": 2**53 + 1}], [{"a": 2.0**53}]),
    ("select a, b", [{"a": 2**64, "b": float("nan")}], [{"a": 2.0**64}]),
    (
        "select a + 1 as 'x', a * a as 'y', -7 % 3 as 'z'",
        [{"a": 2**63 - 1}],
        [{"x": 2.0**63, "y": 2.0**126, "z": -1}],
    ),
    ("select a / 0 as 'x', 1e308 * 10 as 'y', true + 1 as 'z'", [{"a": 1}], [{}]),
    (
        "select a order by a",
        [{"a": [2]}, {"a": [10]}, {"a": {}}, {}],
        [{}, {"a": [10]}, {"a": [2]}, {"a": {}}],
    ),
    # Conditions
    (
        "select a where e['l'][*] between 2 and 3",
        [{"a": 1, "l": [1, 4]}, {"a": 2, "l": [3]}],
        [{"a": 2}],
    ),
    ("select a where e['l'][*] not in (1)", [{"a": 1, "l": [1, 2]}, {"a": 2, "l": []}], [{"a": 2}]),
    (
        "select a where e['l'][*]['k'] is null",
        [{"a": 1, "l": [{}]}, {"a": 2, "l": []}, {"a": 3}],
        [{"a": 1}],
    ),
    # Rows
    ("select *, e['l'][0]", [{"l": [1], "a": None}], [{"l": [1], "a": None}]),
    ("select *, a as 'b'", [{"a": 1, "b": 2}, {"b": 2}], [{"a": 1, "b": 1}, {"b": 2}]),
    ("select a as 'b', *", [{"a": 1, "b": 2}, {"a": 1}], [{"a": 1, "b": 2}, {"a": 1, "b": 1}]),
    ("select m, e['m']['a'] as 'x'", [{"m": {"a": 1}}], [{"m": {"a": 1}, "x": 1}]),
    (
        "select e['l'][0] order by e['l'][0]",
        [{"l": [2]}, {"l": [1]}],
        [{"l": {"0": 1}}, {"l": {"0": 2}}],
    ),
    # Aggregates
    (
        "select list(distinct a), count(distinct a)",
        [{"a": 1.0}, {"a": 1}, {"a": True}],
        [{"LIST(a)": [1.0, True], "COUNT(a)": 2}],
    ),
    (
        "select sum(a), stddev(b)",
        [{"a": 2**63 - 1, "b": 1}, {"a": 1}],
        [{"SUM(a)": 2.0**63, "STDDEV(b)": None}],
    ),
    (
        "select m, e['m']['a'], count(*)",
        [{"m": {"a": 1}}],
        [{"m": {"a": 1}, "m.a": 1, "COUNT(*)": 1}],
    ),
    ("select sum(a) , sum(b) as 'SUM(a)'", [{"a": 1}], [{"SUM(a)": 0}]),
    ("select count(*)  *  'a  b'", [{}], [{"count(*) * 'a  b'": None}]),
    ("select g group by g limit 2", [{"g": 1}, {"g": 2}, {"g": 1.0}], [{"g": 1}, {"g": 1.0}]),
    # Join and anomaly
    (
        "select count(*) anomaly mad e['COUNT(*)'] 1 0.5",
        [{}, {}],
        [{"COUNT(*)": 2, "anomalous": True}],
    ),
    (
        "select v anomaly des v 0.5 0.5 2",
        [{"v": v} for v in (1, 2, None, 4, 14)],
        [
            {"v": 1, "anomalous": False},
            {"v": 2, "anomalous": False},
            {"anomalous": False},
            {"v": 4, "anomalous": False, "expected": 3.0},
            {"v": 14, "anomalous": True, "expected": 4.75, "score": 9.25},
        ],
    ),
]


@pytest.mark.parametrize(("query", "events", "rows"), DECISIONS)
def test_what_the_cases_leave_open(query: str, events: list[Row], rows: list[Row]) -> None:
    got = interpret(query, {"stream": list(enumerate(events))})
    assert compare([rows], got, ordered=True), got


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_function_has_a_meaning_here(name: str) -> None:
    percent = ", 50" * FUNCTIONS[name].takes_percent
    ((row,),) = interpret(
        f"select {name}(a{percent}) as x", {"stream": [(0, {"a": 2}), (1, {"a": 2})]}
    )
    assert row["x"] is not None


def test_windows_reach_from_the_start_to_the_end() -> None:
    query = "select count(*) from stream window 1"
    inputs = {"stream": [(2500, Row())]}
    counts = [
        [row["COUNT(*)"] for row in window] for window in interpret(query, inputs, end_ms=4000)
    ]
    assert counts == [[0], [0], [1], [0]]
    assert len(interpret(query, inputs, start_ms=None)) == 1
    assert len(interpret(query, {}, end_ms=1500)) == 2
    assert interpret(query, {}, start_ms=None, end_ms=1500) == []


def test_a_scaled_count_is_scaled_in_expressions_too() -> None:
    sample = "sample {'strategy': 'RANDOM', 'threshold': 1, 'factor': 2, 'extrapolate': true}"
    query = f"select count(*) as 'n', sum(a) / 2 as 'half', max(a) as 'top' having n == 2 {sample}"
    inputs: dict[str, list[Event]] = {"stream": [(a, {"a": a}) for a in range(4)]}
    assert interpret(query, inputs, draw=lambda event: event["a"] in (1, 3)) == [
        [{"n": 4, "half": 4.0, "top": 3}]
    ]


@slow_to_draw
@given(queries(clock=True, wild=True))
def test_a_query_reads_back_as_the_same_query(query: Query) -> None:
    assert parse(format_query(query)) == query


@slow_to_draw
@given(st.data())
def test_no_event_makes_a_query_fail(data: st.DataObject) -> None:
    query = data.draw(queries(clock=True))
    inputs = data.draw(streams(query, in_order=data.draw(st.booleans())))
    windows = interpret(format_query(query), inputs)
    assert query.window or len(windows) == 1


@given(st.text() | st.lists(st.sampled_from(PIECES)).map(" ".join))
@example("select a where " + "not " * 5000 + "b")
@example("select a where " + "(" * 5000)
@example("select e['l'][" + "9" * 5000 + "]")
@example("select a limit " + "9" * 5000)
def test_any_text_is_a_query_or_a_query_error(text: str) -> None:
    with suppress(QueryError):
        parse(text)
