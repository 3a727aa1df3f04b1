"""Values of the parse tree to syntax: properties, literals and arithmetic."""

from __future__ import annotations

from typing import NoReturn

from lark import Token, Transformer, v_args

from mql.errors import QueryError, Span
from mql.language.quoting import unquote
from mql.language.spans import span_of, token_span, tree_span
from mql.language.syntax import (
    Aggregate,
    And,
    AnyElement,
    Arithmetic,
    ArithmeticOperator,
    Between,
    Call,
    Comparison,
    Constant,
    Contains,
    If,
    In,
    Like,
    Literal,
    Matches,
    Not,
    Or,
    Property,
    Provenance,
    Step,
    Tick,
    Value,
)

MAX_DEPTH = 200
"""Deeper nesting of parentheses and `not` is refused, and a path with more steps."""

CONDITIONS = (Constant, Comparison, Matches, Contains, In, Between, Like, Not, And, Or)
VALUES = (Property, Literal, Tick, Provenance, Arithmetic, Call, If, Aggregate)
_INT64 = range(-(2**63), 2**63)
_LONGEST_INT64 = 20
_SHOWN = 100
"""Of something long so many characters are shown."""


class ValueBuilder(Transformer[Token, object]):
    """Builds values, bottom up. A method is named after the grammar rule it stands for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def _refuse(self, reason: str, span: Span, hint: str = "") -> NoReturn:
        raise QueryError(reason, self._text, span, hint)

    def _value(self, node: object) -> Value:
        if isinstance(node, CONDITIONS):
            self._refuse("a value is needed here, not a condition", span_of(node))
        assert isinstance(node, VALUES)
        return node

    @v_args(inline=True)
    def name(self, token: Token) -> Property:
        if is_number(token):
            counts = self._text[: token_span(token).start].lower().endswith("count(")
            hint = "count(*) counts events" if counts else ""
            self._refuse(
                f"a property is needed here, not the number {token}", token_span(token), hint
            )
        return Property((str(token),), token_span(token))

    @v_args(meta=True)
    def path(self, meta: object, children: list[object]) -> Property:
        event, *rest = children
        steps: list[Step] = rest  # type: ignore[assignment]
        span = tree_span(meta)
        if not isinstance(steps[0], str):
            self._refuse(f"the event's own step is a key, such as {event}['a']", span)
        if len(steps) > MAX_DEPTH:
            self._refuse(f"a path has at most {MAX_DEPTH} steps", span)
        if steps.count(AnyElement.ANY) > 1:
            self._refuse("one `[*]` in a path, not two", span)
        return Property(tuple(steps), span, "" if event == "e" else str(event))

    @v_args(inline=True)
    def key(self, token: Token) -> str:
        return unquoted(token)

    @v_args(inline=True)
    def index(self, token: Token) -> int:
        value = read_number(token)
        if not isinstance(value, int) or value not in range(-(2**31), 2**31):
            self._refuse(f"an index is a whole number, not {token}", token_span(token))
        return value

    @v_args(inline=True)
    def any_element(self, _: Token) -> AnyElement:
        return AnyElement.ANY

    @v_args(inline=True)
    def string(self, token: Token) -> Literal:
        value = unquoted(token)
        return Literal(value, value, token_span(token))

    @v_args(inline=True)
    def number_literal(self, token: Token) -> Literal:
        return self.number([token])

    def number(self, children: list[Token]) -> Literal:
        token = children[0]
        value = read_number(token)
        if value in (float("inf"), float("-inf")):
            self._refuse(f"the number {token[:_SHOWN]} is out of range", token_span(token))
        return Literal(value, str(token), token_span(token))

    @v_args(inline=True)
    def true(self, token: Token) -> Literal:
        return Literal(True, "true", token_span(token))

    @v_args(inline=True)
    def false(self, token: Token) -> Literal:
        return Literal(False, "false", token_span(token))

    @v_args(inline=True)
    def null(self, token: Token) -> Literal:
        return Literal(None, "null", token_span(token))

    @v_args(meta=True)
    def arithmetic(self, meta: object, children: list[object]) -> Arithmetic:
        left, token, right = children
        operator = ArithmeticOperator(str(token))
        return Arithmetic(operator, self._value(left), self._value(right), tree_span(meta))


def unquoted(token: Token) -> str:
    """The text between a token's quotes."""
    return unquote(token[1:-1])


def read_pattern(token: Token) -> str:
    """The pattern between a token's slashes."""
    return str(token)[1:-1].replace("\\/", "/")


def is_number(text: str) -> bool:
    """Whether a name is written like a number."""
    try:
        float(text)
    except ValueError:
        return False
    return text[-1].isdigit()


def read_number(text: str) -> int | float:
    """The value of a number: an integer where 64 bits hold it, else a double."""
    if text.lstrip("-").isdigit() and len(text) <= _LONGEST_INT64:
        value = int(text)
        return value if value in _INT64 else float(value)
    return float(text)
