"""The parse tree of a whole query to syntax: select list, sources and clauses."""

from __future__ import annotations

from typing import NamedTuple, NoReturn

from lark import Token, v_args

from mql.errors import Span
from mql.language.diagnostics import nearest
from mql.language.durations import SECONDS_MAX, read_duration_ms
from mql.language.parsing.calls import CallBuilder
from mql.language.parsing.conditions import Node
from mql.language.parsing.values import is_number, unquoted
from mql.language.sample_clause import read_percent, read_sample
from mql.language.source_names import EVENT_NAME, with_sources
from mql.language.spans import span_of, token_span, tree_span
from mql.language.syntax import (
    AnomalyClause,
    CountWindow,
    Everything,
    GroupKey,
    Item,
    JoinClause,
    JoinKey,
    Literal,
    Prefix,
    Property,
    Query,
    SortKey,
    TimeWindow,
    WindowClause,
    has_aggregate,
)


class _Clause:
    """A parsed clause on its way into the query: which field, its value, where it stood."""

    def __init__(self, name: str, value: object, span: Span) -> None:
        self.name = name
        self.value = value
        self.span = span


class _From(NamedTuple):
    """The sources of a query on their way into it."""

    fields: dict[str, object]
    span: Span


class _Source(NamedTuple):
    """A source, and what `as` calls it."""

    stream: str
    name: str | None
    span: Span


class QueryBuilder(CallBuilder):
    """Builds a query, bottom up."""

    def start(self, children: list[object]) -> Query:
        items, *rest = children
        assert isinstance(items, tuple)
        found: dict[str, object] = {}
        spans: dict[str, Span] = {}
        for part in rest:
            if isinstance(part, _From):
                found |= part.fields
                spans["sources"] = part.span
                continue
            assert isinstance(part, _Clause)
            if part.name in found:
                written = part.name.replace("_", " ")
                self._refuse(f"a second `{written}`; each clause stands at most once", part.span)
            found[part.name], spans[part.name] = part.value, part.span
        query = Query(items=items, text=self._text, clause_spans=spans, **found)  # type: ignore[arg-type]
        return with_sources(query)

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
    def prefix(self, event: Token, token: Token) -> Prefix:
        if event != EVENT_NAME:
            reason = f"a prefix is of the event: {EVENT_NAME}[^'pre']"
            self._refuse(reason, token_span(event))
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

    @v_args(meta=True)
    def from_clause(self, meta: object, children: list[object]) -> _From:
        sources: tuple[_Source, ...] = children[0]  # type: ignore[assignment]
        others: tuple[_Source, ...] = ()
        fields: dict[str, object] = {"sources": tuple(each.stream for each in sources)}
        if len(children) > 1:
            _, others, duration, keys = children  # type: ignore[assignment]
            assert isinstance(duration, Literal)
            streams = tuple(each.stream for each in others)
            fields["join"] = JoinClause(streams, self._milliseconds(duration), keys)  # type: ignore[arg-type]
        fields["source_names"] = self._source_names((*sources, *others))
        return _From(fields, tree_span(meta))

    def _source_names(self, sources: tuple[_Source, ...]) -> tuple[str, ...]:
        names = tuple(each.name for each in sources if each.name is not None)
        unnamed = next((each for each in sources if each.name is None), None)
        if names and unnamed is not None:
            reason = "where one source has a name, all have"
            self._refuse(reason, unnamed.span, f"as in `{unnamed.stream} as x`")
        return names

    def sources(self, children: list[_Source]) -> tuple[_Source, ...]:
        return tuple(children)

    @v_args(meta=True)
    def source(self, meta: object, children: list[object]) -> _Source:
        stream, name = children[0], children[1] if len(children) > 1 else None
        assert isinstance(stream, str)
        assert name is None or isinstance(name, Token)
        return _Source(stream, None if name is None else self._name(name), tree_span(meta))

    @v_args(inline=True)
    def source_name(self, token: Token) -> str:
        return self._name(token)

    def join_keys(self, children: list[JoinKey]) -> tuple[JoinKey, ...]:
        return tuple(children)

    def join_key(self, children: list[object]) -> JoinKey:
        left, right = children[0], children[-1]
        assert isinstance(left, Property)
        assert isinstance(right, Property)
        if len(children) > 2 and children[1] not in ("=", "=="):  # noqa: PLR2004 - with its operator
            assert isinstance(children[1], Token)
            self._refuse("a join compares keys with `=`", token_span(children[1]))
        for each in (left, right):
            self._refuse_elements(each)
        return JoinKey(left, right)

    def _refuse_elements(self, property_: Property) -> None:
        if property_.has_any:
            reason = "`[*]` stands for many values; a single one is needed here"
            self._refuse(reason, property_.span)

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
    def group_by(self, meta: object, children: list[Node]) -> _Clause:
        return _Clause("group_by", tuple(map(self._group_key, children)), tree_span(meta))

    def _group_key(self, node: Node) -> GroupKey:
        if not isinstance(node, Property):
            self._refuse_group_key(node)
        self._refuse_elements(node)
        return GroupKey(node, is_path=self._text[node.span.end - 1] == "]")

    def _refuse_group_key(self, node: Node) -> NoReturn:
        span = span_of(node)
        if has_aggregate(self._value(node)):
            self._refuse("an aggregate has no meaning in `group by`", span)
        if isinstance(node, Literal):
            what = f"the number {node.text}" if is_number(node.text) else "a literal"
            hint = "name the property, or what `as` calls the item"
            self._refuse(f"a property is needed here, not {what}", span, hint)
        written = self._text[span.start : span.end]
        hint = f"give it a name: select {written} as k, … group by k"
        self._refuse("`group by` takes properties, and names that `as` gives", span, hint)

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
