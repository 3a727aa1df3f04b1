"""What makes a well-formed query meaningless; each refusal carries its place in the text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd
from typing import NoReturn

from mql.errors import QueryError, Span, UnnamedStreamError
from mql.language.format import format_path, format_property, format_value
from mql.language.regex import MAX_SIZE, PATTERN_SIZE, like, problem_with, size_of
from mql.language.spans import span_of
from mql.language.stream_hint import UNKNOWN
from mql.language.syntax import (
    NOWHERE,
    Aggregate,
    Condition,
    Everything,
    Item,
    Like,
    Literal,
    Prefix,
    Property,
    Query,
    Scalar,
    TimeWindow,
    Value,
    WindowClause,
    has_aggregate,
    values_in,
)
from mql.language.traverse import (
    aggregates_in,
    calls_in,
    conditions_in,
    patterns_in,
    properties_in,
)

MAX_PREFIXES = 100
"""A select list with more of `*` and prefixes is refused."""

MAX_PANES = 100_000
"""A window that falls into more equal parts than this (10 hours every 0.3 s) is refused."""

MIN_LIVE_MS = 100
"""A live window that is shorter, or comes more often, is refused: each costs a source job and its
askers more than an event does."""


def check(query: Query, *, live: bool = False) -> None:
    """Raise QueryError if a query cannot mean anything, or, `live`, would never answer."""
    _Checks(query).run(live=live)


@dataclass(frozen=True, slots=True)
class _Checks:
    query: Query

    def run(self, *, live: bool) -> None:
        query = self.query
        self._check_items()
        if query.where:
            self._check_condition(query.where, "where", elements=True, aggregates=False)
        if query.having:
            self._check_condition(
                query.having, "having", elements=False, aggregates=query.is_aggregate
            )
        for key in query.order_by:
            if isinstance(key.value, Literal):
                self._refuse_order_by(key.value)
            self._check_value(key.value, "order by", aggregates=query.is_aggregate)
        self._check_group_by()
        if query.anomaly:
            self._check_value(query.anomaly.subject, "anomaly", aggregates=query.is_aggregate)
        self._check_patterns()
        self._check_window()
        if live:
            self._check_live()

    def _refuse(self, reason: str, span: Span, hint: str = "") -> NoReturn:
        text = self.query.text
        raise QueryError(reason, text, span if text else Span(0, 0), hint)

    def _refuse_order_by(self, literal: Literal) -> NoReturn:
        """Columns have no numbers here, and a text in quotes is no column."""
        reason = f"`{format_value(literal)}` is the same in every row, and orders nothing"
        name = self._column_meant(literal.value)
        hint = f"name the column: `order by {name}`" if name else ""
        self._refuse(reason, literal.span, hint)

    def _column_meant(self, value: Scalar) -> str:
        """The column of a number, or of a name in quotes; empty where there is none."""
        if isinstance(value, str):
            return format_property(Property((value,)))
        items = self.query.items
        if not isinstance(value, int) or not 1 <= value <= len(items):
            return ""
        item = items[value - 1]
        if isinstance(item.value, Everything | Prefix):
            return ""
        return format_property(Property((item.alias,))) if item.alias else format_value(item.value)

    def _check_items(self) -> None:
        wide = [i.value for i in self.query.items if isinstance(i.value, Everything | Prefix)]
        if len(wide) > MAX_PREFIXES:
            reason = f"more prefixes than a select list may have: {MAX_PREFIXES}"
            self._refuse(reason, wide[MAX_PREFIXES].span)
        for item in self.query.items:
            match item.value:
                case Everything() | Prefix():
                    if self.query.is_aggregate:
                        hint = "name the properties that you want"
                        self._refuse(
                            "`*` and prefixes do not go with aggregates", item.value.span, hint
                        )
                case value:
                    self._check_value(value, "select", aggregates=True)

    def _check_group_by(self) -> None:
        with_aggregate = {
            item.alias
            for item in self.query.items
            if not isinstance(item.value, Everything | Prefix) and has_aggregate(item.value)
        }
        for key in self.query.group_by:
            name = key.property.steps[0]
            if not key.is_path and name in with_aggregate:
                reason = f"`{name}` is an aggregate of the groups, and cannot make them"
                hint = f"for an event's key of that name write {format_path(key.property)}"
                self._refuse(reason, key.property.span, hint)

    def _check_condition(
        self, condition: Condition, clause: str, *, elements: bool, aggregates: bool
    ) -> None:
        for value in values_in(condition):
            self._check_value(value, clause, aggregates=aggregates, elements=elements)

    def _check_patterns(self) -> None:
        """Refuse what RE2 does not take, or what would keep it busy for long."""
        size = 0
        for regex, span in self._patterns():
            size += size_of(regex) + PATTERN_SIZE
            if size > MAX_SIZE:
                reason = "the patterns of this query are too large"
                hint = f"at most {MAX_SIZE:,} steps are taken, counted repetitions written out"
                self._refuse(reason, span, hint)
            if problem := problem_with(regex):
                self._refuse(problem, span)

    def _patterns(self) -> Iterator[tuple[str, Span]]:
        """The regexes of the query, those of `like` and of `extract` too, and their places."""
        values = _values(self.query)
        within = [c for value in values for c in conditions_in(value)]
        for condition in [*_conditions(self.query), *within]:
            for each in patterns_in(condition):
                regex = like(each.pattern) if isinstance(each, Like) else each.pattern
                yield regex, span_of(each) if isinstance(each, Like) else each.span
        for value in values:
            for call in calls_in(value):
                if call.pattern is not None:
                    yield call.pattern, call.pattern_span

    def _check_value(
        self, value: Value, clause: str, *, aggregates: bool, elements: bool = False
    ) -> None:
        for aggregate in aggregates_in(value):
            if not aggregates and clause in ("where", "filter"):
                hint = "`having` sees the results of aggregates"
                self._refuse(f"an aggregate has no meaning in `{clause}`", aggregate.span, hint)
            if not aggregates:
                hint = "add it to the select list"
                reason = "the select list holds no aggregate, so there is none to look at here"
                self._refuse(reason, aggregate.span, hint)
            if aggregate.condition:
                self._check_condition(
                    aggregate.condition, "filter", elements=True, aggregates=False
                )
        for property_ in properties_in(value):
            if property_.has_any and not elements:
                reason = f"`[*]` stands in conditions of `where` only, not in `{clause}`"
                self._refuse(reason, property_.span)

    def _check_window(self) -> None:
        window = self.query.window
        if isinstance(window, TimeWindow):
            panes = window.span_ms // gcd(window.span_ms, window.shift_ms)
            if panes > MAX_PANES:
                reason = f"the window falls into {panes:,} parts; at most {MAX_PANES:,} are taken"
                self._refuse(reason, self._clause_span("window"), "let the shift divide the span")

    def _check_live(self) -> None:
        query = self.query
        self._check_stream()
        if query.window is not None:
            self._check_live_window(query.window)
            return
        hint = "add a window, such as `window 10`"
        if query.is_aggregate:
            span = next(a.span for i in query.items for a in _item_aggregates(i))
            self._refuse(
                "an aggregate over a live stream never ends without a `window`", span, hint
            )
        for name, present in (("group_by", query.group_by), ("order_by", query.order_by)):
            if present:
                clause = name.replace("_", " ")
                reason = f"`{clause}` on a live stream needs a `window`"
                self._refuse(reason, self._clause_span(name), hint)

    def _check_stream(self) -> None:
        """Refuse a text without `from`, where that would have to stand."""
        text, spans = self.query.text, self.query.clause_spans
        if text and "sources" not in spans:
            end = spans["items"].end
            reason = "a live query names its stream, and this one has no `from`"
            raise UnnamedStreamError(reason, text, Span(end, end + 1), UNKNOWN)

    def _check_live_window(self, window: WindowClause) -> None:
        if isinstance(window, TimeWindow) and min(window.span_ms, window.shift_ms) < MIN_LIVE_MS:
            self._refuse(
                f"a window on a live stream has at least {MIN_LIVE_MS} ms, and so has its shift",
                self._clause_span("window"),
                "ask for `window 0.1` or longer; a recording may have windows of a millisecond",
            )

    def _clause_span(self, name: str) -> Span:
        """The first word of a clause; of a query that was not parsed, nowhere."""
        start = self.query.clause_spans.get(name, NOWHERE).start
        word, _, _ = name.partition("_")
        return Span(start, start + len(word))


def _conditions(query: Query) -> list[Condition]:
    return [c for c in (query.where, query.having) if c is not None]


def _values(query: Query) -> list[Value]:
    """All values of a query that are no part of another."""
    values = [i.value for i in query.items if not isinstance(i.value, Everything | Prefix)]
    values += [key.value for key in query.order_by]
    values += [query.anomaly.subject] if query.anomaly else []
    return values + [value for c in _conditions(query) for value in values_in(c)]


def _item_aggregates(item: Item) -> list[Aggregate]:
    return [] if isinstance(item.value, Everything | Prefix) else aggregates_in(item.value)
