"""The interpreter answers every conformance case; the parser reads back whatever is formatted."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mql.errors import QueryError
from mql.format import format_query
from mql.parser import parse
from mql.syntax import Query
from tests.cases import Case, load
from tests.conformance import check_by_interpreter
from tests.interpreter import interpret
from tests.strategies import queries, streams

CONFORMANCE = Path(__file__).resolve().parent.parent.parent / "shared" / "conformance"
FILES = ("reference.jsonl", "decided.jsonl", "mixed.jsonl")

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
    try:
        parse(text)
    except QueryError as error:
        assert error.line >= 1
        assert error.column >= 1
