"""Each function gives, value by value, what plain Python gives, whatever the column is made of."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mql.columnar.build import column_of
from mql.columnar.read import to_python
from mql.exec.expressions.scalars.table import KERNELS
from mql.language.scalars import SCALARS
from tests.mql.exec.scalars.evaluation import evaluate, same
from tests.mql.exec.scalars.model import FUNCTIONS, NASTY
from tests.oracle.drawn.events import values

pytestmark = pytest.mark.timeout(1800)

thorough = settings(
    max_examples=int(os.environ.get("MQL_EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

KINDS: dict[str, Callable[[object], bool]] = {
    "texts": lambda v: isinstance(v, str),
    "texts of ASCII": lambda v: isinstance(v, str) and v.isascii(),
    "texts and nulls": lambda v: v is None or isinstance(v, str),
    "integers": lambda v: type(v) is int,
    "doubles": lambda v: type(v) is float,
    "doubles and nulls": lambda v: v is None or type(v) is float,
    "numbers": lambda v: type(v) in (int, float),
    "booleans": lambda v: type(v) is bool,
    "nulls": lambda v: v is None,
    "lists and objects": lambda v: isinstance(v, list | dict),
    "all": lambda _: True,
}
UNARY = [name for name, function in SCALARS.items() if function.takes(1) and name != "extract"]
PLACES = [-(2**63), -5, -1, 0, 1, 2, 3, 7, 2**63 - 1]
DIGITS = [0, 1, 2, 3, 15, 16, 17, 22, 23, 300, 324, 400, -1, -2, -3, -17, -18, -19, -20, -308, -400]


def test_each_function_of_the_language_is_computed_and_no_other() -> None:
    assert set(KERNELS) == set(SCALARS)


@pytest.mark.parametrize("function", UNARY)
@pytest.mark.parametrize("kind", KINDS)
def test_a_function_gives_what_python_gives(function: str, kind: str) -> None:
    some = [value for value in NASTY if KINDS[kind](value)]
    made = evaluate(f"{function}(a)", {"a": some})
    for value, got in zip(some, made, strict=True):
        assert same(got, FUNCTIONS[function](value)), (value, got)


@pytest.mark.parametrize("kind", ["doubles", "integers", "all"])
@pytest.mark.parametrize("digits", DIGITS)
def test_digits_are_those_of_the_shortest_decimal_text(kind: str, digits: int) -> None:
    some = [value for value in NASTY if KINDS[kind](value)]
    made = evaluate(f"round(a, {digits})", {"a": some})
    for value, got in zip(some, made, strict=True):
        assert same(got, FUNCTIONS["round"](value, digits)), (value, got)


@pytest.mark.parametrize("kind", ["texts of ASCII", "texts and nulls", "all"])
@pytest.mark.parametrize("length", [None, *PLACES])
def test_a_substring_has_the_code_points_that_exist(kind: str, length: int | None) -> None:
    some = [value for value in NASTY if KINDS[kind](value)]
    for first in PLACES:
        rest = [] if length is None else [length]
        arguments = ", ".join(map(str, [first, *rest]))
        made = evaluate(f"substring(a, {arguments})", {"a": some})
        for value, got in zip(some, made, strict=True):
            assert same(got, FUNCTIONS["substring"](value, first, *rest)), (value, first, got)


@pytest.mark.parametrize("kind", ["texts of ASCII", "all"])
def test_the_places_of_a_substring_may_be_of_the_event(kind: str) -> None:
    places = [*PLACES, 1.0, 2.5, -0.0, "1", None, True, [1]]
    texts = [value for value in NASTY if KINDS[kind](value)][:30]
    rows = list(product(texts, places, places))
    columns = dict(zip("abc", map(list, zip(*rows, strict=True)), strict=True))
    made = evaluate("substring(a, b, c)", columns)
    for row, got in zip(rows, made, strict=True):
        assert same(got, FUNCTIONS["substring"](*row)), row
    made = evaluate("substring(a, b)", columns)
    for row, got in zip(rows, made, strict=True):
        assert same(got, FUNCTIONS["substring"](*row[:2])), row


@pytest.mark.parametrize("left", KINDS)
@pytest.mark.parametrize("right", KINDS)
def test_the_first_that_is_not_null_may_be_of_any_kind(left: str, right: str) -> None:
    a = [value if KINDS[left](value) else None for value in NASTY]
    b = [value if KINDS[right](value) else None for value in reversed(NASTY)]
    made = evaluate("coalesce(a, b, 'none')", {"a": a, "b": b})
    expected = [FUNCTIONS["coalesce"](*pair, "none") for pair in zip(a, b, strict=True)]
    assert same(made, expected)
    made = evaluate("if(n > 50, a, b)", {"a": a, "b": b, "n": list(range(len(a)))})
    assert same(made, [x if n > 50 else y for n, (x, y) in enumerate(zip(a, b, strict=True))])


def many(kind: str) -> SearchStrategy[list[object]]:
    odd = st.text(max_size=6) | st.sampled_from(NASTY) | st.floats(allow_nan=False)
    return st.lists((values() | odd).filter(KINDS[kind]), max_size=12)


@thorough
@given(st.data(), st.sampled_from(UNARY), st.sampled_from([*KINDS]))
def test_whatever_the_values_are(data: st.DataObject, function: str, kind: str) -> None:
    column = column_of(data.draw(many(kind)))  # after that integers are of 64 bits
    made = evaluate(f"{function}(a)", {"a": to_python(column)})
    assert same(made, [FUNCTIONS[function](value) for value in to_python(column)])


numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1)
halves = st.tuples(st.integers(-(10**17), 10**17), st.integers(0, 25)).map(
    lambda drawn: float(f"{drawn[0]}5e-{drawn[1]}")
)


@thorough
@given(
    st.lists(numbers | halves | st.floats(-1000, 1000), min_size=1, max_size=30),
    st.integers(-25, 25) | st.integers(-400, 400),
)
@example([1.005, 2.675, 1.45, 8.5e-5, 0.285, 1.0049999999999999], 2)
@example([4.35, 4.349999999999999], 1)
@example([99999999999999.95, 99999999999999.85], 1)
def test_digits_of_any_number(some: list[object], digits: int) -> None:
    made = evaluate(f"round(a, {digits})", {"a": some})
    assert same(made, [FUNCTIONS["round"](value, digits) for value in some])


@thorough
@given(st.lists(st.from_regex(r"\A[ \t]?-?[0-9]{1,21}(\.[0-9]{0,20})?([eE][-+]?[0-9]{1,3})?\Z")))
def test_texts_that_look_like_numbers(some: list[str]) -> None:
    made = evaluate("number(a)", {"a": some})
    assert same(made, [FUNCTIONS["number"](value) for value in some])


@pytest.mark.parametrize(
    "text",
    ["1" * 10**6, "0." + "1" * 10**6, "1e" + "9" * 10**6, " " * 10**6 + "1", "1" * 10**6 + "x"],
    ids=["digits", "fraction", "exponent", "blanks", "no number"],
)
@pytest.mark.timeout(5)
def test_a_text_of_a_million_characters_takes_no_time(text: str) -> None:
    expected = {"0": 0.1111111111111111, " ": 1}.get(text[0])
    assert evaluate("number(a)", {"a": [text, 5]}) == [expected, 5]
    assert evaluate("number(a)", {"a": [text, text]}) == [expected] * 2
