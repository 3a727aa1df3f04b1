"""Wherever a call may stand, and whatever an event holds, there is an answer."""

from __future__ import annotations

import json

import pytest

import mql
from mql.language.scalars import SCALARS

CALLS = [
    *(f"{name}(a)" for name in SCALARS if name not in ("substring", "extract")),
    *(
        "substring(a, 2)",
        "substring(a, a, n)",
        "extract(a, /(.)?$/)",
        "round(a, 2)",
        "round(a, -2)",
    ),
    *("coalesce(a, b, 1)", "if(a > 1, b, a)", "if(lower(a) == 'x', number(a), upper(text(a)))"),
]
DEEP = "[" * 3_000 + "]" * 3_000
ODD: list[object] = ["\ud800", "a\udfffb", 2**70, -(10**400), float("nan"), [[1, [2]]], {"a": {}}]
LINES = [
    *(rf'{{"n": 1, "a": {value}, "b": "x"}}' for value in (r'"\ud800"', "1e999", 10**30, DEEP)),
    *(
        f'{{"n": 1, "a": {value}}}'
        for value in ('"\u00df"', "-0", "[NaN]", '{"a": 1, "a": 2}', "{}")
    ),
]


@pytest.mark.parametrize("call", CALLS)
def test_nothing_that_an_event_holds_is_an_error(call: str) -> None:
    events = [{"n": n, "a": value, "b": value} for n, value in enumerate(ODD)]
    text = "\n".join(LINES).encode("utf-8", "surrogatepass")
    for source in (events, text, [], [events[0]], b""):
        queries = (
            f"select {call} as v, n where {call} != 17",
            f"select n where not ({call} < 1 or {call} ==~ /x.*/ or {call} in (1, 'x'))",
            f"select count({call}) as n, max({call}) as m having count({call}) >= 0",
            f"select n, {call} as v order by {call} desc, v",
            f"select count(*) as n, {call} as v group by v",
        )
        for query in queries:
            mql.run(query, {"stream": source}).rows()


def found(where: str, *events: dict[str, object]) -> list[object]:
    text = "".join(json.dumps({"n": n, **event}) + "\n" for n, event in enumerate(events)).encode()
    rows = mql.run(f"select n where {where}", {"stream": text}).rows()
    assert mql.run(f"select n where {where}", {"stream": text}, optimized=False).rows() == rows
    return [row["n"] for row in rows]


def test_a_call_stands_beside_any_element() -> None:
    events = [{"l": [1, 2], "s": "2"}, {"l": ["2"], "s": "2"}, {"l": [], "s": "2"}, {"l": [3]}]
    assert found("e['l'][*] == number(s)", *events) == [0]
    assert found("e['l'][*] == if(s == '2', s, null)", *events) == [1]
    assert found("e['l'][*] + 1 == coalesce(number(s), 4)", *events) == [0, 3]


def test_conditions_inside_and_around_a_choice() -> None:
    events = [{"a": "X", "b": 1}, {"a": "x", "b": "1"}, {"a": 5}, {}]
    assert found("if(b is null, a, lower(a)) == 'x' or a == 5", *events) == [0, 1, 2]
    assert found("not (lower(a) == 'x')", *events) == [2, 3]
    assert found("lower(a) == 'x' and number(b) between 1 and 2", *events) == [0, 1]
    assert found("number(b) is null", *events) == [2, 3]
    assert found("length(a) in (1, null)", *events) == [0, 1, 2, 3]
