"""A condition as a cheap Python expression on an event's raw values.

Each is built twice over: what *may* hold (used as it is) and what *surely* holds (used under
`not`), so that the whole is never too strict. A value of a type that JSON does not know, whose
text nobody knows before it is encoded, may be anything.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Sequence
from math import nan

from mql.language.syntax import (
    And,
    Between,
    Call,
    Comparator,
    Comparison,
    Condition,
    Constant,
    Contains,
    In,
    Like,
    Literal,
    Matches,
    Not,
    Or,
    Property,
    Value,
)
from mql.planner.regex_literals import AnyOf, texts_in
from publish_agent.capture.native.binding import EXACT_CHARACTERS_MAX
from publish_agent.screen.code_template import expression, joined, negated

_NUMBERS_MAX = 4_096
"""So many texts are known whose numbers are."""

BIG = 2**63
"""Integers from here on become doubles, or null."""

KNOWN = frozenset({str, int, float, bool, type(None), dict, list})
SCALAR = frozenset({str, int, float, bool, type(None)})
TEXT_OR_NUMBER = frozenset({str, int, float})
NUMBER = frozenset({int, float})

Values = frozenset[str | int | float] | tuple[str | int | float]
"""Literals that are texts or numbers."""

Bind = Callable[[object], ast.expr]
"""Makes a constant part of the code."""

Read = Callable[[Property], str | None]
"""The name of the variable that holds a property; None if the code cannot read it."""

_FLIPPED = {
    Comparator.LT: Comparator.GT,
    Comparator.LE: Comparator.GE,
    Comparator.GT: Comparator.LT,
    Comparator.GE: Comparator.LE,
}


def compile_condition(
    condition: Condition, read: Read, bind: Bind, *, sure: bool = False
) -> ast.expr:
    """An expression that is true wherever the condition may hold, or only where it `sure` does."""
    return _Compiler(read, bind).compile(condition, sure=sure)


def safe_literals(values: tuple[Value, ...]) -> Values | None:
    """The values, if all are texts or numbers that Python compares as MQL does."""
    found = [value.value for value in values if isinstance(value, Literal)]
    if len(found) < len(values) or not all(map(is_safe, found)):
        return None
    safe = [v for v in found if isinstance(v, str | int | float)]
    return (safe[0],) if len(safe) == 1 else frozenset(safe)


def is_safe(value: object) -> bool:
    """Whether a literal is a text or number that no odd value of an event becomes equal to.

    Lone surrogates become U+FFFD, pairs what lies beyond; integers beyond 64 bits become doubles.
    """
    match value:
        case bool() | None:
            return False
        case str():
            return max(value, default="") < "\ufffd"
        case int() | float():
            return -BIG < value < BIG
        case _:
            return False


def texts_needed(condition: Condition) -> tuple[Property, Sequence[AnyOf[str]]] | None:
    """The property, and the texts of which it has to hold one each, where a condition holds."""
    match condition:
        case Contains(Property() as path, Literal(str(text))):
            return path, [(text,)]
        case Matches(Property() as path, pattern):
            return path, texts_in(pattern)
        case Like(Property() as path, pattern):
            return path, [(text,) for text in re.split("[%_]", pattern) if text]
        case _:
            return None


def may_be_null(value: object) -> bool:
    """Whether a value is null once it is JSON, or its type is not known."""
    kind = type(value)
    if kind is float:
        return not math.isfinite(value)  # type: ignore[arg-type]
    if kind is int:
        return not -BIG <= value < BIG  # type: ignore[operator]
    return value is None or kind not in KNOWN


class _Numbers(dict[str, float]):
    """The numbers that short texts are, if they are those of JSON; NaN, or any number, if not."""

    def __missing__(self, text: str) -> float:
        if len(self) >= _NUMBERS_MAX:
            self.clear()
        try:
            number = float(text)
        except ValueError:
            number = nan
        self[text] = number
        return number


NUMBERS = _Numbers()


class _Compiler:
    """`sure` is whether the expression may hold only where the condition does."""

    def __init__(self, read: Read, bind: Bind) -> None:
        self._read = read
        self._bind = bind

    def compile(self, condition: Condition, *, sure: bool) -> ast.expr:
        match condition:
            case Constant(value):
                return ast.Constant(value)
            case Not(inner):
                return negated(self.compile(inner, sure=not sure))
            case And(conditions):
                return joined([self.compile(each, sure=sure) for each in conditions], ast.And())
            case Or(conditions):
                return joined([self.compile(each, sure=sure) for each in conditions], ast.Or())
            case Comparison(Comparator.NE, left, right):
                equal = Comparison(Comparator.EQ, left, right)
                return negated(self.compile(equal, sure=not sure))
            case _:
                return self._leaf(condition, sure=sure) or ast.Constant(not sure)

    def _leaf(self, condition: Condition, *, sure: bool) -> ast.expr | None:
        """None where nothing can be said before the event is encoded."""
        match condition:
            case Comparison(operator, Literal() as left, Property() | Call() as right):
                flipped = _FLIPPED.get(operator, operator)
                return self._leaf(Comparison(flipped, right, left), sure=sure)
            case Comparison(Comparator.EQ, Property() as path, Literal() as right):
                return self._on(path, lambda v: self._equal(v, (right,), sure=sure))
            case Comparison(operator, Property() as path, Literal(value)):
                return self._on(path, lambda v: self._ordered(v, operator, value, sure=sure))
            case Comparison(operator, Call("number", (Property() as path,)), Literal(value)):
                return self._on(path, lambda v: self._number(v, operator, value, sure=sure))
            case In(Property() as path, choices):
                return self._on(path, lambda v: self._equal(v, choices, sure=sure))
            case Between(Property() as path, Literal(low), Literal(high)):
                least = self._on(path, lambda v: self._ordered(v, Comparator.GE, low, sure=sure))
                most = self._on(path, lambda v: self._ordered(v, Comparator.LE, high, sure=sure))
                return least and most and joined([least, most], ast.And())
            case Contains(Property() as path, Literal(str(text))):
                if not is_safe(text):
                    return None
                return self._on(path, lambda v: self._holds(v, [(text,)], sure=sure))
            case Matches(Property() as path) | Like(Property() as path) if not sure:
                _, texts = texts_needed(condition) or (path, ())
                return self._on(path, lambda v: self._holds(v, texts, sure=False))
            case _:
                return None

    def _on(self, path: Property, make: Callable[[str], ast.expr | None]) -> ast.expr | None:
        name = self._read(path)
        return None if name is None else make(name)

    def _equal(self, v: str, choices: tuple[Value, ...], *, sure: bool) -> ast.expr | None:
        parts: list[ast.expr] = []
        rest: list[Value] = []
        for choice in choices:
            match choice:
                case Literal(None):
                    parts.append(expression(f"{v} is None" if sure else f"may_be_null({v})"))
                case Literal(bool(value)):
                    unknown = "" if sure else f" or type({v}) not in KNOWN"
                    parts.append(expression(f"{v} is {value}{unknown}"))
                case _:
                    rest.append(choice)
        if rest:
            values = safe_literals(tuple(rest))
            if values is None:
                return None
            parts.append(self._equal_plain(v, values, sure=sure))
        return joined(parts, ast.Or())

    def _equal_plain(self, v: str, values: Values, *, sure: bool) -> ast.expr:
        if len(values) == 1:
            test, wanted = f"{v} == C", self._bind(next(iter(values)))
        else:
            test, wanted = f"{v} in C", self._bind(values)
        if sure:
            return expression(f"type({v}) in TEXT_OR_NUMBER and {test}", wanted)
        return expression(f"{test} if type({v}) in SCALAR else type({v}) not in KNOWN", wanted)

    def _ordered(
        self, v: str, operator: Comparator, value: object, *, sure: bool
    ) -> ast.expr | None:
        if value is None or isinstance(value, bool):
            return ast.Constant(value=False)
        if not is_safe(value):
            return None
        test = f"{v} {operator.value} C"
        if isinstance(value, str):
            ascii_only = f"{v}.isascii() and " if sure else f"not {v}.isascii() or "
            test, kinds = ascii_only + test, "is str"
        else:
            finite = f"-{BIG} <= {v} <= {BIG} and " if sure else ""
            test, kinds = finite + test, "in NUMBER"
        if sure:
            return expression(f"type({v}) {kinds} and {test}", self._bind(value))
        otherwise = f"type({v}) not in KNOWN"
        return expression(f"({test}) if type({v}) {kinds} else {otherwise}", self._bind(value))

    def _number(
        self, v: str, operator: Comparator, value: object, *, sure: bool
    ) -> ast.expr | None:
        """A number, or the one that a text is; of a text nothing is sure."""
        if isinstance(value, str | bool) or not is_safe(value):
            return None
        wanted = self._bind(value)
        test = f"{v} {operator.value} C"
        if sure:
            finite = f"type({v}) in NUMBER and -{BIG} <= {v} <= {BIG} and {test}"
            return expression(finite, wanted)
        read = f"len({v}) > {EXACT_CHARACTERS_MAX} or NUMBERS[{v}] {operator.value} C"
        rest = f"({read}) if type({v}) is str else type({v}) not in KNOWN"
        return expression(f"({test}) if type({v}) in NUMBER else ({rest})", wanted)

    def _holds(self, v: str, needs: Sequence[AnyOf[str]], *, sure: bool) -> ast.expr:
        """Texts that a value must hold; where it is no text, its JSON may hold them."""
        every = [
            joined([expression(f"C in {v}", self._bind(text)) for text in any_of], ast.Or())
            for any_of in needs
            if all(map(is_safe, any_of))
        ]
        inside, is_text = joined(every, ast.And()), expression(f"type({v}) is str")
        if sure:
            return joined([is_text, inside], ast.And())
        return ast.IfExp(is_text, inside, expression(f"{v} is not None"))
