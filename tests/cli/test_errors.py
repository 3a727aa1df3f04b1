"""What goes wrong, where it is said, and with which exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.support import lines_of, rows_of, run_mql

BROKEN = '{"a": 1}\n\nnot json\n{"a": 2}\n{"a": \n'


def test_a_wrong_query_is_shown_with_a_caret_and_nothing_else(log: Path) -> None:
    for command in (["run", "select a b", str(log)], ["check", "select a b"]):
        done = run_mql(*command, ok=False)
        assert done.returncode == 2
        assert done.stdout == b""
        lines = done.stderr.decode().splitlines()
        assert lines[0].startswith("line 1, column 10: ")
        assert lines[2] == " " * 11 + "^"


def test_a_wrong_query_is_refused_before_the_input_is_missed() -> None:
    done = run_mql("run", "selct a", "/nowhere.ndjson", ok=False)
    assert done.returncode == 2
    assert "hint: did you mean `select`?" in done.stderr.decode()


def test_check_says_ok_and_knows_live_streams() -> None:
    assert run_mql("check", "select count(*) from s").stdout == b"ok\n"
    done = run_mql("check", "--live", "select count(*) from s", ok=False)
    assert done.returncode == 2


def test_bad_lines_are_skipped_and_reported(tmp_path: Path) -> None:
    log = tmp_path / "broken.ndjson"
    log.write_text(BROKEN)
    done = run_mql("run", "select a", str(log))
    assert rows_of(done.stdout) == [{"a": 1}, {"a": 2}]
    assert done.stderr == b"mql: 2 lines are not JSON; the first is line 3\n"


def test_strict_stops_at_the_first_bad_line() -> None:
    done = run_mql("run", "select a", "--strict", stdin=BROKEN, ok=False)
    assert done.returncode == 1
    assert b"line 3" in done.stderr


def test_a_missing_file_is_named() -> None:
    done = run_mql("run", "select *", "/nowhere.ndjson", ok=False)
    assert done.returncode == 1
    assert done.stderr.decode().startswith("mql: cannot read /nowhere.ndjson: ")


def test_a_window_of_time_over_a_file_names_the_candidates(log: Path) -> None:
    done = run_mql("run", "select count(*) from s window 10", str(log), ok=False)
    assert done.returncode == 1
    assert "`ts`" in done.stderr.decode()
    assert done.stdout == b""


def test_late_events_are_reported(tmp_path: Path) -> None:
    log = tmp_path / "late.ndjson"
    times = [0, 25_000, 1_000, 26_000, None]
    log.write_text(lines_of([{"t": None if t is None else 10**12 + t} for t in times]))
    query = ["run", "select count(*) as 'n' from s window 10", str(log), "--time", "t"]
    done = run_mql(*query)
    assert "mql: 1 event was left out: too late for its window" in done.stderr.decode()
    assert "mql: 1 event was left out: without a time" in done.stderr.decode()
    assert sum(row["n"] for row in rows_of(done.stdout)) == 3
    patient = run_mql(*query, "--lateness", "1m")
    assert sum(row["n"] for row in rows_of(patient.stdout)) == 4


def test_output_that_cannot_be_written_is_named(log: Path) -> None:
    done = run_mql("run", "select *", str(log), "--out", "/nowhere/a.csv", ok=False)
    assert done.returncode == 1
    assert done.stderr == b"mql: cannot write /nowhere/a.csv: No such file or directory\n"
    done = run_mql("run", "select *", str(log), "--out", "/dev/full", ok=False)
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr


def test_messages_cannot_control_the_terminal(tmp_path: Path) -> None:
    done = run_mql("run", "select *", str(tmp_path / "\x1b[31m.ndjson"), ok=False)
    assert b"\x1b" not in done.stderr
    assert b"\\x1b[31m" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Missing argument 'QUERY'"),
        (["select *", "a", "b"], "one FILE, not 2"),
        (["select *", "a", "--from", "s=b"], "either FILE or --from"),
        (["select *", "--from", "s"], "is not NAME=FILE"),
        (["select *", "--from", "s=-", "--from", "t=-"], "standard input can be one source"),
        (["select *", "--from", "s=a", "--from", "s=b"], "two files for 's'"),
        (["select *", "--lateness", "5 days"], "is written like 10, 500ms, 5s"),
        (["select *", "--lateness", "5x"], "no unit `x`"),
        (["select *", "--out", "a.xlsx"], ".xlsx names no format"),
        (["select *", "--plot", "--output", "csv"], "add --out FILE"),
        (["select * from s window 5", "--plot"], "select an aggregate"),
        (["select *", "--output", "xml"], "is not one of"),
    ],
)
def test_a_wrong_command_line_says_what_to_do(arguments: list[str], says: str) -> None:
    done = run_mql("run", *arguments, ok=False)
    assert done.returncode == 2
    assert says in done.stderr.decode()
