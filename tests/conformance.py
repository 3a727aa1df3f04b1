"""Runs conformance cases: `python tests/conformance.py [--interpreter] FILE…`.

Prints a line for each case that fails and, last, `N passed, M failed`. Exit code 1 if any failed.
With `--interpreter` the row-at-a-time interpreter answers instead of the engine. It does not refuse
queries, so the cases that expect an error are left out, and their number is printed.
"""

# ruff: noqa: T201 - printing is what this command does

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from mql.errors import QueryError  # noqa: E402
from tests.oracle.cases import Case, ExpectedError, Windows, compare, load  # noqa: E402

MAX_SHOWN = 300
"""A longer text of a failing case is cut, in characters."""

Answer = Callable[[Case], Windows]


def main(arguments: list[str] | None = None) -> int:
    """Run the cases of the given files; the exit code."""
    options = _options().parse_args(arguments)
    cases = [case for path in options.files for case in load(path)]
    check = check_by_engine
    if options.interpreter:
        check = check_by_interpreter
        refused = [case for case in cases if case.expect_error is not None]
        cases = [case for case in cases if case.expect_error is None]
        if refused:
            print(f"{len(refused)} cases that expect an error left out")
    failures = [check(case) for case in cases]
    for failure in filter(None, failures):
        print(failure)
    failed = sum(failure is not None for failure in failures)
    print(f"{len(failures) - failed} passed, {failed} failed")
    return 1 if failed else 0


def check_by_engine(case: Case) -> str | None:
    """What is wrong with the engine's answer to a case, or None."""
    import mql

    def answer(case: Case) -> Windows:
        result = mql.run(case.query, case.streams, start_ms=0, end_ms=case.end_ms)
        return [window.rows() for window in result]

    if case.expect_error is not None:
        return _check_refusal(case, lambda: mql.plan(case.query, live=case.live))
    return _check_rows(case, answer)


def check_by_interpreter(case: Case) -> str | None:
    """What is wrong with the interpreter's answer to a case, or None."""
    from tests.oracle.interpreter import interpret

    return _check_rows(case, lambda case: interpret(case.query, case.streams, end_ms=case.end_ms))


def _check_rows(case: Case, answer: Answer) -> str | None:
    assert case.expect is not None
    try:
        got = answer(case)
    except Exception as error:  # noqa: BLE001 - a case that crashes is a case that fails
        return _failure(case, case.expect, f"{type(error).__name__}: {error}")
    return None if compare(case.expect, got, case.ordered) else _failure(case, case.expect, got)


def _check_refusal(case: Case, plan: Callable[[], object]) -> str | None:
    wanted = case.expect_error
    assert wanted is not None
    expected = _refusal(wanted)
    try:
        plan()
    except QueryError as error:
        right_place = wanted.line in (None, error.line) and wanted.column in (None, error.column)
        if right_place and (wanted.says or "").lower() in str(error).lower():
            return None
        return _failure(case, expected, str(error))
    except Exception as error:  # noqa: BLE001 - a case that crashes is a case that fails
        return _failure(case, expected, f"{type(error).__name__}: {error}")
    return _failure(case, expected, "not refused")


def _refusal(wanted: ExpectedError) -> str:
    parts = {"line": wanted.line, "column": wanted.column, "saying": wanted.says}
    return "refused" + "".join(
        f", {name} {value}" for name, value in parts.items() if value is not None
    )


def _failure(case: Case, expected: object, got: object) -> str:
    if isinstance(expected, list) and isinstance(got, list):
        expected, got = _where_they_part(case, expected, got)
    return f"{case.id} | {_shown(case.query)} | expected {_shown(expected)} | got {_shown(got)}"


def _where_they_part(case: Case, expected: Windows, got: Windows) -> tuple[object, object]:
    """The first window that differs, so that a long answer shows what is wrong with it."""
    if len(expected) == len(got) > 1:
        for at, (window, other) in enumerate(zip(expected, got, strict=True)):
            if not compare([window], [other], case.ordered):
                return f"in window {at} {_text(window)}", other
    if len(expected) != len(got):
        return f"{len(expected)} windows {_text(expected)}", f"{len(got)} windows {_text(got)}"
    return expected, got


def _shown(value: object) -> str:
    text = _text(value).replace("\n", " ")
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Run conformance cases.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument(
        "--interpreter", action="store_true", help="ask the interpreter, not the engine"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
