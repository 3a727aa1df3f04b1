"""A warning as data, the same on every door."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from mql.errors import Span, place_of

SHOWN_MAX = 80
"""Characters of a query's part that a message shows."""


class WarningCode(StrEnum):
    """What a warning is about."""

    UNKNOWN_NAME = "unknown-name"
    MIXED_KINDS = "mixed-kinds"
    SAME_NAME = "same-name"
    UNLIKELY_NAME = "unlikely-name"
    ROUNDED_INTEGER = "rounded-integer"
    PARTIAL_WINDOW = "partial-window"


class QueryWarning(msgspec.Struct, frozen=True):
    """What is likely not meant about a query that runs all the same.

    `line` and `column` are 1-based, `start` and `end` offsets in the query's text, in characters.
    `source` and `service` say whose events it is about (None: of no single one). Where it follows
    from events, `of` is how many were looked at, and `counts` says how many of them were how: of
    `mixed-kinds` by kind, of `rounded-integer` as `rounded`, of `partial-window` the `covered`
    milliseconds, or events, of one window.
    """

    code: WarningCode
    message: str
    line: int
    column: int
    start: int
    end: int
    source: str | None = None
    service: str | None = None
    counts: Mapping[str, int] = msgspec.field(default_factory=dict)
    of: int | None = None

    def __str__(self) -> str:
        """The message and its place, on one line."""
        return f"line {self.line}, column {self.column}: {self.message}"


def warning_at(
    text: str,
    span: Span,
    code: WarningCode,
    message: str,
    *,
    source: str | None = None,
    service: str | None = None,
    counts: Mapping[str, int] | None = None,
    of: int | None = None,
) -> QueryWarning:
    """A warning about a part of a query's text.

    >>> str(warning_at("select a", Span(7, 8), WarningCode.UNKNOWN_NAME, "there is none"))
    'line 1, column 8: there is none'
    """
    if not text:
        span = Span(0, 0)
    line, column = place_of(text, span.start)
    return QueryWarning(
        code, message, line, column, span.start, span.end, source, service, counts or {}, of
    )


def shortened(text: str) -> str:
    """A part of a query as a message shows it, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 1] + "…"
