"""Whether two tools gave the same rows: JSON lines against JSON lines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import cast

from benchmarks.queries import Query

Row = dict[str, object]

_TOLERANCE = 1e-9
_SHOWN = 160


def save(path: str, rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows as JSON lines."""
    with Path(path).open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def difference(query: Query, expected: Path, actual: Path) -> str:
    """Say where the second file of rows departs from the first; empty if nowhere."""
    try:
        pairs = (_load(query, expected), _load(query, actual))
    except ValueError as error:
        return str(error)
    if len(pairs[0]) != len(pairs[1]):
        return f"{len(pairs[1])} rows, not {len(pairs[0])}"
    for number, (left, right) in enumerate(zip_longest(*pairs), 1):
        if not same(left, right):
            return f"row {number} is {_short(right)}, not {_short(left)}"
    return ""


def same(left: object, right: object) -> bool:
    """Deep equality of JSON values; numbers may differ by a part in a billion.

    >>> same({"a": [1.0, None]}, {"a": [1, None]}), same("1", 1), same([1], [1, 2])
    (True, False, False)
    """
    if _is_number(left) and _is_number(right):
        return math.isclose(cast("float", left), cast("float", right), rel_tol=_TOLERANCE)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(row: object) -> str:
    text = json.dumps(row, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _load(query: Query, path: Path) -> list[Row]:
    """Rows in their order; those over windows grouped by key, so only windows are ordered."""
    with path.open(encoding="utf-8") as file:
        rows = [cast("Row", json.loads(line)) for line in file]
    if query.columns:
        rows = [_chosen(query, row) for row in rows]
    if query.key:
        rows.sort(key=lambda row: str(row[query.key]))
    return rows


def _chosen(query: Query, row: Row) -> Row:
    """Only the columns asked for: a tool may add the bounds of a window, or other spelling."""
    by_name = {_plain(name): value for name, value in row.items()}
    missing = [name for name in query.columns if _plain(name) not in by_name]
    if missing:
        raise ValueError(f"no column {missing[0]!r} among {', '.join(map(repr, row))}")
    return {name: by_name[_plain(name)] for name in query.columns}


def _plain(name: str) -> str:
    """A column's name without spelling: `count(distinct user_id)` and `count_distinct_user_id`.

    >>> _plain("count(distinct user_id)") == _plain("count_distinct_user_id")
    True
    """
    return "".join(character for character in name.lower() if character.isalnum())
