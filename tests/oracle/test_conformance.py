"""Every conformance case passes: from dicts, from lines, and by the script."""

from __future__ import annotations

import gzip
import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import mql
from mql.language.syntax import TimeWindow
from tests.conformance import check_by_engine
from tests.oracle.cases import Case, Row, compare, load

ROOT = Path(__file__).resolve().parents[2]
CONFORMANCE = ROOT.parent / "shared" / "conformance"
SMALL = ("decided.jsonl", "errors.jsonl")
FILES = sorted(CONFORMANCE.rglob("*.jsonl*")) or [CONFORMANCE / "reference.jsonl"]

PUBLISHED = "published at"
"""The property that holds the time of an event that is read from a line."""

EPOCH_MS = 1_700_000_000_000
"""Times in lines begin here: small numbers would be taken for seconds."""

SPELLINGS: dict[str, Callable[[Sequence[str]], bytes]] = {
    "lines": lambda lines: "".join(f"{line}\n" for line in lines).encode(),
    "CRLF and blank lines": lambda lines: "".join(f"{line}\r\n\r\n" for line in lines).encode(),
}


def named(path: Path) -> str:
    return path.name


@pytest.fixture(params=FILES, ids=named)
def file(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    if not path.exists():
        pytest.skip(f"no conformance cases: {path} is missing")
    return path


def test_the_engine_passes_each_case(file: Path) -> None:
    failures = [failure for failure in map(check_by_engine, load(file)) if failure]
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_answer_is_the_same_from_lines(file: Path, spelling: str) -> None:
    failures = []
    for case in load(file):
        if case.expect is None or "time()" in case.query:
            continue  # lines hold times of this century
        try:
            got = answer_from_lines(case, SPELLINGS[spelling])
        except Exception as error:  # noqa: BLE001 - a case that crashes is a case that fails
            failures.append(f"{case.id} | {case.query} | {type(error).__name__}: {error}")
            continue
        if not compare(case.expect, got, case.ordered):
            failures.append(f"{case.id} | {case.query} | got {got}")
    assert not failures, f"{len(failures)} cases fail, such as\n" + "\n".join(failures[:5])


@pytest.mark.parametrize("name", SMALL)
def test_the_script_passes_each_case(name: str) -> None:
    file = CONFORMANCE / name
    if not file.exists():
        pytest.skip(f"no conformance cases: {file} is missing")
    done = run_script(file)
    count = len(load(file))
    assert done.stdout.splitlines()[-1] == f"{count} passed, 0 failed"
    assert done.returncode == 0, done.stdout


def test_the_script_reads_compressed_cases(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl.gz"
    path.write_bytes(gzip.compress(cases(right("one"), right("two"))))
    done = run_script(path)
    assert (done.stdout, done.returncode) == ("2 passed, 0 failed\n", 0)


def test_the_script_tells_of_each_case_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    wrong = right("wrong") | {"expect": [[{"a": 2}]]}
    refused = {"id": "refused", "query": "select", "expect": [[]]}
    taken = {"id": "taken", "query": "select a", "expect_error": {"column": 3}}
    path.write_bytes(cases(right("right"), wrong, refused, taken))
    done = run_script(path)
    *failures, last = done.stdout.splitlines()
    assert done.returncode == 1
    assert last == "1 passed, 3 failed"
    assert [line.split(" | ")[0] for line in failures] == ["wrong", "refused", "taken"]
    assert failures[0] == 'wrong | select a | expected [[{"a": 2}]] | got [[{"a": 1}]]'
    assert "the query ends" in failures[1]
    assert "not refused" in failures[2]


def test_the_script_sums_over_files(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
    for path in paths:
        path.write_bytes(cases(right(path.stem)))
    assert run_script(*paths).stdout == "2 passed, 0 failed\n"


def answer_from_lines(case: Case, spell: Callable[[Sequence[str]], bytes]) -> list[list[Row]]:
    """The answer to a case whose events come as lines that hold their times."""
    query = mql.parse(case.query)
    shift_ms = query.window.shift_ms if isinstance(query.window, TimeWindow) else 1
    unit_ms = math.lcm(shift_ms, 1000)
    start_ms = EPOCH_MS + -EPOCH_MS % unit_ms
    inputs = {
        name: spell([json.dumps(event | {PUBLISHED: start_ms + time}) for time, event in events])
        for name, events in case.streams.items()
    }
    end_ms = None if case.end_ms is None else start_ms + case.end_ms
    result = mql.run(query, inputs, time=PUBLISHED, start_ms=start_ms, end_ms=end_ms)
    return [[without_time(row) for row in window.rows()] for window in result]


def without_time(row: Row) -> Row:
    """The row as it would be if the event did not hold its time."""
    return {key: value for key, value in row.items() if key != PUBLISHED}


def run_script(*paths: Path) -> subprocess.CompletedProcess[str]:
    """`python tests/conformance.py FILE…`, from anywhere."""
    return subprocess.run(
        [sys.executable, ROOT / "tests" / "conformance.py", *paths],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=paths[0].parent,
    )


def right(name: str) -> dict[str, object]:
    """A case that passes."""
    streams = {"stream": [[0, {"a": 1}]]}
    return {"id": name, "query": "select a", "streams": streams, "expect": [[{"a": 1}]]}


def cases(*each: dict[str, object]) -> bytes:
    return "".join(json.dumps(case) + "\n" for case in each).encode()
