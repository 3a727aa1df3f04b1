"""What holds for any query over any events: the invariants, each against generated ones."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import mql
from mql.engine import Input
from mql.errors import QueryError
from mql.language.format import format_query
from mql.language.syntax import Query
from mql.planner.bind import bind
from mql.planner.rules import optimize
from tests.oracle.cases import Event, Row, compare
from tests.oracle.drawn.events import streams
from tests.oracle.interpreter import interpret
from tests.oracle.strategies import queries

Streams = dict[str, list[Event]]

pytestmark = pytest.mark.timeout(1800)

thorough = settings(
    max_examples=int(os.environ.get("MQL_EXAMPLES", "50")),
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
    ],
)


def engine(
    text: str, inputs: dict[str, Input], *, time: str | None = None, optimized: bool = True
) -> list[list[Row]]:
    result = mql.run(text, inputs, time=time, start_ms=0, seed=1, optimized=optimized)
    return [window.rows() for window in result]


def questions(data: st.DataObject, *, in_order: bool = True) -> tuple[str, Streams]:
    """A query's text, and events for its sources."""
    query = data.draw(queries())
    events = data.draw(streams(query, in_order=in_order, extremes=False))
    text = format_query(query)
    note(text)
    note(json.dumps(events, ensure_ascii=False))
    return text, events


@thorough
@given(st.data())
def test_the_engine_answers_as_the_interpreter_does(data: st.DataObject) -> None:
    text, events = questions(data)
    try:
        expected = interpret(text, events)
    except NotImplementedError:  # a sample that leaves it to chance
        return
    got = engine(text, dict(events))
    assert compare(expected, got, ordered=True), f"expected {expected}\ngot      {got}"


@thorough
@given(st.data())
def test_rules_change_the_cost_and_never_the_answer(data: st.DataObject) -> None:
    text, events = questions(data, in_order=data.draw(st.booleans()))
    plain = engine(text, dict(events), optimized=False)
    assert compare(plain, engine(text, dict(events)), ordered=True)


@thorough
@given(st.data())
def test_rules_keep_the_columns(data: st.DataObject) -> None:
    query: Query = data.draw(queries(clock=True))
    try:
        plan = bind(query)
    except QueryError:
        return
    optimize(plan)  # asserts it after each rule


@settings(thorough, max_examples=max(1, thorough.max_examples * 2 // 5))  # each is many batches
@given(st.data())
def test_rows_do_not_depend_on_how_the_input_was_cut(data: st.DataObject) -> None:
    text, events = questions(data, in_order=data.draw(st.booleans()))
    lines = {
        name: [json.dumps({**event, "@t": time}).encode() + b"\n" for time, event in pairs]
        for name, pairs in events.items()
    }
    whole = {name: b"".join(each) for name, each in lines.items()}
    if not all(whole.values()):
        return
    cut = {name: _Dripping(each, data.draw(st.integers(1, 5))) for name, each in lines.items()}
    expected = engine(text, dict(whole), time="@t")
    assert compare(expected, engine(text, dict(cut), time="@t"), ordered=True)


class _Dripping:
    """A binary stream that gives a few lines at a time."""

    def __init__(self, lines: list[bytes], count: int) -> None:
        self._parts: Iterator[bytes] = (
            b"".join(lines[i : i + count]) for i in range(0, len(lines), count)
        )

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002 - the size is what it is
        return next(self._parts, b"")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("text", ["select a", "select count(*) window 1", "select * group by a"])
def test_no_events_are_an_answer_too(text: str) -> None:
    assert mql.run(text, {"stream": []}, start_ms=0).rows() is not None
