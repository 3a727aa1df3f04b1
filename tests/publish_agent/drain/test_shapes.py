"""A plan by shape is the plan of the text itself, and is made once for all of its shape."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mql.errors import QueryError
from mql.language.format import format_query
from mql.language.syntax import Query
from mql.planner.plan import plan
from publish_agent.drain.plan import agent_plan
from publish_agent.drain.plan import plan_shapes as shapes
from publish_agent.drain.plan.plan_shapes import plan_by_shape
from tests.oracle import strategies
from tests.publish_agent.support import Bench

slow_to_plan = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)

TEXTS = st.sampled_from(["", "a", "b", "u1", "/cart", "it is", "a == 'b'", "null", "5", "日", "%"])
PATHS = st.sampled_from(["a", "b", "e['c']['d']", 'e["x y"]', "e['l'][*]"])


@st.composite
def comparisons(draw: st.DrawFn) -> str:
    text = draw(TEXTS)
    quoted = f'"{text}"' if "'" in text or draw(st.booleans()) else f"'{text}'"
    return f"{draw(PATHS)} {draw(st.sampled_from(['==', '=', '!=', '<>']))} {quoted}"


OTHERS = st.sampled_from(["a > 1", "b in (1, 2)", "b is null", "true == true", "e['c']['d'] != 3"])
CONDITIONS = st.recursive(
    comparisons() | OTHERS,
    lambda inside: st.one_of(
        st.builds("({} and {})".format, inside, inside),
        st.builds("({} or {})".format, inside, inside),
        st.builds("not ({})".format, inside),
    ),
    max_leaves=8,
)
SELECTS = st.sampled_from(["*", "a, b", "e['c']['d'] as x"])


def expect(text: str) -> None:
    """The plan by shape is that of the text, or there is none where that has none."""
    try:
        made = plan(text, live=True).agent
    except QueryError:
        with pytest.raises(QueryError):
            agent_plan.planned(text, "")
        return
    by_shape = plan_by_shape(text)
    assert by_shape is None or (by_shape == made and repr(by_shape) == repr(made)), text
    assert agent_plan.planned(text, "") == (made, None)


@slow_to_plan
@given(SELECTS, CONDITIONS)
def test_the_plan_of_a_shape_is_that_of_each_text(select: str, where: str) -> None:
    expect(f"select {select} from s where {where}")


@slow_to_plan
@given(CONDITIONS, CONDITIONS)
def test_also_that_of_an_aggregate(condition: str, where: str) -> None:
    columns = f"count(*) as n, sum(a) filter (where {condition})"
    expect(f"select {columns}, b from s where {where} window 1 group by b")
    expect(f"select count(*) filter (where {condition}) from s window 1")


@slow_to_plan
@given(strategies.queries(wild=True))
def test_also_that_of_any_query(query: Query) -> None:
    expect(format_query(query))


@pytest.mark.parametrize(
    "text",
    [
        "select * from s where a == 'x'",
        "select * from s where a == 'x' or a = \"y\" or e['k'] != 'x'",
        "select sum(a) filter (where b == 'x') as n from s window 1",
    ],
)
def test_it_is_used(text: str) -> None:
    assert plan_by_shape(text) == plan(text, live=True).agent


@pytest.mark.parametrize(
    "text",
    [
        "select * from s where a > 1",
        "select * from s where a > 'x'",
        "select * from s where a <= 'x'",
        "select * from s where a in ('x', 'y')",
        "select * from s where a like 'x'",
        "select * from s where a ==+ 'x'",
        "select * from s where a == 'x' and b ==~ /'/",
        "select * from s where a == 'it\\'s'",
        "select * from 's' where a == 'x'",
        "select * from s -- it's\n where a == 'x'",
        "select * from s where a == 'x' sample {'random': 1}",
        "select * from s where a == '\ue0000\ue000'",
        "select sum(a) filter (where b == 'x') from s window 1 -- named after its text",
    ],
)
def test_other_texts_are_planned_by_themselves(text: str) -> None:
    assert plan_by_shape(text) is None


def test_equal_texts_stay_equal() -> None:
    text = "select * from s where a == '{}' or a == '{}' or b == '{}'"
    for texts in (("x", "x", "y"), ("x", "y", "y"), ("x", "y", "z"), ("x", "x", "x")):
        expect(text.format(*texts))


def test_what_is_wrong_is_said_of_the_text_itself() -> None:
    text = "select * from s where a == 'a long text' and and b == 'x'"
    with pytest.raises(QueryError) as by_itself:
        plan(text, live=True)
    with pytest.raises(QueryError) as by_shape:
        agent_plan.planned(text, "")
    assert str(by_shape.value) == str(by_itself.value)


def test_many_queries_of_a_shape_are_planned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = []

    def count(text: str, *, live: bool) -> object:
        planned.append(text)
        return plan(text, live=live)

    shapes._planned.cache_clear()
    agent_plan._known.cache_clear()
    monkeypatch.setattr(shapes, "plan", count)
    monkeypatch.setattr(agent_plan, "plan", count)
    bench = Bench()
    for number in range(1, 501):
        bench.subscribe(number, f"select a from s where user == 'u{number}'", tick=False)
    bench.tick()
    assert len(planned) == 1
    bench.publish(*({"user": f"u{number}", "a": number} for number in (7, 400, 501)))
    bench.settle()
    got = {number: [row["a"] for row in bench.got(number).rows] for number in (7, 8, 400)}
    assert got == {7: [7], 8: [], 400: [400]}
    assert len(planned) == 1
