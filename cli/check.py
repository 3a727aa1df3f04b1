"""`mql check`: whether a query can run, and what it likely does not mean."""

from __future__ import annotations

import json

import msgspec

import mql
from cli.terminal import complain, tell
from mql.errors import QueryError
from mql.warnings.judge import find_warnings


def check_query(text: str, *, live: bool, output: str) -> int:
    """Tell of a query as `text` or as `json`; the exit code. Raises QueryError, if as text."""
    try:
        tree = mql.parse(text)
        mql.plan(tree, live=live)
    except QueryError as error:
        if output == "text":
            raise
        _tell_json({"ok": False, "error": _as_data(error)})
        return 2
    warnings = find_warnings(tree)
    if output == "json":
        _tell_json({"ok": True, "warnings": msgspec.to_builtins(warnings)})
        return 0
    for warning in warnings:
        complain(f"warning: {warning}")
    tell("ok")
    return 0


def _tell_json(value: object) -> None:
    tell(json.dumps(value, separators=(",", ":")))


def _as_data(error: QueryError) -> dict[str, object]:
    return {
        "kind": "query",
        "message": error.reason,
        "line": error.line,
        "column": error.column,
        "start": error.span.start,
        "end": error.span.end,
        "hint": error.hint,
    }
