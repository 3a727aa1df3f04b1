"""The choice of a format, layouts, spans of time."""

from __future__ import annotations

import io
from pathlib import Path

import click
import pytest

from cli.arguments import read_duration, read_life
from cli.main import main
from cli.output.column_widths import Column, fit_columns
from cli.output.destination import TerminalSafe
from cli.output.formats import choose_format


@pytest.mark.parametrize(
    ("wanted", "out", "terminal", "expected"),
    [
        (None, None, True, "table"),
        (None, None, False, "jsonl"),
        ("csv", None, True, "csv"),
        (None, "a.parquet", True, "parquet"),
        (None, "a.NDJSON", False, "jsonl"),
        (None, "noted", False, "jsonl"),
        (None, "/dev/null", False, "jsonl"),
        ("arrow", "a.csv", False, "arrow"),
    ],
)
def test_the_format_follows_from_where_output_goes(
    wanted: str | None, out: str | None, *, terminal: bool, expected: str
) -> None:
    path = Path(out) if out else None
    assert choose_format(wanted, path, to_terminal=terminal) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500ms", 500),
        ("5s", 5000),
        ("1.5s", 1500),
        ("2m", 120_000),
        ("1h", 3_600_000),
        ("5", 5000),
        ("1m30s", 90_000),
        ("1d", 86_400_000),
        ("0", 0),
    ],
)
def test_spans_of_time(text: str, expected: int) -> None:
    context = click.Context(main)
    assert read_duration(context, main.params[0], text) == expected


@pytest.mark.parametrize("text", ["-1s", "s", "5 days", "", "5x", "30s1m", "5S"])
def test_what_is_no_span_of_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"span of time|unit"):
        read_duration(click.Context(main), main.params[0], text)


@pytest.mark.parametrize("text", ["0", "0s", "0.0001ms"])
def test_nothing_lives_for_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no time at all"):
        read_life(click.Context(main), main.params[0], text)


def test_columns_share_what_room_there_is() -> None:
    columns = [Column("a", "x" * 50), Column("b", "y" * 20), Column("c", "count", right=True)]
    assert fit_columns(columns, None) == [50, 20, 5]
    widths = fit_columns(columns, 40)
    assert sum(widths) + 4 <= 40
    assert widths[2] == 5
    assert abs(widths[0] - widths[1]) <= 1


@pytest.mark.parametrize("width", [1, 5, 10, 20, 80])
def test_some_column_is_always_shown(width: int) -> None:
    columns = [Column(str(i), "name" * i, right=i % 2 == 0) for i in range(1, 9)]
    widths = fit_columns(columns, width)
    assert widths
    assert min(widths) >= 1


def test_control_bytes_are_spelled_out_for_a_terminal() -> None:
    out = io.BytesIO()
    TerminalSafe(out).write("a\x1b[31m\x9b\x7f\té\n".encode())
    assert out.getvalue().decode() == "a\\u001b[31m\\u009b\\u007f\té\n"
