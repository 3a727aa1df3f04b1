"""Text to `Query`: runs the grammar, builds the tree, refuses what has no meaning anywhere.

A method of `_Builder` is named after the grammar rule it stands for. Whatever the text holds,
only `QueryError` comes out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NoReturn, TypeVar

from lark import Token, Transformer, Tree, UnexpectedEOF, UnexpectedInput, v_args
from lark.exceptions import VisitError

from mql.errors import QueryError, Span
from mql.functions import FUNCTIONS, canonical_name
from mql.grammar import grammar
from mql.messages import describe_unexpected, nearest
from mql.quoting import unquote
from mql.sampling import read_percent, read_sample
from mql.syntax import (
    Aggregate,
    And,
    AnomalyClause,
    AnyElement,
    Arithmetic,
    ArithmeticOperator,
    Between,
    Comparator,
    Comparison,
    Condition,
    Constant,
    Contains,
    CountWindow,
    Everything,
    In,
    Item,
    JoinClause,
    Like,
    Literal,
    Matches,
    Not,
    Or,
    Prefix,
    Property,
    Query,
    SortKey,
    Step,
    Tick,
    TimeWindow,
    Value,
    WindowClause,
)
from mql.traverse import properties_in, values_in

MAX_TEXT = 1 << 20
"""A longer query (in characters) is refused."""

MAX_WORDS = 25_000
"""A query of more words and signs is refused: reading one takes some ten microseconds."""

MAX_DEPTH = 200
"""Deeper nesting of parentheses and `not` is refused, and a path with more steps."""

_SPELLINGS = {"=": "==", "<>": "!="}
_CONDITIONS = (Constant, Comparison, Matches, Contains, In, Between, Like, Not, And, Or)
_INT64 = range(-(2**63), 2**63)
_LONGEST_INT64 = 20
_SHORT = 2_000
"""Characters of a query that is remembered."""

_SHOWN = 100
"""Of something long so many characters are shown."""

_Node = Value | Condition
_C = TypeVar("_C", bound=Condition)


def parse(text: str) -> Query:
    """Parse a query.

    Raises QueryError, which says where and what was expected.

    >>> parse("select a limit 3").items[0].value
    Property(steps=('a',))
    """
    if not isinstance(text, str):
        raise TypeError(f"a query is a str, not {type(text).__name__}")
    if len(text) > MAX_TEXT:
        reason = f"the query has {len(text):,} characters; at most {MAX_TEXT:,} are taken"
        raise QueryError(reason, text[:200], Span(0, 1))
    return _known(text) if len(text) <= _SHORT else _parse(text)


def _parse(text: str) -> Query:
    _check_depth(text)
    try:
        query = _Builder(text).transform(_read(text))
    except VisitError as error:
        if isinstance(error.orig_exc, QueryError):
            raise error.orig_exc from None
        if isinstance(error.orig_exc, RecursionError):
            raise _too_deep(text, 0) from None
        raise
    except RecursionError:
        raise _too_deep(text, 0) from None
    assert isinstance(query, Query)
    return query


_known = lru_cache(maxsize=256)(_parse)
"""The same query is asked again and again, and what it is parsed to never changes."""


def _read(text: str) -> Tree[Token]:
    """The parse tree. Raises QueryError where the grammar ends, or the text goes on too long."""
    parser = grammar().parse_interactive(text)
    token: Token | None = None
    try:
        for number, token in enumerate(parser.iter_parse()):
            if number == MAX_WORDS:
                reason = f"more words and signs than a query may have: {MAX_WORDS:,}"
                raise QueryError(reason, text, _span(token))
        tree = parser.feed_eof(token)  # type: ignore[no-untyped-call]
    except UnexpectedInput as error:
        raise _unexpected(error, text) from None
    assert isinstance(tree, Tree)
    return tree


def _check_depth(text: str) -> None:
    """Refuse deep nesting before anything recursive sees it; quotes are not worth knowing here."""
    depth = 0
    for position, character in enumerate(text):
        if character == "(":
            depth += 1
            if depth > MAX_DEPTH:
                raise _too_deep(text, position)
        elif character == ")":
            depth = max(0, depth - 1)


def _too_deep(text: str, position: int) -> QueryError:
    reason = f"nested too deeply; at most {MAX_DEPTH} levels are taken"
    return QueryError(reason, text, Span(position, position + 1))


def _unexpected(error: UnexpectedInput, text: str) -> QueryError:
    if isinstance(error, UnexpectedEOF) or _is_end(error):
        position = len(text.rstrip())
        if not position:
            return QueryError("the query is empty", text, Span(0, 1), "try: select * from stream")
        span = Span(position, position + 1)
    else:
        start = error.pos_in_stream or 0  # type: ignore[redundant-expr]
        token = getattr(error, "token", None)
        end = token.end_pos if token is not None and token.end_pos else start + 1
        span = Span(start, end)
    reason, hint = describe_unexpected(text, span, _accepted(text))
    return QueryError(reason, text, span, hint)


def _accepted(text: str) -> set[str]:
    """The terminals that could have stood where the parser stopped."""
    parser = grammar().parse_interactive(text)
    try:
        for _ in parser.iter_parse():
            pass
    except UnexpectedInput:
        pass
    return set(parser.accepts())  # type: ignore[no-untyped-call]


def _is_end(error: UnexpectedInput) -> bool:
    token = getattr(error, "token", None)
    return token is not None and token.type == "$END"


def _span(token: Token) -> Span:
    start = token.start_pos or 0
    return Span(start, token.end_pos if token.end_pos is not None else start + len(token))


def span_of(node: Value | Condition | Prefix | Everything) -> Span:
    """The place of a node in the query's text, from its first leaf to its last."""
    match node:
        case Property() | Prefix() | Literal() | Tick() | Arithmetic() | Aggregate() | Everything():
            return node.span
        case Matches():
            return Span(span_of(node.left).start, node.span.end)
        case Comparison(_, left, right) | Contains(left, right):
            return Span(span_of(left).start, span_of(right).end)
        case Constant():
            return Span(0, 1)
        case In(left, choices):
            return Span(span_of(left).start, span_of(choices[-1]).end)
        case Between(left, _, high):
            return Span(span_of(left).start, span_of(high).end)
        case Like(left, _):
            return span_of(left)
        case Not(condition):
            return span_of(condition)
        case And(conditions) | Or(conditions):
            return Span(span_of(conditions[0]).start, span_of(conditions[-1]).end)


class _Clause:
    """A parsed clause on its way into the query: which field, its value, where it stood."""

    def __init__(self, name: str, value: object, span: Span) -> None:
        self.name = name
        self.value = value
        self.span = span


class _Builder(Transformer[Token, object]):
    """Turns the parse tree into syntax, bottom up."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def _refuse(self, reason: str, span: Span, hint: str = "") -> NoReturn:
        raise QueryError(reason, self._text, span, hint)

    # The whole query

    def start(self, children: list[object]) -> Query:
        items, *rest = children
        assert isinstance(items, tuple)
        found: dict[str, object] = {}
        for part in rest:
            if isinstance(part, dict):
                found |= part
                continue
            assert isinstance(part, _Clause)
            if part.name in found:
                written = part.name.replace("_", " ")
                self._refuse(f"a second `{written}`; each clause stands at most once", part.span)
            found[part.name] = part.value
        return Query(items=items, text=self._text, **found)  # type: ignore[arg-type]

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
        return Everything(_span(token))

    @v_args(inline=True)
    def prefix(self, token: Token) -> Prefix:
        return Prefix(_unquote(token), _span(token))

    @v_args(inline=True)
    def alias(self, token: Token) -> str:
        return self._name(token)

    def _name(self, token: Token) -> str:
        if token.type == "STRING":
            return _unquote(token)
        if _is_number(token):
            self._refuse(f"a name is needed here, not the number {token}", _span(token))
        return str(token)

    # Sources

    def from_clause(self, children: list[object]) -> dict[str, object]:
        sources = children[0]
        if len(children) == 1:
            return {"sources": sources}
        _, others, number, keys = children
        assert isinstance(number, Literal)
        within_ms = self._milliseconds(number)
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

    # Clauses

    @v_args(meta=True)
    def where(self, meta: object, children: list[_Node]) -> _Clause:
        return _Clause("where", self._condition(children[0]), _meta_span(meta))

    @v_args(meta=True)
    def having(self, meta: object, children: list[_Node]) -> _Clause:
        return _Clause("having", self._condition(children[0]), _meta_span(meta))

    @v_args(meta=True)
    def window(self, meta: object, children: list[WindowClause]) -> _Clause:
        return _Clause("window", children[0], _meta_span(meta))

    def time_window(self, children: list[Literal]) -> TimeWindow:
        spans = [self._milliseconds(number) for number in children]
        for number, span_ms in zip(children, spans, strict=True):
            if span_ms <= 0:
                self._refuse(
                    "a window is longer than nothing (at least 0.001 seconds)", number.span
                )
        return TimeWindow(spans[0], spans[-1])

    @v_args(inline=True)
    def count_window(self, token: Token) -> CountWindow:
        count = int(token.strip("| \t\r\n"))
        if not 0 < count < 2**31:
            self._refuse("a window holds at least one event, and fewer than 2^31", _span(token))
        return CountWindow(count)

    @v_args(meta=True)
    def group_by(self, meta: object, children: list[tuple[Property, ...]]) -> _Clause:
        return _Clause("group_by", children[0], _meta_span(meta))

    @v_args(meta=True)
    def order_by(self, meta: object, children: list[SortKey]) -> _Clause:
        return _Clause("order_by", tuple(children), _meta_span(meta))

    def sort_key(self, children: list[object]) -> SortKey:
        direction = children[1] if len(children) > 1 else None
        descending = isinstance(direction, Token) and direction.type == "DESC"
        return SortKey(self._value(children[0]), descending)

    @v_args(meta=True)
    def limit(self, meta: object, children: list[Literal]) -> _Clause:
        number = children[0]
        if not isinstance(number.value, int) or not 0 <= number.value < 2**63:
            self._refuse(f"a limit is a whole number from 0 up, not {number.text}", number.span)
        return _Clause("limit", number.value, _meta_span(meta))

    @v_args(meta=True)
    def sample(self, meta: object, children: list[Token]) -> _Clause:
        token = children[0]
        try:
            sample = read_percent(token) if token.type == "PERCENT" else read_sample(token)
        except ValueError as error:
            self._refuse(str(error), _span(token))
        return _Clause("sample", sample, _meta_span(meta))

    @v_args(meta=True)
    def anomaly(self, meta: object, children: list[object]) -> _Clause:
        method, subject, *numbers = children
        assert isinstance(method, Token)
        name = method.lower()
        counts = {"mad": (2,), "des": (2, 3)}
        if name not in counts:
            hint = nearest(name, list(counts))
            self._refuse(
                f"unknown anomaly method `{method}`; there are mad and des", _span(method), hint
            )
        if len(numbers) not in counts[name]:
            wanted = "alpha and beta" + (" (and a threshold, if you like)" if name == "des" else "")
            self._refuse(f"{name} takes {wanted}", _span(method))
        parameters = tuple(float(n.value) for n in numbers)  # type: ignore[attr-defined]
        clause = AnomalyClause(name, self._value(subject), parameters)
        return _Clause("anomaly", clause, _meta_span(meta))

    def _milliseconds(self, number: Literal) -> int:
        assert isinstance(number.value, int | float)
        if not 0 <= number.value <= 10**9:
            self._refuse("a span is from 0 to 1,000,000,000 seconds", number.span)
        return round(number.value * 1000)

    # Conditions

    def or_(self, children: list[_Node]) -> _Node:
        if len(children) == 1:
            return children[0]
        return Or(tuple(map(self._condition, children)))

    def and_(self, children: list[_Node]) -> _Node:
        if len(children) == 1:
            return children[0]
        return And(tuple(map(self._condition, children)))

    def not_(self, children: list[_Node]) -> Not:
        return Not(self._condition(children[-1]))

    def comparison(self, children: list[object]) -> Comparison:
        left, token, right = children
        operator = Comparator(_SPELLINGS.get(str(token), str(token)))
        return self._one_any(Comparison(operator, self._value(left), self._value(right)))

    def matches(self, children: list[object]) -> Matches:
        left, token = children
        assert isinstance(token, Token)
        pattern = str(token)[1:-1].replace("\\/", "/")
        return self._one_any(Matches(self._value(left), pattern, _span(token)))

    def contains(self, children: list[object]) -> Contains:
        return self._one_any(Contains(self._value(children[0]), self._value(children[1])))

    def in_(self, children: list[object]) -> Condition:
        left, negated, rest = _split_not(children)
        return _negate(self._one_any(In(self._value(left), tuple(map(self._value, rest)))), negated)

    def between(self, children: list[object]) -> Condition:
        left, negated, (low, high) = _split_not(children)
        between = Between(self._value(left), self._value(low), self._value(high))
        return _negate(self._one_any(between), negated)

    def like(self, children: list[object]) -> Condition:
        left, negated, (token,) = _split_not(children)
        assert isinstance(token, Token)
        return _negate(self._one_any(Like(self._value(left), _unquote(token))), negated)

    def is_null(self, children: list[object]) -> Condition:
        left, negated, (token,) = _split_not(children)
        assert isinstance(token, Token)
        null = Literal(None, "null", _span(token))
        return _negate(Comparison(Comparator.EQ, self._value(left), null), negated)

    def parenthesized(self, children: list[_Node]) -> _Node:
        return children[0]

    def _condition(self, node: object) -> Condition:
        """A condition as it is; a bare property as `property == true`."""
        match node:
            case Literal(value=bool(value)):
                return Constant(value)
            case Property():
                return Comparison(Comparator.EQ, node, Literal(True, "true", node.span))
            case Literal() | Tick() | Arithmetic() | Aggregate():
                self._refuse("a condition is needed here, such as `status >= 500`", span_of(node))
            case _:
                assert isinstance(node, _CONDITIONS)
        return node

    def _value(self, node: object) -> Value:
        if isinstance(node, _CONDITIONS):
            self._refuse("a value is needed here, not a condition", span_of(node))
        assert isinstance(node, Property | Literal | Tick | Arithmetic | Aggregate)
        return node

    def _one_any(self, condition: _C) -> _C:
        """Refuse a comparison between two `[*]`: which element with which is anybody's guess."""
        paths = [p for v in values_in(condition) for p in properties_in(v) if p.has_any]
        if len(paths) > 1:
            self._refuse("one `[*]` in a comparison, not two", paths[1].span)
        return condition

    # Values

    @v_args(meta=True)
    def arithmetic(self, meta: object, children: list[object]) -> Arithmetic:
        left, token, right = children
        operator = ArithmeticOperator(str(token))
        return Arithmetic(operator, self._value(left), self._value(right), _meta_span(meta))

    @v_args(inline=True)
    def name(self, token: Token) -> Property:
        if _is_number(token):
            counts = self._text[: _span(token).start].lower().endswith("count(")
            hint = "count(*) counts events" if counts else ""
            self._refuse(f"a property is needed here, not the number {token}", _span(token), hint)
        return Property((str(token),), _span(token))

    @v_args(meta=True)
    def path(self, meta: object, steps: list[Step]) -> Property:
        span = _meta_span(meta)
        if not isinstance(steps[0], str):
            self._refuse("the event's own step is a key, such as e['a']", span)
        if len(steps) > MAX_DEPTH:
            self._refuse(f"a path has at most {MAX_DEPTH} steps", span)
        if steps.count(AnyElement.ANY) > 1:
            self._refuse("one `[*]` in a path, not two", span)
        return Property(tuple(steps), span)

    @v_args(inline=True)
    def key(self, token: Token) -> str:
        return _unquote(token)

    @v_args(inline=True)
    def index(self, token: Token) -> int:
        value = _number(token)
        if not isinstance(value, int) or value not in range(-(2**31), 2**31):
            self._refuse(f"an index is a whole number, not {token}", _span(token))
        return value

    @v_args(inline=True)
    def any_element(self, _: Token) -> AnyElement:
        return AnyElement.ANY

    @v_args(inline=True)
    def string(self, token: Token) -> Literal:
        value = _unquote(token)
        return Literal(value, value, _span(token))

    @v_args(inline=True)
    def number_literal(self, token: Token) -> Literal:
        return self.number([token])

    def number(self, children: list[Token]) -> Literal:
        token = children[0]
        value = _number(token)
        if value in (float("inf"), float("-inf")):
            self._refuse(f"the number {token[:_SHOWN]} is out of range", _span(token))
        return Literal(value, str(token), _span(token))

    @v_args(inline=True)
    def true(self, token: Token) -> Literal:
        return Literal(True, "true", _span(token))

    @v_args(inline=True)
    def false(self, token: Token) -> Literal:
        return Literal(False, "false", _span(token))

    @v_args(inline=True)
    def null(self, token: Token) -> Literal:
        return Literal(None, "null", _span(token))

    def all_events(self, _: list[Token]) -> Everything:
        return Everything()

    def property_argument(self, children: list[object]) -> tuple[bool, Property]:
        argument = children[-1]
        assert isinstance(argument, Property)
        if argument.has_any:
            self._refuse("`[*]` stands for many values; a single one is needed here", argument.span)
        return len(children) > 1, argument

    def filter(self, children: list[_Node]) -> Condition:
        return self._condition(children[0])

    def call(self, children: list[object]) -> Tick | Aggregate:
        token, argument, condition = _call_parts(children)
        span = _span(token)
        if token.lower() == "tick":
            if argument is not None or condition is not None:
                self._refuse("tick() takes nothing", span)
            return Tick(span)
        name = canonical_name(token)
        if name is None:
            known = [*map(str.lower, FUNCTIONS), "avg", "tick"]
            self._refuse(f"unknown function `{token[:_SHOWN]}`", span, nearest(token, known))
        if argument is None:
            self._refuse(f"{token}() of what? Name a property: {token}(a)", span)
        if isinstance(argument, Everything):
            if name != "COUNT":
                self._refuse(f"only count takes `*`; name a property: {token}(a)", span)
            return Aggregate(name, None, False, condition, span)
        distinct, property_ = argument
        return Aggregate(name, property_, distinct, condition, span)


def _call_parts(
    children: list[object],
) -> tuple[Token, Everything | tuple[bool, Property] | None, Condition | None]:
    token, *rest = children
    assert isinstance(token, Token)
    argument: Everything | tuple[bool, Property] | None = None
    condition: Condition | None = None
    for part in rest:
        if isinstance(part, Everything | tuple):
            argument = part
        elif part is not None:
            condition = part  # type: ignore[assignment]
    return token, argument, condition


def _split_not(children: list[object]) -> tuple[object, bool, list[object]]:
    """Take the optional NOT out of `left NOT? rest…`."""
    left, *rest = children
    negated = bool(rest) and isinstance(rest[0], Token) and rest[0].type == "NOT"
    return left, negated, [part for part in rest[negated:] if part is not None]


def _negate(condition: Condition, negated: bool) -> Condition:  # noqa: FBT001
    return Not(condition) if negated else condition


def _meta_span(meta: object) -> Span:
    start = getattr(meta, "start_pos", 0)
    return Span(start, getattr(meta, "end_pos", start + 1))


def _unquote(token: Token) -> str:
    return unquote(token[1:-1])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text[-1].isdigit()


def _number(text: str) -> int | float:
    if text.lstrip("-").isdigit() and len(text) <= _LONGEST_INT64:
        value = int(text)
        return value if value in _INT64 else float(value)
    return float(text)
