"""`extract` gives the first group of the first match, whatever else a pattern holds."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mql.columnar.build import column_of
from mql.exec.expressions.scalars.extract import extract
from mql.language.regex import first_group, problem_with
from tests.mql.exec.scalars.evaluation import evaluate
from tests.mql.exec.scalars.model import NASTY

pytestmark = pytest.mark.timeout(1800)

thorough = settings(
    max_examples=int(os.environ.get("MQL_EXAMPLES", "200")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

TEXTS = [
    "",
    "a",
    "b",
    "ab",
    "xaab",
    "(a)",
    "a)b",
    "[a]",
    "aé😀b",
    "two\nlines",
    "\\",
    "a\\Qb",
    None,
]


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("b", "ab", "b"),
        ("", "ab", ""),
        ("x*", "ab", ""),
        ("(a)?b", "b", None),
        ("(a*)b", "b", ""),
        ("a|(b)", "ab", None),
        ("a|(b)", "b", "b"),
        ("(a)|(b)", "b", None),
        ("(?:a)(b)(c)", "abc", "b"),
        ("((a)b)", "xab", "ab"),
        ("(?P<n>a)(?P<m>b)", "ab", "a"),
        ("(?i)(A)", "a", "a"),
        ("(?i:A)b", "ab", "ab"),
        ("(?i)a(B)c", "ABC", "B"),
        (r"\(a", "(a", "(a"),
        (r"\(\((a)", "((a", "a"),
        ("[(](a)", "(a", "a"),
        ("[](](a)", "(a", "a"),
        ("[^](](a)", "xa", "a"),
        (r"[\](](a)", "(a", "a"),
        ("[[:alpha:](](a)", "(a", "a"),
        (r"\Q(a\E(b)", "(ab", "b"),
        (r"\Q(?:\E(b)", "(?:b", "b"),
        (r"\\(a)", r"\a", "a"),
        (r"\pL(\d)", "é1", "1"),
        (r"\x28(a)", "(a", "a"),
        ("é(.)", "aé😀b", "😀"),
        ("(?s)o(.*)l", "two\nlines", "\n"),
        ("o(.*)l", "two\nlines", None),
        ("^l", "two\nlines", None),
        ("(?m)^l", "two\nlines", "l"),
        ("$", "a", ""),
    ],
)
def test_the_first_group_is_found_by_its_parenthesis(
    pattern: str, text: str, found: str | None
) -> None:
    assert problem_with(pattern) is None
    column = column_of([text, None, text])
    assert extract(column, pattern).to_pylist() == [found, None, found]


def test_in_a_query_a_slash_is_escaped() -> None:
    made = evaluate(r"extract(a, /(\d+)\/(\d+)/)", {"a": ["1 7/12", "7", 7, None]})
    assert made == ["7", None, None, None]


def test_only_texts_are_searched() -> None:
    made = evaluate("extract(a, /.*/)", {"a": NASTY})
    expected = [re.search(".*", v)[0] if isinstance(v, str) else None for v in NASTY]  # type: ignore[index]
    assert made == expected
    assert evaluate("extract(a, /x/)", {"a": [1, None, [1]]}) == [None] * 3
    assert evaluate("extract('axb', /x(b)/)", {"a": [1, 2]}) == ["b", "b"]


@dataclass(frozen=True)
class Pattern:
    """The same pattern as RE2 and as Python write it, and whether it may match nothing."""

    re2: str
    python: str
    is_nullable: bool = False


def atoms() -> SearchStrategy[Pattern]:
    both = ["a", "b", r"\(", r"\)", "[(]", "[^)]", "[]()]", r"[\](]", r"\\", ".", r"\[", "é", r"\d"]
    quoted = ["(", ")", "(?:", "[", "a", "\\"]
    plain: SearchStrategy[Pattern] = st.sampled_from(both).map(lambda p: Pattern(p, p))
    return plain | st.sampled_from(quoted).map(lambda p: Pattern(rf"\Q{p}\E", re.escape(p)))


def grown(inner: SearchStrategy[Pattern]) -> SearchStrategy[Pattern]:
    def joined(parts: list[Pattern]) -> Pattern:
        nullable = all(part.is_nullable for part in parts)
        return Pattern(*("".join(p) for p in _both(parts)), nullable)

    def either(parts: list[Pattern]) -> Pattern:
        nullable = any(part.is_nullable for part in parts)
        return Pattern(*("(?:" + "|".join(p) + ")" for p in _both(parts)), nullable)

    def group(part: tuple[Pattern, str]) -> Pattern:
        opening = part[1].replace("<n>", f"<n{len(part[0].python)}>")
        python = opening.replace("(?<", "(?P<")
        return Pattern(
            f"{opening}{part[0].re2})", f"{python}{part[0].python})", part[0].is_nullable
        )

    def repeated(part: tuple[Pattern, str]) -> Pattern:
        both = (f"(?:{p}){part[1]}" for p in (part[0].re2, part[0].python))
        return Pattern(*both, is_nullable=part[1] not in ("+", "{1,2}"))

    some = inner.filter(lambda p: not p.is_nullable)  # else the two differ in what a loop captures
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(joined),
        st.lists(inner, min_size=2, max_size=3).map(either),
        st.tuples(inner, st.sampled_from(["(", "(", "(?:", "(?i:", "(?P<n>"])).map(group),
        st.tuples(some, st.sampled_from(["?", "*", "+", "{0,2}", "{1,2}", "+?"])).map(repeated),
    )


def _both(parts: list[Pattern]) -> tuple[list[str], list[str]]:
    return [part.re2 for part in parts], [part.python for part in parts]


def compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:  # two groups of one name
        return None


@thorough
@given(
    st.recursive(atoms(), grown, max_leaves=8),
    st.lists(st.text("ab()[]\\é😀A1", max_size=8) | st.sampled_from(TEXTS), max_size=8),
)
@example(Pattern("(?:(a)|b)*", "(?:(a)|b)*"), ["ab", "ba"])
def test_what_is_found_is_what_python_finds(pattern: Pattern, texts: list[str | None]) -> None:
    by_python = compiled(pattern.python)
    if by_python is None:
        return
    note(first_group(pattern.re2))
    made = extract(column_of(texts), pattern.re2).to_pylist()
    for text, got in zip(texts, made, strict=True):
        match = None if text is None else by_python.search(text)
        group = min(by_python.groups, 1)
        assert got == (None if match is None else match[group]), text
