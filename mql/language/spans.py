"""Spans: the places of tokens, trees and nodes in the text of a query."""

from __future__ import annotations

from lark import Token

from mql.errors import Span
from mql.language.syntax import (
    Aggregate,
    And,
    Arithmetic,
    Between,
    Call,
    Comparison,
    Condition,
    Constant,
    Contains,
    Everything,
    If,
    In,
    Like,
    Literal,
    Matches,
    Not,
    Or,
    Prefix,
    Property,
    Provenance,
    Tick,
    Value,
)


def token_span(token: Token) -> Span:
    """The place of a token."""
    start = token.start_pos or 0
    return Span(start, token.end_pos if token.end_pos is not None else start + len(token))


def tree_span(meta: object) -> Span:
    """The place of a rule's text, its first word included. Lark keeps it as `meta` of the tree."""
    start = getattr(meta, "start_pos", 0)
    return Span(start, getattr(meta, "end_pos", start + 1))


def span_of(node: Value | Condition | Prefix | Everything) -> Span:
    """The place of a node in the query's text, from its first leaf to its last."""
    match node:
        case Property() | Prefix() | Everything() | Literal() | Constant() | Tick():
            return node.span
        case Provenance() | Arithmetic() | Call() | If() | Aggregate():
            return node.span
        case Matches():
            return Span(span_of(node.left).start, node.span.end)
        case Comparison(_, left, right) | Contains(left, right):
            return Span(span_of(left).start, span_of(right).end)
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
