"""Text to `Query`: runs the grammar, builds the tree, refuses what has no meaning anywhere.

Whatever the text holds, only `QueryError` comes out.
"""

from __future__ import annotations

from functools import lru_cache

from lark import Token, Tree, UnexpectedEOF, UnexpectedInput
from lark.exceptions import VisitError

from mql.errors import QueryError, Span
from mql.language.diagnostics import describe_unexpected
from mql.language.grammar import grammar
from mql.language.parsing.tree import QueryBuilder
from mql.language.parsing.values import MAX_DEPTH
from mql.language.spans import token_span
from mql.language.syntax import Query

MAX_TEXT = 1 << 20
"""A longer query (in characters) is refused."""

MAX_WORDS = 25_000
"""A query of more words and signs is refused: reading one takes some ten microseconds."""

_DEEPER = {"_OPEN": 1, "_CLOSE": -1}
_SHORT = 2_000
"""Characters of a query that is remembered."""


def parse(text: str) -> Query:
    """Parse a query.

    Raises QueryError, which says where and what was expected.

    >>> parse("select a limit 3").items[0].value
    Property(steps=('a',), source='')
    """
    if not isinstance(text, str):
        raise TypeError(f"a query is a str, not {type(text).__name__}")
    if len(text) > MAX_TEXT:
        reason = f"the query has {len(text):,} characters; at most {MAX_TEXT:,} are taken"
        raise QueryError(reason, text[:200], Span(0, 1))
    return _known(text) if len(text) <= _SHORT else _parse(text)


def _parse(text: str) -> Query:
    try:
        query = QueryBuilder(text).transform(_read(text))
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
    depth = 0
    try:
        for number, token in enumerate(parser.iter_parse()):
            depth += _DEEPER.get(token.type, 0)
            if depth > MAX_DEPTH:
                raise _too_deep(text, token.start_pos or 0)
            if number == MAX_WORDS:
                reason = f"more words and signs than a query may have: {MAX_WORDS:,}"
                raise QueryError(reason, text, token_span(token))
        tree = parser.feed_eof(token)  # type: ignore[no-untyped-call]
    except UnexpectedInput as error:
        raise _unexpected(error, text) from None
    assert isinstance(tree, Tree)
    return tree


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
