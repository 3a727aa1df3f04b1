"""Conformance cases: one JSON object a line, as the README beside them describes."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Row: TypeAlias = dict[str, Json]
Event: TypeAlias = tuple[int, Row]
"""Its time in ms, and itself."""
Windows: TypeAlias = Sequence[Sequence[Mapping[str, object]]]
"""An answer: rows by window."""

TOLERANCE = 1e-9
"""How far numbers may be apart, relative to the larger one."""


@dataclass(frozen=True)
class ExpectedError:
    """Where a refusal points, 1-based, and a text that it contains; None says nothing about it."""

    line: int | None = None
    column: int | None = None
    says: str | None = None


@dataclass(frozen=True)
class Case:
    """A query over given events, and the windows of rows, or the refusal, that it must give."""

    id: str
    query: str
    streams: dict[str, list[Event]] = field(default_factory=dict)
    end_ms: int | None = None
    expect: list[list[Row]] | None = None
    ordered: bool = True
    expect_error: ExpectedError | None = None
    live: bool = False


def load(path: Path) -> list[Case]:
    """The cases of a `.jsonl` or `.jsonl.gz` file."""
    data = path.read_bytes()
    content = gzip.decompress(data) if path.suffix == ".gz" else data
    return [_case(json.loads(line)) for line in content.decode().split("\n") if line.strip()]


def compare(expected: Windows, got: Windows, ordered: bool) -> bool:  # noqa: FBT001
    """Whether an answer is the expected one; unless `ordered`, rows may come in any order."""
    if len(expected) != len(got):
        return False
    same_window = same if ordered else _same_in_any_order
    return all(same_window(window, other) for window, other in zip(expected, got, strict=True))


def same(expected: object, got: object) -> bool:
    """Equality of JSON values: numbers by value with a tolerance, true is not 1, keys exact.

    >>> same({"a": [1, 0.1 + 0.2]}, {"a": [1.0, 0.3]}), same(True, 1), same({"a": None}, {})
    (True, False, False)
    """
    match expected, got:
        case (bool(), _) | (_, bool()):
            return expected is got
        case (int() | float(), int() | float()):
            return expected == got or math.isclose(expected, got, rel_tol=TOLERANCE)
        case list(), list():
            return len(expected) == len(got) and all(map(same, expected, got))
        case dict(), dict():
            return expected.keys() == got.keys() and all(
                same(expected[key], got[key]) for key in expected
            )
        case _:
            return type(expected) is type(got) and expected == got


def _same_in_any_order(expected: Sequence[object], got: Sequence[object]) -> bool:
    left = list(got)
    for row in expected:
        at = next((at for at, other in enumerate(left) if same(row, other)), None)
        if at is None:
            return False
        del left[at]
    return not left


def _case(raw: dict[str, Any]) -> Case:
    known = {"id", "query", "streams", "end", "expect", "ordered", "expect_error", "live", "basis"}
    if unknown := raw.keys() - known:
        raise ValueError(f"a case with unknown keys: {sorted(unknown)}")
    if ("expect" in raw) == ("expect_error" in raw):
        raise ValueError(f"case {raw['id']} expects rows or an error, one of the two")
    streams = raw.get("streams", {})
    return Case(
        id=raw["id"],
        query=raw["query"],
        streams={
            name: [(time, event) for time, event in events] for name, events in streams.items()
        },
        end_ms=raw.get("end"),
        expect=raw.get("expect"),
        ordered=raw.get("ordered", True),
        expect_error=ExpectedError(**raw["expect_error"]) if "expect_error" in raw else None,
        live=raw.get("live", False),
    )
