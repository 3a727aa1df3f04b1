"""What is concluded from counts of names and kinds, whoever has counted: and what is not."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

import mql
from mql.language.paths import AnyElement
from mql.values.kind import Kind
from mql.warnings.judge import WARNINGS_MAX, find_warnings
from mql.warnings.profile import EVENTS_MIN, FieldCounts, SourceProfile, Steps
from mql.warnings.record import QueryWarning, WarningCode
from mql.warnings.windows import WindowCover, partial_windows

ANY = AnyElement.ANY
INTS, TEXTS = FieldCounts({Kind.INT: 1_000}), FieldCounts({Kind.STRING: 1_000}, 1_000)


def profile(
    fields: Mapping[Steps, FieldCounts],
    events: int = 1_000,
    source: str = "s",
    *,
    is_complete: bool = False,
    service: str | None = None,
    is_cut: bool = False,
    depth: int | None = None,
) -> SourceProfile:
    return SourceProfile(source, events, is_complete, fields, service, is_cut, depth)


def warned(query: str, *profiles: SourceProfile) -> list[QueryWarning]:
    tree = mql.parse(query)
    mql.plan(tree)
    return list(find_warnings(tree, profiles))


def codes(query: str, *profiles: SourceProfile) -> list[str]:
    return [warning.code for warning in warned(query, *profiles)]


A = {("a",): INTS}


@pytest.mark.parametrize(
    ("events", "is_complete", "expected"),
    [
        (EVENTS_MIN, False, ["unknown-name"]),
        (EVENTS_MIN - 1, False, []),
        (EVENTS_MIN - 1, True, ["unknown-name"]),
        (1, True, ["unknown-name"]),
        (0, True, []),
    ],
)
def test_a_name_is_unknown_after_a_thousand_events_or_all(
    events: int,
    is_complete: bool,  # noqa: FBT001 - a column of the table
    expected: list[str],
) -> None:
    assert codes("select x from s", profile(A, events, is_complete=is_complete)) == expected


def test_nothing_is_said_of_sources_that_are_not_known() -> None:
    assert codes("select x from s, t", profile(A)) == []
    assert codes("select x from s, t", profile(A), profile(A, source="t")) == ["unknown-name"]
    assert codes("select x from s, t", profile(A), profile({}, 10, "t")) == []
    assert codes("select x from s, t", profile(A), profile({("x",): INTS}, 10, "t")) == []


def test_each_service_of_a_stream_may_have_a_name() -> None:
    one = profile(A, service="cart")
    assert codes("select x from s", one, profile({("x",): INTS}, service="pay")) == []
    assert codes("select x from s", one, profile(A, 3, service="pay")) == []
    assert codes("select x from s", one, profile(A, service="pay")) == ["unknown-name"]


def test_kinds_are_judged_for_each_service() -> None:
    query = "select * from s where a >= 500"
    found = warned(query, profile(A, service="cart"), profile({("a",): TEXTS}, service="pay"))
    (warning,) = found
    assert (warning.source, warning.service, warning.of) == ("s", "pay", 1_000)
    assert warning.counts == {"text": 1_000}
    assert warning.message == (
        "`a` is text in 1,000 of 1,000 events of `pay` looked at; `>= 500` is false there; "
        "`number(a)` reads it"
    )


def test_what_was_left_out_of_a_profile_is_not_unknown() -> None:
    assert codes("select x from s", profile(A, is_cut=True)) == []
    deep = "select e['a']['b']['c'] from s"
    nested = {("a",): FieldCounts({Kind.OBJECT: 1}), ("a", "b"): FieldCounts({Kind.OBJECT: 1})}
    assert codes(deep, profile(nested, depth=2)) == []
    assert codes(deep, profile(nested, depth=3)) == ["unknown-name"]


LISTED = {("l",): FieldCounts({Kind.LIST: 9}), ("l", ANY, "k"): INTS}


@pytest.mark.parametrize("path", ["e['l'][0]['k']", "e['l'][-1]['k']", "e['l'][7]", "l"])
def test_elements_stand_for_one_another(path: str) -> None:
    assert codes(f"select {path} from s", profile(LISTED)) == []


@pytest.mark.parametrize(
    ("path", "is_unknown"),
    [
        ("e['l'][*]['k']", False),
        ("e['l'][*]['x']", True),
        ("e['l'][*]", False),
        ("e['a'][*]", True),
        ("e['empty'][*]['k']", False),
        ("e['nothing']['k']", False),
        ("e['nothing'][*]", False),
        ("e['o'][*]", False),
        ("e['a']['k']", True),
    ],
)
def test_what_stands_for_nothing_refutes_nothing(
    path: str,
    is_unknown: bool,  # noqa: FBT001 - a column of the table
) -> None:
    fields = {
        **LISTED,
        **A,
        ("empty",): FieldCounts({Kind.LIST: 5}),
        ("nothing",): FieldCounts({Kind.NULL: 5}),
        ("o",): FieldCounts({Kind.OBJECT: 5}),
        ("o", "k"): INTS,
    }
    found = codes(f"select * from s where {path} is null", profile(fields))
    assert found == ["unknown-name"] * is_unknown


def test_a_name_may_be_missing_where_another_one_stands_for_it() -> None:
    query = "select coalesce(new, lower(old)) from s"
    assert codes(query, profile({("old",): TEXTS})) == []
    assert codes("select coalesce(new, old) from s", profile({("old",): TEXTS})) == []
    assert codes("select coalesce(new, old) from s", profile(A)) == ["unknown-name"] * 2


@pytest.mark.parametrize(
    "condition",
    [
        "number(a) >= 500",
        "a >= 500 or number(a) >= 500",
        "text(a) == '500'",
        "a == 500 or a == '500'",
        "a in (500, '500')",
        "a == null or a is not null",
        "a ==~ /5.*/ and a like '5%' and a ==+ '5'",
        "length(a) > 2",
        "a == coalesce(b, 'x')",
        "a == if(b == 1, 5, 'x')",
    ],
)
def test_a_field_of_two_kinds_may_be_asked_for_both(condition: str) -> None:
    both = FieldCounts({Kind.INT: 500, Kind.STRING: 500}, 500)
    assert codes(f"select * from s where {condition}", profile({("a",): both, ("b",): INTS})) == []


@pytest.mark.parametrize(
    ("condition", "test", "reader"),
    [
        ("a >= 500", ">= 500", "number"),
        ("not 1 > a", "< 1", "number"),
        ("a == tick() - 5", "== tick() - 5", "number"),
        ("a == b", "== b", "number"),
        ("a == coalesce(b, 5)", "== coalesce(b, 5)", "number"),
        ("a == if(b == 1, 5, 6)", "== if(b == 1, 5, 6)", "number"),
        ("a == lower(b)", "== lower(b)", "text"),
        ("a between 'a' and 'b'", "between 'a' and 'b'", "text"),
        ("b == 1 and (b == 2 or not a in (1, 2))", "in (1, 2)", "number"),
        ("if(a > 1, true, false) == true", "> 1", "number"),
        ("a", "== true", None),
    ],
)
def test_a_field_of_two_kinds_is_told_where_one_is_asked_for(
    condition: str, test: str, reader: str | None
) -> None:
    both = FieldCounts({Kind.INT: 500, Kind.STRING: 500}, 500)
    fields = {("a",): both, ("b",): FieldCounts({Kind.INT: 1})}
    (warning,) = warned(f"select * from s where {condition}", profile(fields))
    assert f"`{test}` is false there" in warning.message
    assert (f"`{reader}(a)` reads it" in warning.message) == (reader is not None)


def test_text_that_is_no_number_is_not_read_as_one() -> None:
    both = FieldCounts({Kind.INT: 500, Kind.STRING: 500}, 0)
    (warning,) = warned("select * from s where a > 1", profile({("a",): both}))
    assert "number(" not in warning.message
    unknown = FieldCounts({Kind.INT: 500, Kind.STRING: 500})
    (warning,) = warned("select * from s where a > 1", profile({("a",): unknown}))
    assert "number(a)" in warning.message


def test_a_warning_has_its_place() -> None:
    (warning,) = warned("select *\nfrom s\n  where stauts == 1", profile({("status",): INTS}))
    assert (warning.line, warning.column, warning.start, warning.end) == (3, 9, 24, 30)
    assert str(warning).startswith("line 3, column 9: none of 1,000 events looked at has `stauts`")


def test_a_tree_without_text_is_warned_of_all_the_same() -> None:
    tree = mql.parse("select stauts from s")
    bare = type(tree)(items=tree.items, sources=tree.sources)
    (warning,) = find_warnings(bare, [profile({("status",): INTS})])
    assert (warning.code, warning.start, warning.end) == (WarningCode.UNKNOWN_NAME, 0, 0)


def test_of_many_warnings_the_first_are_given() -> None:
    names = [f"x{number}" for number in range(100)]
    found = warned(f"select {', '.join(names)} from s", profile(A))
    assert len(found) == WARNINGS_MAX
    assert [f"`{name}`" in warning.message for name, warning in zip(names, found, strict=False)]


def test_long_names_are_cut() -> None:
    name = "x" * 1_000
    (warning,) = warned(f"select {name} from s", profile({(name + "y",): INTS}))
    assert len(warning.message) < 300


def cover(first_ms: int, last_ms: int, events: int, **given: bool) -> list[QueryWarning]:
    query = mql.parse("select count(*) from s window 10")
    end_ms = last_ms // 10_000 * 10_000 + 10_000
    start_ms = first_ms // 10_000 * 10_000
    known = WindowCover(events, first_ms, last_ms, start_ms, end_ms, **given)
    return list(partial_windows(query, known))


def test_a_window_is_partial_where_silence_is_not_by_chance() -> None:
    first, last = cover(5_000, 35_000, 1_000)
    assert "first window begins 5s" in first.message
    assert "last window ends 5s" in last.message
    assert cover(5_000, 35_000, 10) == []
    assert cover(0, 39_990, 1_000) == []
    assert cover(5_000, 35_000, 1_000, has_start=True, has_end=True) == []
    assert cover(5_000, 5_000, 1) == []
