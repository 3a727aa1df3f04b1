"""What a column is called that has no `as`."""

from __future__ import annotations

import re

from mql.language.format import format_value
from mql.language.spans import span_of
from mql.language.syntax import (
    Aggregate,
    Arithmetic,
    Call,
    If,
    Item,
    Literal,
    Property,
    Provenance,
    Tick,
    Value,
)

QUOTED_OR_BLANKS = re.compile(r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|\s+""", re.DOTALL)


def name_of(item: Item, query_text: str) -> str:
    """Its alias, or what its value says; an expression's name is its text in the query."""
    match item.value:
        case _ if item.alias is not None:
            return item.alias
        case Literal(_, written):
            return written
        case Tick():
            return "tick"
        case Provenance(origin):
            return origin.value
        case Aggregate(function, None):
            return f"{function}(*)"
        case Aggregate(function, argument) as call if argument is not None:
            percent = "" if call.percent is None else f", {call.percent.text}"
            return f"{function}({written_of(argument, query_text)}{percent})"
        case Property() | Arithmetic() | Call() | If() as value:
            return written_of(value, query_text)
        case _:
            raise AssertionError(item)


def written_of(value: Value, query_text: str) -> str:
    """A path joined with dots, or an expression as it is written, runs of blanks made one."""
    if isinstance(value, Property):
        return ".".join(map(str, value.steps))
    span = span_of(value)
    written = query_text[span.start : span.end]
    return QUOTED_OR_BLANKS.sub(lambda m: m[1] or " ", written) or format_value(value)
