"""Calls of the parse tree to syntax: aggregates, scalar functions, and what an event carries."""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn, TypeGuard

from lark import Token, v_args

from mql.errors import Span
from mql.language.diagnostics import nearest
from mql.language.functions import FUNCTIONS, canonical_name
from mql.language.parsing.conditions import ConditionBuilder, Node
from mql.language.parsing.values import is_number, read_pattern
from mql.language.scalars import DIGITS_MAX, IF_WRITTEN, SCALARS, ScalarFunction
from mql.language.spans import span_of, token_span, tree_span
from mql.language.syntax import (
    Aggregate,
    Call,
    Condition,
    Everything,
    If,
    Literal,
    Origin,
    Provenance,
    Tick,
    Value,
    has_aggregate,
    values_in,
)
from mql.language.traverse import properties_in

_PERCENTILE = re.compile(r"p([0-9]{1,2})([0-9]*)")
_SHOWN = 100
_PERCENT_MAX = 100
_ORIGINS = {origin.value: origin for origin in Origin}
_KNOWN = [*map(str.lower, FUNCTIONS), "avg", "tick", "if", *SCALARS, *_ORIGINS]


class _Distinct(NamedTuple):
    """`distinct a` in an aggregate."""

    value: Node


class _Filter(NamedTuple):
    """`filter (where …)` behind a call."""

    condition: Condition
    span: Span


class _Pattern(NamedTuple):
    """A regex among the arguments."""

    text: str
    span: Span


class CallBuilder(ConditionBuilder):
    """Builds calls, bottom up."""

    def all_events(self, children: list[Token]) -> Everything:
        return Everything(token_span(children[0]))

    def distinct(self, children: list[object]) -> _Distinct:
        return _Distinct(children[-1])  # type: ignore[arg-type]

    @v_args(meta=True)
    def filter(self, meta: object, children: list[Node]) -> _Filter:
        return _Filter(self._condition(children[0]), tree_span(meta))

    @v_args(meta=True)
    def call(self, meta: object, children: list[object]) -> Value:
        token, *rest = children
        assert isinstance(token, Token)
        arguments = [_Pattern(read_pattern(a), token_span(a)) if _is_token(a) else a for a in rest]
        condition = arguments.pop() if arguments and isinstance(arguments[-1], _Filter) else None
        name, function = token.lower(), canonical_name(token)
        if function is not None:
            assert condition is None or isinstance(condition, _Filter)
            return self._aggregate(token, function, arguments, condition)
        if name not in _KNOWN:
            hint = _percentile_meant(name) or nearest(token, _KNOWN)
            self._refuse(f"unknown function `{token[:_SHOWN]}`", token_span(token), hint)
        self._refuse_what_aggregates_take(token, arguments, condition)
        span = tree_span(meta)
        if name in SCALARS:
            return self._scalar(SCALARS[name], token, arguments, span)
        if name == "if":
            return self._if(token, arguments, span)
        if arguments:
            self._refuse(f"{name}() takes nothing", token_span(token))
        return Tick(span) if name == "tick" else Provenance(_ORIGINS[name], span)

    def _refuse_what_aggregates_take(
        self, token: Token, arguments: list[object], condition: object
    ) -> None:
        if isinstance(condition, _Filter):
            self._refuse(f"only aggregates take a filter, and {token} is none", condition.span)
        for argument in arguments:
            if isinstance(argument, Everything):
                self._refuse("`*` stands for all events, in count(*) only", argument.span)
            if isinstance(argument, _Distinct):
                reason = f"only aggregates take `distinct`, and {token} is none"
                self._refuse(reason, span_of(self._value(argument.value)))

    def _aggregate(
        self, token: Token, name: str, arguments: list[object], filter_: _Filter | None
    ) -> Aggregate:
        span, function = token_span(token), FUNCTIONS[name]
        condition = filter_.condition if filter_ else None
        if not arguments:
            self._refuse(f"{token}() of what? Name a property: {token}(a)", span)
        first, *others = arguments
        if isinstance(first, Everything):
            if not function.counts_events or others:
                self._refuse(f"only count takes `*`; name a property: {token}(a)", span)
            return Aggregate(name, None, False, condition, span)
        percent = self._percent(token, others) if function.takes_percent else None
        if others and not function.takes_percent:
            self._refuse(f"{token} takes one value: {token}(a)", self._place(others[0]))
        distinct = isinstance(first, _Distinct)
        value = self._argument(first.value if isinstance(first, _Distinct) else first)
        if isinstance(value, Literal):
            hint = "count(*) counts events" if function.counts_events else ""
            what = f"the number {value.text}" if is_number(value.text) else "a literal"
            self._refuse(f"a property is needed here, not {what}", value.span, hint)
        if has_aggregate(value):
            self._refuse("an aggregate inside an aggregate has no meaning", span_of(value))
        return Aggregate(name, value, distinct, condition, span, percent)

    def _percent(self, token: Token, others: list[object]) -> Literal:
        if len(others) != 1:
            reason = f"{token} takes a value and a percentage: {token}(a, 99.9)"
            self._refuse(reason, token_span(token))
        percent = others[0]
        number = percent.value if isinstance(percent, Literal) else None
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if not is_number or not 0 <= number <= _PERCENT_MAX:  # type: ignore[operator]
            reason = f"the percentage of {token} is a number from 0 to {_PERCENT_MAX}"
            self._refuse(reason, self._place(percent))
        assert isinstance(percent, Literal)
        return percent

    def _scalar(
        self, function: ScalarFunction, token: Token, arguments: list[object], span: Span
    ) -> Call:
        pattern = None
        if function.takes_pattern and arguments and isinstance(arguments[-1], _Pattern):
            pattern = arguments.pop()
        if not function.takes(len(arguments)) or (pattern is None) == function.takes_pattern:
            self._refuse_call(function.name, function.written, token)
        values = tuple(map(self._argument, arguments))
        if function.literal_digits and not function.takes(len(values) + 1):
            self._check_digits(token, values[-1])
        assert pattern is None or isinstance(pattern, _Pattern)
        if pattern is None:
            return Call(function.name, values, None, span)
        return Call(function.name, values, pattern.text, span, pattern.span)

    def _check_digits(self, token: Token, digits: Value) -> None:
        number = digits.value if isinstance(digits, Literal) else None
        is_whole = isinstance(number, int) and not isinstance(number, bool)
        if not is_whole or not -DIGITS_MAX <= number <= DIGITS_MAX:  # type: ignore[operator]
            reason = f"the digits of {token} are a whole number from {-DIGITS_MAX} to {DIGITS_MAX}"
            self._refuse(reason, span_of(digits))

    def _if(self, token: Token, arguments: list[object], span: Span) -> If:
        wanted = 3
        if len(arguments) != wanted or any(isinstance(a, _Pattern) for a in arguments):
            self._refuse_call("if", IF_WRITTEN, token)
        condition = self._condition(arguments[0])
        for value in values_in(condition):
            self._refuse_any(value)
        return If(condition, self._argument(arguments[1]), self._argument(arguments[2]), span)

    def _refuse_call(self, name: str, written: str, token: Token) -> NoReturn:
        self._refuse(f"{name} is written {written}", token_span(token))

    def _argument(self, node: object) -> Value:
        if isinstance(node, _Pattern):
            self._refuse("a value is needed here, not a regex", node.span)
        value = self._value(node)
        self._refuse_any(value)
        return value

    def _refuse_any(self, value: Value) -> None:
        for each in properties_in(value):
            if each.has_any:
                reason = "`[*]` stands for many values; a single one is needed here"
                self._refuse(reason, each.span)

    def _place(self, node: object) -> Span:
        match node:
            case _Pattern() | Everything():
                return node.span
            case _Distinct(value):
                return span_of(value)
            case _:
                return span_of(node)  # type: ignore[arg-type]


def _percentile_meant(name: str) -> str:
    """A hint for `p98` and `p999`, where there is no function of that name."""
    found = _PERCENTILE.fullmatch(name)
    if found is None:
        return ""
    return f"percentile(a, {found[1].lstrip('0') or 0}{found[2] and '.'}{found[2]}) is that"


def _is_token(node: object) -> TypeGuard[Token]:
    return isinstance(node, Token)
