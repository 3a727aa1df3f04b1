"""Conditions of the parse tree to syntax, and the values that stand for conditions."""

from __future__ import annotations

from typing import TypeVar

from lark import Token

from mql.language.parsing.values import CONDITIONS, ValueBuilder, read_pattern, unquoted
from mql.language.spans import span_of, token_span
from mql.language.syntax import (
    Aggregate,
    And,
    Arithmetic,
    Between,
    Call,
    Comparator,
    Comparison,
    Condition,
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
    Tick,
    Value,
    values_in,
)
from mql.language.traverse import properties_in

_SPELLINGS = {"=": "==", "<>": "!="}

Node = Value | Condition
_C = TypeVar("_C", bound=Condition)


class ConditionBuilder(ValueBuilder):
    """Builds conditions, bottom up. The grammar has one ladder of rules for them and for values."""

    def or_(self, children: list[Node]) -> Node:
        if len(children) == 1:
            return children[0]
        return Or(tuple(map(self._condition, children)))

    def and_(self, children: list[Node]) -> Node:
        if len(children) == 1:
            return children[0]
        return And(tuple(map(self._condition, children)))

    def not_(self, children: list[Node]) -> Not:
        return Not(self._condition(children[-1]))

    def comparison(self, children: list[object]) -> Comparison:
        left, token, right = children
        operator = Comparator(_SPELLINGS.get(str(token), str(token)))
        return self._one_any(Comparison(operator, self._value(left), self._value(right)))

    def matches(self, children: list[object]) -> Matches:
        left, token = children
        assert isinstance(token, Token)
        return self._one_any(Matches(self._value(left), read_pattern(token), token_span(token)))

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
        return _negate(self._one_any(Like(self._value(left), unquoted(token))), negated)

    def is_null(self, children: list[object]) -> Condition:
        left, negated, (token,) = _split_not(children)
        assert isinstance(token, Token)
        null = Literal(None, "null", token_span(token))
        return _negate(Comparison(Comparator.EQ, self._value(left), null), negated)

    def parenthesized(self, children: list[Node]) -> Node:
        return children[0]

    def _condition(self, node: object) -> Condition:
        """A condition as it is; a bare property as `property == true`."""
        match node:
            case Literal(value=bool(value)):
                return Constant(value, node.span)
            case Property():
                return Comparison(Comparator.EQ, node, Literal(True, "true", node.span))
            case Literal() | Tick() | Provenance() | Arithmetic() | Call() | If() | Aggregate():
                self._refuse("a condition is needed here, such as `status >= 500`", span_of(node))
            case _:
                assert isinstance(node, CONDITIONS)
        return node

    def _one_any(self, condition: _C) -> _C:
        """Refuse a comparison between two `[*]`: which element with which is anybody's guess."""
        paths = [p for v in values_in(condition) for p in properties_in(v) if p.has_any]
        if len(paths) > 1:
            self._refuse("one `[*]` in a comparison, not two", paths[1].span)
        return condition


def _split_not(children: list[object]) -> tuple[object, bool, list[object]]:
    """Take the optional NOT out of `left NOT? rest…`."""
    left, *rest = children
    negated = bool(rest) and isinstance(rest[0], Token) and rest[0].type == "NOT"
    return left, negated, [part for part in rest[negated:] if part is not None]


def _negate(condition: Condition, negated: bool) -> Condition:  # noqa: FBT001
    return Not(condition) if negated else condition
