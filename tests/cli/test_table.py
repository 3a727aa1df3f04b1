"""The table for people: alignment, growth, width, and what a cell may hold."""

from __future__ import annotations

from cli.output.table import TableWriter
from tests.cli.support import START_MS, FakeChunk, Screen, chunk


def _table(*chunks: FakeChunk, columns: int | None = None, names: tuple[str, ...] = ()) -> str:
    screen = Screen(columns)
    writer = TableWriter(screen, names)
    for each in chunks:
        writer.write(each)
    writer.finish()
    return screen.text


def test_numbers_are_right_aligned_and_text_left() -> None:
    shown = _table(chunk({"path": "/a", "n": 5}, {"path": "/index", "n": 1200}))
    assert shown == (
        "path       n\n"
        "------  ----\n"
        "/a         5\n"
        "/index  1200\n"
        "(2 rows)\n"
    )  # fmt: skip


def test_windows_grow_the_table_and_the_date_is_said_once() -> None:
    one, two = chunk({"n": 1}, at=START_MS), chunk({"n": 22}, at=START_MS + 10_000)
    day_later = chunk({"n": 3}, at=START_MS + 86_400_000)
    assert _table(one, two, day_later) == (
        "window (UTC)   n\n"
        "------------  --\n"
        "2023-11-14\n"
        "22:13:20       1\n"
        "22:13:30      22\n"
        "2023-11-15\n"
        "22:13:20       3\n"
        "(3 rows)\n"
    ).replace("window (UTC)   n\n------------  --", "window (UTC)  n\n------------  -").replace(
        "22:13:20       1", "22:13:20      1"
    )


def test_the_header_comes_again_for_new_columns_and_for_much_wider_ones() -> None:
    shown = _table(chunk({"a": 1}), chunk({"a": 2, "b": "x"}), chunk({"a": 3, "b": "x" * 20}))
    assert shown.count("a  b") == 2
    assert shown.startswith("a\n-\n1\n\na  b\n")


def test_a_little_growth_does_not_repeat_the_header() -> None:
    assert _table(chunk({"a": 1}), chunk({"a": 12})).count("a\n") == 1


def test_known_columns_keep_their_order() -> None:
    assert _table(chunk({"b": 1}, {"a": 2, "b": 3}), names=("a", "b")).startswith("a  b\n")


def test_the_width_of_the_terminal_is_kept_by_cutting_text_not_numbers() -> None:
    row = {"agent": "Mozilla/5.0 " * 10, "n": 123456789012, "path": "/index.html"}
    shown = _table(chunk(row), columns=40)
    lines = shown.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()
    assert all(len(line) <= 40 for line in lines)
    assert "123456789012" in lines[2]
    assert "…" in lines[2]


def test_columns_without_room_are_counted() -> None:
    shown = _table(chunk({f"column{i}": i for i in range(30)}), columns=40)
    assert "(+" in shown.splitlines()[0]
    assert all(len(line) <= 48 for line in shown.splitlines())


def test_null_is_empty_and_nested_values_are_json() -> None:
    shown = _table(chunk({"a": None, "b": {"c": [1, None]}}, {"a": True, "b": "é\n\x1b[31m"}))
    assert shown.splitlines()[2] == '      {"c":[1,null]}'
    assert shown.splitlines()[3] == "true  é\\n\\x1b[31m"


def test_wide_characters_are_counted_as_wide() -> None:
    lines = _table(chunk({"a": "日本", "n": 1}, {"a": "x", "n": 2})).splitlines()
    assert lines[2:4] == ["日本  1", "x     2"]


def test_a_column_may_be_named_like_the_window() -> None:
    shown = _table(chunk({"window (UTC)": "mine"}, at=START_MS))
    assert shown.splitlines()[3].split() == ["22:13:20", "mine"]


def test_no_rows_are_said() -> None:
    assert _table() == "(no rows)\n"
    assert _table(chunk(at=START_MS)) == "(no rows)\n"


def test_rows_without_any_column_are_still_rows() -> None:
    assert _table(chunk({}, {})) == "\n\n(2 rows)\n"


def test_huge_and_deep_values_are_cut() -> None:
    deep: object = 1
    for _ in range(1000):
        deep = [deep]
    shown = _table(chunk({"a": "x" * 10_000_000, "b": deep}))
    assert len(shown) < 10_000
