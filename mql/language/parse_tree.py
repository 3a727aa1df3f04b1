"""The parse tree of a whole query to syntax: select list, sources and clauses."""

from __future__ import annotations

from lark import Token, v_args

from mql.errors import Span
from mql.language.diagnostics import nearest
from mql.language.durations import SECONDS_MAX, read_duration_ms
from mql.language.parse_conditions import ConditionBuilder, Node
from mql.language.parse_values import is_number, unquoted
from mql.language.sample_clause import read_percent, read_sample
from mql.language.spans import token_span, tree_span
from mql.language.syntax import (
    AnomalyClause,
    CountWindow,
    Everything,
    Item,
    JoinClause,
    Literal,
    Prefix,
    Property,
    Query,
    SortKey,
    TimeWindow,
    WindowClause,
)


class _Clause:
    """A parsed clause on its way into the query: which field, its value, where it stood."""

    def __init__(self, name: str, value: object, span: Span) -> None:
        self.name = name
        self.value = value
        self.span = span


class QueryBuilder(ConditionBuilder):
    """Builds a query, bottom up."""

    def start(self, children: list[object]) -> Query:
        items, *rest = children
        assert isinstance(items, tuple)
        found: dict[str, object] = {}
        spans: dict[str, Span] = {}
        for part in rest:
            if isinstance(part, dict):
                found |= part
                continue
            assert isinstance(part, _Clause)
            if part.name in found:
                written = part.name.replace("_", " ")
                self._refuse(f"a second `{written}`; each clause stands at most once", part.span)
            found[part.name], spans[part.name] = part.value, part.span
        return Query(items=items, text=self._text, clause_spans=spans, **found)  # type: ignore[arg-type]

    def items(self, children: list[Item]) -> tuple[Item, ...]:
        return tuple(children)

    def item(self, children: list[object]) -> Item:
        value, alias = children[0], children[1] if len(children) > 1 else None
        assert alias is None or isinstance(alias, str)
        if isinstance(value, Everything | Prefix):
            if alias is not None:
                self._refuse(
                    "`*` and prefixes keep their names; `as` has no meaning here", value.span
                )
            return Item(value)
        return Item(self._value(value), alias)

    @v_args(inline=True)
    def everything(self, token: Token) -> Everything:
        return Everything(token_span(token))

    @v_args(inline=True)
    def prefix(self, token: Token) -> Prefix:
        return Prefix(unquoted(token), token_span(token))

    @v_args(inline=True)
    def alias(self, token: Token) -> str:
        return self._name(token)

    def _name(self, token: Token) -> str:
        if token.type == "STRING":
            return unquoted(token)
        if is_number(token):
            self._refuse(f"a name is needed here, not the number {token}", token_span(token))
        return str(token)

    def from_clause(self, children: list[object]) -> dict[str, object]:
        sources = children[0]
        if len(children) == 1:
            return {"sources": sources}
        _, others, duration, keys = children
        assert isinstance(duration, Literal)
        within_ms = self._milliseconds(duration)
        return {"sources": sources, "join": JoinClause(others, within_ms, keys)}  # type: ignore[arg-type]

    def sources(self, children: list[str]) -> tuple[str, ...]:
        return tuple(children)

    @v_args(inline=True)
    def source(self, token: Token) -> str:
        return self._name(token)

    def properties(self, children: list[Property]) -> tuple[Property, ...]:
        for each in children:
            if each.has_any:
                self._refuse("`[*]` stands for many values; a single one is needed here", each.span)
        return tuple(children)

    @v_args(meta=True)
    def where(self, meta: object, children: list[Node]) -> _Clause:
        return _Clause("where", self._condition(children[0]), tree_span(meta))

    @v_args(meta=True)
    def having(self, meta: object, children: list[Node]) -> _Clause:
        return _Clause("having", self._condition(children[0]), tree_span(meta))

    @v_args(meta=True)
    def window(self, meta: object, children: list[WindowClause]) -> _Clause:
        return _Clause("window", children[0], tree_span(meta))

    def time_window(self, children: list[Literal]) -> TimeWindow:
        spans = [self._milliseconds(duration) for duration in children]
        for duration, span_ms in zip(children, spans, strict=True):
            if span_ms <= 0:
                self._refuse(
                    "a window is longer than nothing (at least 0.001 seconds)", duration.span
                )
        return TimeWindow(spans[0], spans[-1])

    @v_args(inline=True)
    def span(self, token: Token) -> Literal:
        return Literal(str(token), str(token), token_span(token))

    @v_args(inline=True)
    def count_window(self, token: Token) -> CountWindow:
        count = int(token.strip("| \t\r\n"))
        if not 0 < count < 2**31:
            self._refuse(
                "a window holds at least one event, and fewer than 2^31", token_span(token)
            )
        return CountWindow(count)

    @v_args(meta=True)
    def group_by(self, meta: object, children: list[tuple[Property, ...]]) -> _Clause:
        return _Clause("group_by", children[0], tree_span(meta))

    @v_args(meta=True)
    def order_by(self, meta: object, children: list[SortKey]) -> _Clause:
        return _Clause("order_by", tuple(children), tree_span(meta))

    def sort_key(self, children: list[object]) -> SortKey:
        direction = children[1] if len(children) > 1 else None
        descending = isinstance(direction, Token) and direction.type == "DESC"
        return SortKey(self._value(children[0]), descending)

    @v_args(meta=True)
    def limit(self, meta: object, children: list[Literal]) -> _Clause:
        number = children[0]
        if not isinstance(number.value, int) or not 0 <= number.value < 2**63:
            self._refuse(f"a limit is a whole number from 0 up, not {number.text}", number.span)
        return _Clause("limit", number.value, tree_span(meta))

    @v_args(meta=True)
    def sample(self, meta: object, children: list[Token]) -> _Clause:
        token = children[0]
        try:
            sample = read_percent(token) if token.type == "PERCENT" else read_sample(token)
        except ValueError as error:
            self._refuse(str(error), token_span(token))
        return _Clause("sample", sample, tree_span(meta))

    @v_args(meta=True)
    def anomaly(self, meta: object, children: list[object]) -> _Clause:
        method, subject, *numbers = children
        assert isinstance(method, Token)
        name = method.lower()
        counts = {"mad": (2,), "des": (2, 3)}
        if name not in counts:
            hint = nearest(name, list(counts))
            self._refuse(
                f"unknown anomaly method `{method}`; there are mad and des",
                token_span(method),
                hint,
            )
        if len(numbers) not in counts[name]:
            wanted = "alpha and beta" + (" (and a threshold, if you like)" if name == "des" else "")
            self._refuse(f"{name} takes {wanted}", token_span(method))
        parameters = tuple(float(n.value) for n in numbers)  # type: ignore[attr-defined]
        clause = AnomalyClause(name, self._value(subject), parameters)
        return _Clause("anomaly", clause, tree_span(meta))

    def _milliseconds(self, duration: Literal) -> int:
        if isinstance(duration.value, str):
            try:
                return read_duration_ms(duration.value)
            except ValueError as error:
                self._refuse(str(error), duration.span)
        assert isinstance(duration.value, int | float)
        if not 0 <= duration.value <= SECONDS_MAX:
            self._refuse(f"a span is from 0 to {SECONDS_MAX:,} seconds", duration.span)
        return round(duration.value * 1000)
