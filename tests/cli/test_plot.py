"""`--plot`: which numbers become lines or bars."""

from __future__ import annotations

import pytest

import mql
from cli.plot.chart import Bar, draw_bars
from cli.plot.plot import BarPlot, LinePlot, refusal
from cli.plot.series import MAX_GROUPS, MAX_WINDOWS, WindowSeries
from tests.cli.support import START_MS, FakeChunk, Screen, chunk

GROUPED = mql.parse("select count(*) as 'n', max(ms), path from s window 10 group by path")


def _lines(*chunks: FakeChunk, query: str | None = None) -> str:
    screen = Screen()
    plot = LinePlot(screen, mql.parse(query) if query else GROUPED)
    for each in chunks:
        plot.write(each)
    plot.finish()
    return screen.text


def _window(number: int, *rows: dict[str, object]) -> FakeChunk:
    return chunk(*rows, at=START_MS + number * 10_000)


def test_each_number_has_a_panel_and_each_group_a_line() -> None:
    rows: list[dict[str, object]] = [{"n": 1, "MAX(ms)": 2.5, "path": p} for p in ("/a", "/b")]
    text = _lines(*(_window(i, *rows) for i in range(5)))
    assert "MAX(ms)" in text
    assert text.count("** /a   oo /b") == 2


def test_groups_that_are_numbers_name_lines_too() -> None:
    query = "select count(*) as 'n', status from s window 10 group by status"
    text = _lines(_window(0, {"n": 3, "status": 200}, {"n": 1, "status": None}), query=query)
    assert "** 200   oo (none)" in text


def test_a_window_without_a_value_is_a_gap() -> None:
    series = WindowSeries(GROUPED)
    series.add(0, [{"n": 1, "path": "/a"}])
    series.add(10_000, [])
    series.add(20_000, [{"n": 2, "path": "/a"}])
    (line,) = series.drawn("n")
    assert line.values == {1: 1.0, 3: 2.0}


def test_windows_of_events_are_counted() -> None:
    text = _lines(
        *(chunk({"n": i}) for i in range(1, 4)), query="select count(*) as 'n' window |5|"
    )
    assert text.splitlines()[-1].split() == ["1", "2", "3"]


def test_only_the_largest_lines_are_drawn() -> None:
    rows = [{"n": i, "path": f"/{i}"} for i in range(20)]
    text = _lines(_window(0, *rows), _window(1, *rows))
    assert "n, the largest 8 of 20" in text
    assert "/19" in text
    assert "/1 " not in text


def test_what_is_kept_has_limits() -> None:
    series = WindowSeries(GROUPED)
    for number in range(MAX_WINDOWS + 5):
        series.add(number, [{"n": 1, "path": "/a"}])
    series.add(0, [{"n": 1, "path": f"/{i}"} for i in range(MAX_GROUPS * 2)])
    assert len(series.windows()) == MAX_WINDOWS
    assert len(series.panels["n"]) <= MAX_GROUPS
    assert "of more than 1,000, the last 5,000 windows" in series.title("n")


def test_nothing_to_draw_is_said() -> None:
    assert _lines() == "nothing to draw: no window has a number so far\n"
    assert _lines(_window(0, {"n": "text", "path": "/a"})).startswith("nothing to draw")


def test_names_cannot_control_the_terminal() -> None:
    text = _lines(_window(0, {"n": 1, "path": "\x1b[2J\n"}))
    assert "\x1b" not in text
    assert "\\x1b[2J\\n" in text


def test_on_a_terminal_it_is_drawn_over_itself() -> None:
    screen = Screen(columns=80)
    plot = LinePlot(screen, GROUPED)
    plot.write(_window(0, {"n": 1, "path": "/a"}))
    height = screen.text.count("\n")
    plot.finish()
    assert f"\x1b[{height}A\x1b[J" in screen.text


@pytest.mark.parametrize(
    ("query", "rows", "expected"),
    [
        ("select count(*) as 'n', a group by a", [{"n": 2, "a": 200}], "200  2  █"),
        ("select a, ms", [{"a": "x", "ms": 1.5}], "x  1.5  █"),
        ("select ms", [{"ms": 3}], "  3  █"),
    ],
)
def test_rows_become_bars(query: str, rows: list[dict[str, object]], expected: str) -> None:
    screen = Screen()
    plot = BarPlot(screen, mql.parse(query))
    plot.write(chunk(*rows))
    plot.finish()
    assert screen.text.splitlines()[1].startswith(expected)


def test_bars_have_a_limit_and_say_so() -> None:
    screen = Screen()
    plot = BarPlot(screen, mql.parse("select a, ms"))
    for number in range(50):
        plot.write(chunk({"a": "x", "ms": number}))
    plot.finish()
    assert screen.text.splitlines()[-1] == "… and 20 more rows"


def test_rows_without_numbers_are_explained() -> None:
    screen = Screen()
    plot = BarPlot(screen, mql.parse("select a"))
    plot.write(chunk({"a": "x"}))
    plot.finish()
    assert "--plot needs a column of numbers" in screen.text


def test_bars_below_zero_look_different() -> None:
    assert "▒▒▒" in draw_bars([Bar("a", "-1", -1.0), Bar("b", "2", 2.0)], 40)


def test_rows_of_windows_are_refused() -> None:
    assert "select an aggregate" in (refusal(mql.parse("select a window 5")) or "")
    assert refusal(GROUPED) is None
