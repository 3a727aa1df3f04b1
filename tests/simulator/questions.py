"""The queries that are asked: a pool, so that each text is planned once for many seeds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

from mql.language.parser import parse
from mql.language.syntax import Query, TimeWindow
from mql.layout import RowLayout
from source_jobs.query.live_query import Question, read_question

LATENESS_MS = 400
"""How late events may come to a query that believes their times; none is later than half of it."""


@dataclass(frozen=True)
class Asked:
    """A query, and what may be checked of an answer that is not exact.

    `counts`: its rows are counts of groups, which may be less than the truth, never more. `lists`:
    its rows are events, some of which may be missing, none invented. `chance`: a sample decides.
    `time` is the property that holds an event's time.
    """

    text: str
    counts: bool = False
    lists: bool = False
    chance: bool = False
    time: str = ""

    @property
    def lateness_ms(self) -> int:
        return LATENESS_MS if self.time else 0

    @cached_property
    def tree(self) -> Query:
        return parse(self.text)

    @cached_property
    def question(self) -> Question:
        return read_question(self.text, self.time, self.lateness_ms)

    @property
    def layout(self) -> RowLayout:
        return self.question.layout

    @property
    def streams(self) -> tuple[str, ...]:
        return self.question.streams

    @property
    def window(self) -> TimeWindow | None:
        return self.question.window

    @property
    def is_tumbling(self) -> bool:
        return self.window is not None and self.window.span_ms == self.window.shift_ms

    @property
    def depends_on_order(self) -> bool:
        """Whether values in its rows depend on the order of events."""
        return any(function in self.text for function in ("list(", "first(", "last("))

    @property
    def is_apart(self) -> bool:
        """Whether each event is in one row at most."""
        window = self.window
        return self.lists and (window is None or window.shift_ms >= window.span_ms)

    @property
    def is_limited(self) -> bool:
        return self.question.ends_by_itself


WHERE = (
    "",
    "where a > 2",
    "where k == 'x'",
    "where k in ('x', 'y') and a < 5",
    "where b is null or a == 1",
    "where v like 'n%' and a != 3",
)
WINDOWS = ("0.5", "1", "0.3", "1 0.5", "0.2 0.5", "0.4 0.2")

_COUNTS = (
    "select count(*) from s {where} window {window}",
    "select count(*), k from s {where} window {window} group by k",
    "select count(*), k from s, t {where} window {window} group by k",
)
_AGGREGATES = (
    "select sum(a), min(a), max(b), average(b), k from s {where} window {window} group by k",
    "select first(n), last(n), stddev(a) from s {where} window {window}",
    "select list(n), count(*) from s {where} window {window}",
    "select count(distinct k), p50(a), max(n) from t {where} window {window}",
    (
        "select count(*), e['_agent']['host'] as h from s {where} window {window} group by "
        "e['_agent']['host'] having count(*) > 1 order by h"
    ),
)
_WINDOWED_ROWS = (
    "select n, a from s {where} window {window}",
    "select n, k, v from s, t {where} window {window} group by k order by n desc",
)
_ROWS = (
    "select n, a from s {where}",
    "select * from t {where}",
    "select n, b from s, t {where}",
)

COUNTS = [
    Asked(q.format(where=w, window=d), counts=True) for q, w, d in product(_COUNTS, WHERE, WINDOWS)
]
AGGREGATES = [
    Asked(q.format(where=w, window=d)) for q, w, d in product(_AGGREGATES, WHERE[:3], WINDOWS[:4])
]
WINDOWED_ROWS = [
    Asked(q.format(where=w, window=d), lists=True)
    for q, w, d in product(_WINDOWED_ROWS, WHERE[:2], WINDOWS)
]
ROWS = [Asked(q.format(where=w), lists=True) for q, w in product(_ROWS, WHERE)]
BY_THEIR_TIME = [
    Asked("select count(*), k from s window 0.5 group by k", time="at", counts=True),
    Asked("select n, a from s where a > 1 window 1", time="at", lists=True),
]
OTHERS = [
    Asked("select n from s limit 7", lists=True),
    Asked("select count(*) from s window 0.5 limit 3", counts=True),
    Asked("select n, k from s sample 40%", lists=True, chance=True),
    Asked("select count(*) from s window 0.5 sample 30%", counts=True, chance=True),
    Asked("select n from s sample {'strategy': 'RPS', 'threshold': 3}", lists=True, chance=True),
    Asked("select n, k from s where a > 1 sample {'strategy': 'STICKY', 'keys': ['k'], "
          "'threshold': 5000}", lists=True, chance=True),
    Asked("select list(n) from s window |4|", chance=True),
]  # fmt: skip

POOL: dict[str, list[Asked]] = {
    "counts": COUNTS,
    "aggregates": AGGREGATES,
    "windowed rows": WINDOWED_ROWS,
    "rows": ROWS,
    "by their time": BY_THEIR_TIME,
    "others": OTHERS,
}
"""Queries by kind; a kind is drawn first."""

WEIGHTS = {
    "counts": 6,
    "aggregates": 4,
    "windowed rows": 3,
    "rows": 4,
    "by their time": 1,
    "others": 2,
}
