"""Windows that are not wholly covered: the input begins in the first, or ends in the last one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import msgspec

from mql.language.syntax import NOWHERE, CountWindow, Query, TimeWindow
from mql.warnings.record import QueryWarning, WarningCode, warning_at

GAPS_MAX = 10
"""Silence of so many mean distances between events is not by chance: there the input ends."""


_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))


class WindowCover(msgspec.Struct, frozen=True):
    """The time in which events came, and the first and last windows of the answer, in ms.

    `events` is how many had a time. The end of a window is not in it. `has_start` and `has_end`
    say whether the asker has set the query's own start and end, where nothing is to be said.
    """

    events: int
    first_ms: int
    last_ms: int
    start_ms: int
    end_ms: int
    has_start: bool = False
    has_end: bool = False


def partial_windows(query: Query, cover: WindowCover) -> Iterator[QueryWarning]:
    """A warning about the first and the last window, where the input surely has a part only."""
    window = query.window
    if not isinstance(window, TimeWindow) or cover.last_ms <= cover.first_ms:
        return
    slack_ms = GAPS_MAX * (cover.last_ms - cover.first_ms) / (cover.events - 1)
    before_ms = 0 if cover.has_start else max(cover.first_ms - cover.start_ms, 0)
    after_ms = 0 if cover.has_end else max(cover.end_ms - cover.last_ms, 0)
    if cover.end_ms - cover.start_ms <= window.span_ms:
        if before_ms > slack_ms or after_ms > slack_ms:
            yield _of_time(query, "the one window", before_ms + after_ms)
        return
    if before_ms > slack_ms:
        what = f"the first window begins {_span(before_ms)} before the first event, and"
        yield _of_time(query, what, before_ms)
    if after_ms > slack_ms:
        what = f"the last window ends {_span(after_ms)} after the last event, and"
        yield _of_time(query, what, after_ms)


def partial_count(query: Query, events: int) -> Iterator[QueryWarning]:
    """A warning about the last window of a number of events, which has fewer, if it has."""
    window = query.window
    if isinstance(window, CountWindow) and 0 < events < window.count:
        message = f"the last window has {events:,} of its {window.count:,} events"
        yield _warning(query, message, events, window.count)


def _of_time(query: Query, what: str, rest_ms: int) -> QueryWarning:
    assert isinstance(query.window, TimeWindow)
    span_ms = query.window.span_ms
    covered_ms = max(span_ms - rest_ms, 0)
    message = f"{what} has events of {_span(covered_ms)} of its {_span(span_ms)}"
    return _warning(query, message, covered_ms, span_ms)


def _warning(query: Query, message: str, covered: int, of: int) -> QueryWarning:
    span = query.clause_spans.get("window", NOWHERE)
    counts = {"covered": covered}
    return warning_at(query.text, span, WarningCode.PARTIAL_WINDOW, message, counts=counts, of=of)


def _span(span_ms: int) -> str:
    """A span as a query has it, rounded for people.

    >>> _span(36_300_000), _span(499_322), _span(53_399), _span(86_400_000), _span(7)
    ('10h5m', '8m19s', '53.4s', '1d', '7ms')
    """
    for (large, large_ms), (small, small_ms) in pairwise(_UNITS):
        if span_ms >= large_ms:
            whole, rest = divmod(round(span_ms / small_ms), large_ms // small_ms)
            return f"{whole}{large}{rest}{small}" if rest else f"{whole}{large}"
    return f"{span_ms / 1000:.3g}s" if span_ms >= 1000 else f"{span_ms}ms"  # noqa: PLR2004
