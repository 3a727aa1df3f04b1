"""Lines that are passed over unread: none that a query would have wanted; and what is told."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

import mql
from mql.language.format import format_query
from mql.language.syntax import (
    Comparator,
    Comparison,
    Condition,
    Contains,
    Everything,
    In,
    Item,
    Like,
    Literal,
    Matches,
    Or,
    Property,
    Query,
)
from mql.planner.regex_literals import texts_in
from mql.result import Result
from mql.sources.candidates import CandidateSearch
from mql.sources.json_spelling import Clause, ValueOf
from mql.sources.search import Search
from mql.sources.slices import Slice
from mql.values.json_values import nested_json, read_json
from tests.oracle.cases import Json, Row, compare
from tests.oracle.drawn.events import event_bodies, texts, weighted
from tests.oracle.drawn.values import LIKES, REGEXES, conditions, paths

pytestmark = pytest.mark.timeout(1800)

thorough = settings(
    max_examples=int(os.environ.get("MQL_EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

NO_EVENTS = [b"", b" \t", b"garbage a", b'["x"]', b'{"a": "x"', b'"ab"', b'{"a": "\xff\n"x"}']
WORDS = ["x", "a/b", "1e3 b", 'say "x"', "h\u00e9llo", "two\nx", "\ufffdx", "1000.0", "null", "a,b"]
"""Few, so that what a query needs is often there, in one spelling or another."""
ODD_VALUES = ["NaN", "1e3", "1E400", "-0.0", "[NaN, 1e2]", '{"k": "x", "k": "y"}', r'"\ud800x"']
KEYS = ["a", "b", "g", "n", "l", "d"]


# ---- Events as somebody else may have written them ----


@st.composite
def spelled(draw: DrawFn, value: Json) -> str:
    """JSON with escapes and blanks where the standard allows them."""
    blank = draw(st.sampled_from(["", "", " ", "\t "]))
    match value:
        case str():
            return f'"{"".join(draw(spelled_character(c)) for c in value)}"'
        case list():
            return "[" + f",{blank}".join(draw(spelled(each)) for each in value) + f"{blank}]"
        case dict():
            pairs = [(draw(spelled(key)), draw(spelled(each))) for key, each in value.items()]
            return "{" + f",{blank}".join(f"{key}{blank}:{each}" for key, each in pairs) + "}"
        case _:
            return json.dumps(value)


def spelled_character(character: str) -> SearchStrategy[str]:
    plain = json.dumps(character, ensure_ascii=False)[1:-1]
    escaped = "".join(f"\\u{unit:04x}" for unit in units(character))
    slash = ["\\/"] if character == "/" else []
    return weighted((40, st.sampled_from([plain, *slash])), (1, st.just(escaped)))


def units(character: str) -> list[int]:
    data = character.encode("utf-16-be", "surrogatepass")
    return [data[i] * 256 + data[i + 1] for i in range(0, len(data), 2)]


@st.composite
def lines(draw: DrawFn) -> bytes:
    """An event, at times with a key twice, an odd value or invalid bytes, or no event at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(NO_EVENTS))
    text = draw(
        weighted((3, st.builds(dict, a=few_values())), (1, event_bodies())).flatmap(spelled)
    )
    if draw(st.integers(0, 5)) == 0:
        value = draw(st.sampled_from(ODD_VALUES) | st.sampled_from(WORDS).flatmap(spelled))
        more = f'"{draw(st.sampled_from(KEYS))}": {value}'
        text = text[:-1] + (", " if len(text) > 2 else "") + more + "}"
    line = text.encode("utf-8", "replace")
    return line.replace(b"x", b"\xffx") if draw(st.integers(0, 19)) == 0 else line


def few_values() -> SearchStrategy[Json]:
    word: SearchStrategy[Json] = st.sampled_from(WORDS)
    return weighted(
        (6, word),
        (1, st.lists(word | st.sampled_from([1000.0, None, True]), max_size=2)),
        (1, st.dictionaries(st.sampled_from(["x", "k"]), word, max_size=2)),
        (1, st.sampled_from([1000.0, None, True, 12])),
    )


def parts_of_words() -> SearchStrategy[str]:
    """Words, parts of them, and of the JSON text of containers that hold some."""
    more = ['["x"', '"k":"x"', "1000.0,", "[1000.0", "[null", "true]", 'x",', "00.0"]
    whole = st.sampled_from([*WORDS, *more])
    part = st.tuples(whole, st.integers(0, 4), st.integers(1, 8)).map(
        lambda t: t[0][t[1] :][: t[2]]
    )
    return weighted((3, whole), (2, part))


def text_conditions() -> SearchStrategy[Condition]:
    """Conditions that need text, more often than those of any query do."""
    quoted = (parts_of_words() | texts()).map(lambda text: Literal(text, text))
    left = weighted((4, st.just(Property(("a",)))), (1, paths()))
    some = st.lists(quoted, min_size=1, max_size=3).map(tuple)
    many = st.lists(quoted, min_size=5, max_size=20).map(tuple)
    plain: SearchStrategy[Condition] = st.one_of(
        st.builds(Comparison, st.just(Comparator.EQ), left, quoted),
        st.builds(In, left, some | many),
        st.builds(Contains, left, quoted),
        st.builds(Like, left, st.sampled_from(LIKES) | parts_of_words().map("%{}%".format)),
        st.builds(Matches, left, st.sampled_from(REGEXES) | parts_of_words().map(_within)),
    )
    return plain | st.lists(plain, min_size=2, max_size=3).map(tuple).map(Or)


def _within(text: str) -> str:
    return f".*{re.escape(text)}.*"


@st.composite
def met_conditions(draw: DrawFn) -> tuple[bytes, Condition]:
    """A line, and a condition on a part of the text of its value, as MQL has that text."""
    written = draw(few_values().flatmap(spelled) | st.sampled_from(ODD_VALUES))
    value = read_json(written)
    whole = value if isinstance(value, str) else nested_json(value)
    start = draw(st.integers(0, max(len(whole) - 1, 0)))
    part = whole[start : start + draw(st.integers(1, 12))]
    path = Property(("a",))
    found: list[Condition] = [
        Contains(path, Literal(part, part)),
        Like(path, f"%{part}%"),
        Matches(path, _within(part)),
        Matches(path, f".*({re.escape(part)}|no such text).*"),
    ]
    if isinstance(value, str):
        found += [
            Comparison(Comparator.EQ, path, Literal(value, value)),
            In(path, (Literal("no such text", ""), Literal(value, value))),
            In(
                path,
                (*(Literal(f"no such text {n}", "") for n in range(20)), Literal(value, value)),
            ),
        ]
    return f'{{"a": {written}}}'.encode("utf-8", "replace"), draw(st.sampled_from(found))


def _equal(text: str) -> Condition:
    return Comparison(Comparator.EQ, Property(("a",)), Literal(text, text))


def _contains(text: str) -> Condition:
    return Contains(Property(("a",)), Literal(text, text))


@thorough
@given(met_conditions())
@example((rb'{"a": "a\/b"}', _equal("a/b")))
@example((rb'{"a": "\u0078y"}', _equal("xy")))
@example((b'{"a": "\xffx"}', _equal("\ufffdx")))
@example((b'{"a": "\xffx"}', _contains("\ufffdx")))
@example((b'{"a": [1e3, "x"]}', _contains('0.0,"x"')))
@example((b'{"a": [NaN]}', _contains("null")))
def test_a_line_that_passes_is_always_found(case: tuple[bytes, Condition]) -> None:
    line, where = case
    text = format_query(Query(items=(Item(Literal(1, "1")),), where=where))
    note(text)
    note(repr(line))
    expected = mql.run(text, {"stream": line}, optimized=False).rows()
    assert mql.run(text, {"stream": line}).rows() == expected


@thorough
@given(st.data())
def test_no_line_is_passed_over_that_would_have_passed(data: st.DataObject) -> None:
    where = data.draw(weighted((4, text_conditions()), (1, conditions(paths()))))
    text = format_query(Query(items=(Item(Everything()),), where=where))
    chunk = b"\n".join(data.draw(st.lists(lines(), max_size=12)))
    note(text)
    note(repr(chunk))
    plain = mql.run(text, {"stream": chunk}, optimized=False)
    expected = plain.rows()
    filtered = mql.run(text, {"stream": chunk})
    assert compare([expected], [filtered.rows()], ordered=True)
    assert filtered.statistics.bad_lines <= plain.statistics.bad_lines
    if filtered.statistics.bad_lines == plain.statistics.bad_lines:
        assert filtered.statistics.first_bad_line == plain.statistics.first_bad_line


# ---- Regexes ----


def patterns() -> SearchStrategy[str]:
    """Patterns that Python and RE2 read alike."""
    atoms = st.sampled_from(
        [*"abc /-", r"\.", r"\d", "[ab]", "[^a]", "[]a]", ".", r"\[", "", r"\w"]
    )
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4).map("".join),
            st.lists(inner, min_size=2, max_size=3).map("|".join).map("({})".format),
            st.tuples(inner, st.sampled_from(["*", "+?", "?", "{2}", "{0,2}", "{1,}"])).map(
                lambda pair: f"(?:{pair[0]}){pair[1]}"
            ),
        ),
        max_leaves=8,
    )


@thorough
@given(patterns().flatmap(lambda p: st.tuples(st.just(p), st.from_regex(p, fullmatch=True))))
@example((r"ab+c", "abbc"))
@example((r"a(b|)c", "ac"))
def test_what_matches_a_pattern_holds_the_texts_in_it(case: tuple[str, str]) -> None:
    pattern, text = case
    assert re.fullmatch(pattern, text, re.DOTALL)
    for any_of in texts_in(pattern):
        assert any(each in text for each in any_of), any_of


# ---- What is told ----

FILE = b'{"a": "x"}\n\nno JSON\n{"a": "y"}\n[1, "x"]\n{"a": "x", "n": 2}\n'


def run(text: str, data: object, **options: bool) -> tuple[list[Row], Result]:
    result = mql.run(text, {"stream": data}, **options)
    return result.rows(), result


def test_lines_that_cannot_match_are_passed_over_and_counted() -> None:
    rows, result = run("select n where a == 'x'", FILE)
    assert compare([[{}, {"n": 2}]], [rows], ordered=True)
    assert (result.statistics.events, result.statistics.unread) == (5, 3)


def test_a_bad_line_that_is_read_keeps_its_number_in_the_input() -> None:
    _, result = run("select n where a ==+ 'x'", FILE)
    assert (result.statistics.bad_lines, result.statistics.first_bad_line) == (1, 5)


def test_a_strict_run_reads_every_line() -> None:
    result = mql.run("select n where a == 'x'", {"stream": FILE}, strict=True)
    with pytest.raises(mql.InputError, match=r"^line 3 is not a JSON object"):
        result.rows()


@pytest.mark.parametrize("query", ["select * where a != 'x'", "select * where a == 'x' window |2|"])
def test_an_unoptimized_run_reads_every_line(query: str) -> None:
    _, result = run(query, FILE, optimized=False)
    assert (result.statistics.unread, result.statistics.bad_lines) == (0, 2)


def test_lines_are_numbered_right_wherever_the_input_is_cut() -> None:
    filler = b'{"a": "%s"}\n' % (b"y" * 1_000)
    text = b"".join([filler * 5_000, b"x is no JSON\n", filler * 1_000, b'{"a": "x"}'])
    rows, result = run("select a where a like '%x%'", text)
    assert rows == [{"a": "x"}]
    assert result.statistics.first_bad_line == 5_001
    assert (result.statistics.events, result.statistics.unread) == (6_001, 6_000)


def test_where_most_lines_may_match_all_are_read() -> None:
    text = b'{"a": "x"}\n' * 400_000
    rows, result = run("select count(*) where a == 'x'", text)
    assert rows == [{"COUNT(*)": 400_000}]
    assert (result.statistics.events, result.statistics.unread) == (400_000, 0)


def test_an_escape_may_spell_any_text() -> None:
    text = b'{"a": "\\u0078"}\n{"a": "y"}\n{"a": "\\u00e9"}\n'
    rows, result = run("select a where a == 'x'", text)
    assert rows == [{"a": "x"}]
    assert result.statistics.unread == 1


def test_what_was_found_before_an_input_broke_is_given() -> None:
    whole = gzip.compress(b'{"a": "x"}\n' + os.urandom(3_000_000).hex().encode())
    result = mql.run("select a where a == 'x'", {"stream": whole[: len(whole) // 2]})
    found: list[Row] = []
    with pytest.raises(mql.InputError):
        found.extend(row for chunk in result.chunks() for row in chunk.rows())
    assert found == [{"a": "x"}]


def test_a_pipe_gives_what_it_has_found_at_once() -> None:
    given: list[int] = []

    class Pipe:
        def read(self, size: int = -1) -> bytes:  # noqa: ARG002 - the size is what it is
            given.append(1)
            return b'{"a": "x"}\n' if len(given) < 100 else b""

        def close(self) -> None:
            pass

    chunks: Iterator[mql.result.Chunk] = mql.run(
        "select a where a == 'x'", {"stream": Pipe()}
    ).chunks()
    assert next(chunk.rows() for chunk in chunks if chunk.num_rows) == [{"a": "x"}]
    assert len(given) < 10


def test_the_rarest_text_is_searched_for() -> None:
    search = CandidateSearch([(b"common",), (b"rare",)], b"\\u")
    data = b"common\n" * 100 + b"common, rare\n" + b"rare\n"
    found = search.find(Slice(data, 0, len(data)))
    assert found is not None
    assert (found.text, found.numbers.tolist(), found.lines) == (b"common, rare\n", [100], 102)
    assert search._clauses[0] == (b"rare",)


def test_there_is_always_something_to_search_for() -> None:
    with pytest.raises(ValueError, match="nothing to look for"):
        CandidateSearch([], b"\\u")


# ---- The compiled search ----

PIECES = [
    b'"k"',
    b'"k" :\t',
    b":",
    b'"x"',
    b'"xy"',
    b'"x\\',
    b"x",
    b"k",
    b"\\u00",
    b"\\",
    b"\n",
    b"y" * 40,
]
SOME_TEXTS = st.lists(
    st.sampled_from([b'"x"', b"x", b"xy", b"yyx", b'"k"']), min_size=1, max_size=3
)
SOME_CLAUSES = st.lists(
    SOME_TEXTS.map(tuple) | st.just(ValueOf(b'"k"', (b"x", b"", b"y" * 40))), min_size=1, max_size=3
)


def may_pass(line: bytes, clauses: list[Clause]) -> bool:
    """What the search decides of a line, in other words."""

    def holds(clause: Clause) -> bool:
        if not isinstance(clause, ValueOf):
            return any(text in line for text in clause)
        values = b"|".join(map(re.escape, clause.values))
        return bool(re.search(rb'"k"[ \t\r]*:[ \t\r]*"((' + values + rb')"|[^"\\\n]*\\)', line))

    return b"\\u00" in line or all(map(holds, clauses))


@thorough
@given(
    st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join), SOME_CLAUSES, st.integers(0, 3)
)
def test_the_search_finds_the_lines_that_may_pass(
    data: bytes, clauses: list[Clause], start: int
) -> None:
    lines = data[start:].splitlines(keepends=True)
    found = Search(clauses, b"\\u00", data).find(
        Slice(data, min(start, len(data)), len(data)), 1 << 16
    )
    expected = [number for number, line in enumerate(lines) if may_pass(line, clauses)]
    assert found is not None
    assert (found.numbers.tolist(), found.lines) == (expected, len(lines))
    assert found.text == b"".join(lines[number] for number in expected)


def test_more_than_there_is_room_for_is_not_found() -> None:
    search = Search([(b"x",)], b"\\u", b"x")
    assert search.find(Slice(b"x\nx\ny\n", 0, 6), 4) is not None
    assert search.find(Slice(b"x\nx\ny\n", 0, 6), 3) is None
    assert search.find(Slice(b"x\n" * 20_000, 0, 40_000), 40_000) is None
    many = tuple(b"%d" % number for number in range(40))
    assert Search([many], b"\\u", b"x").find(Slice(b"x\n", 0, 2), 2) is None


def test_one_of_many_values_is_looked_up() -> None:
    values = [f"u{number}" for number in range(1_000)]
    listed = ", ".join(f"'{value}'" for value in [*values, 'say "x"'])
    text = (
        b'{"a": "u%d"}\n' * 2 % (7, 1_000)
        + b'{"a":1}\n{"b":"u7"}\n{"a": "say \\"x\\""}\n{"a":"\\u0075" }\n'
    )
    rows, result = run(f"select a where a in ({listed})", text)
    assert rows == [{"a": "u7"}, {"a": 'say "x"'}]
    assert (result.statistics.events, result.statistics.unread) == (6, 3)
