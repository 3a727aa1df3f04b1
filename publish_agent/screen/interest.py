"""What a subscription wants of a stream, made ready for any screen it becomes a part of."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

from mql.language.syntax import (
    And,
    AnyElement,
    Call,
    Comparator,
    Comparison,
    Condition,
    Constant,
    In,
    Literal,
    Property,
)
from publish_agent.capture.event_buffer import Place
from publish_agent.capture.redaction import Redaction
from publish_agent.capture.value_columns import Needs
from publish_agent.screen import condition_code as rules
from publish_agent.screen.code_template import expression as template
from publish_agent.screen.code_template import joined, run, statements
from publish_agent.screen.condition_code import Values
from publish_agent.screen.path_code import AGENT, NAMES, Reader

MAX_FORMS = 1_000
"""Distinct forms of compiled tests that are kept; beyond, the work is done by columns."""

Tested = tuple[tuple[object, ...], Place]
"""The constants of a test, and the subscription that is in if it passes."""

Test = Callable[[object, Sequence[Tested]], tuple[Place, ...]]
"""Tests an event for subscriptions whose conditions differ in their constants only."""

Judge = Callable[[object], bool | None]
"""Whether an event, read from its JSON text, passes; None where that has to be computed."""

_LEAST = {Comparator.GT: True, Comparator.GE: True, Comparator.LT: False, Comparator.LE: False}


@dataclass(frozen=True, slots=True)
class Bound:
    """A number that a property has to be at least, or at most; to be it counts as well.

    If it `reads_texts`, the property may as well be the text of such a number.
    """

    path: Property
    is_least: bool
    number: float
    reads_texts: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one subscription wants.

    `key` is a property and the values that an index holds, and `bound` what thresholds hold; `test`
    and `constants` are what is tested after the look-up. Without any of them, `condition` is tested
    (None: every event is wanted). `needs` is what is enough to keep of an event, if that is little.
    """

    key: tuple[Property, Values] | None = None
    bound: Bound | None = None
    test: Test | None = None
    constants: tuple[object, ...] = ()
    condition: Condition | None = None
    needs: Needs | None = None

    def __str__(self) -> str:
        if self.key is not None:
            tested = ", tested" * bool(self.test or self.bound)
            return f"index on {_name(self.key[0])}{tested}"
        if self.bound is not None:
            return f"thresholds of {_name(self.bound.path)}"
        match self.condition:
            case None:
                return "every event"
            case Constant(value=False):
                return "no event"
            case _:
                return "tested"


class Wants:
    """Makes `Wanted` of conditions; equal forms share their compiled tests."""

    def __init__(self, redaction: Redaction, agent: Mapping[str, object]) -> None:
        self._redaction = redaction
        self._agent = dict(agent)
        self._forms: dict[str, Any] = {}

    def prepare(self, conditions: Sequence[Condition], needs: Needs | None = None) -> Wanted:
        """A subscription by the conditions of its filter, all of which have to hold."""
        if Constant(value=False) in conditions:
            return Wanted(condition=Constant(value=False))
        keyed = next((c for c in conditions if _key(c) is not None), None)
        bounded = next((c for c in conditions if _bound(c) is not None), None)
        if keyed is not None:
            rest = [c for c in conditions if c is not keyed]
            bound = _bound(rest[0]) if len(rest) == 1 and bounded is rest[0] else None
            if bound is not None and not bound.reads_texts:
                return Wanted(_key(keyed), bound, needs=needs)
            test, constants = self._test(rest)
            return Wanted(_key(keyed), None, test, constants, needs=needs)
        match len(conditions):
            case 0:
                return Wanted(needs=needs)
            case 1:
                bound = _bound(conditions[0])
                condition = None if bound else conditions[0]
                return Wanted(bound=bound, condition=condition, needs=needs)
            case _:
                return Wanted(condition=And(tuple(conditions)), needs=needs)

    def _test(self, conditions: list[Condition]) -> tuple[Test | None, tuple[object, ...]]:
        """A test of what is left after a look-up; those of the same form share one function."""
        constants: list[object] = []

        def lift(value: object) -> ast.expr:
            constants.append(value)
            return template(f"constants[{len(constants) - 1}]")

        reader = Reader(self._redaction, self._agent)
        each = [rules.compile_condition(c, reader.read, lift) for c in conditions]
        expression = joined(each, ast.And())
        if isinstance(expression, ast.Constant) or reader.names:
            return None, ()
        test = self._of_form(statements(_TESTS, expression, reader.body), "tests")
        return (None, ()) if test is None else (test, tuple(constants))

    def judge(self, conditions: Sequence[Condition]) -> Judge | None:
        """What tells of one event at a time, and sooner than by columns, whether it passes."""
        if not conditions:
            return _is_event
        constants: list[object] = []

        def lift(value: object) -> ast.expr:
            constants.append(value)
            return template(f"constants[{len(constants) - 1}]")

        reader = Reader(self._redaction, self._agent)
        surely, maybe = (
            joined(
                [rules.compile_condition(c, reader.read, lift, sure=sure) for c in conditions],
                ast.And(),
            )
            for sure in (True, False)
        )
        if isinstance(surely, ast.Constant) or reader.names:
            return None
        body = statements("if C:\n    return True", surely)
        body += statements("return None if C else False", maybe)
        made = self._of_form(statements(_JUDGE, body=[*reader.body, *body]), "judge")
        return None if made is None else partial(made, tuple(constants))

    def _of_form(self, code: list[ast.stmt], name: str) -> Any:
        """The function of this code: one for all that have the same. None if there are too many."""
        form = ast.dump(code[0])
        if form not in self._forms:
            if len(self._forms) >= MAX_FORMS:
                return None
            self._forms[form] = run(code, NAMES, name)
        return self._forms[form]


def _is_event(event: object) -> bool | None:
    """The judge of a query that wants every event."""
    return True if isinstance(event, dict) else None


def _key(condition: Condition) -> tuple[Property, Values] | None:
    """The property and literals of a condition that an index can answer."""
    match condition:
        case Comparison(Comparator.EQ, Property() as path, Literal() as literal):
            values = rules.safe_literals((literal,))
        case Comparison(Comparator.EQ, Literal() as literal, Property() as path):
            values = rules.safe_literals((literal,))
        case In(Property() as path, choices):
            values = rules.safe_literals(choices)
        case _:
            return None
    if values is None or AnyElement.ANY in path.steps[:1] or path.steps[0] == AGENT:
        return None
    return _same(path), values


@lru_cache(maxsize=1024)
def _same(path: Property) -> Property:
    """One object for all that are equal."""
    return path


def _bound(condition: Condition) -> Bound | None:
    """The threshold that a condition is."""
    match condition:
        case Comparison(operator, Call("number", (Property() as path,)), Literal() as literal):
            bound = _bound(Comparison(operator, path, literal))
            return None if bound is None else replace(bound, reads_texts=True)
        case Comparison(operator, Literal() as literal, Call("number", (Property() as path,))):
            bound = _bound(Comparison(operator, literal, path))
            return None if bound is None else replace(bound, reads_texts=True)
        case Comparison(operator, Property() as path, Literal(int() | float() as number)):
            is_least = _LEAST.get(operator)
        case Comparison(operator, Literal(int() | float() as number), Property() as path):
            is_least = _LEAST.get(operator)
            is_least = None if is_least is None else not is_least
        case _:
            return None
    if is_least is None or path.has_any or path.steps[0] == AGENT:
        return None
    return (
        Bound(path, is_least, number) if rules.is_safe(number) and math.isfinite(number) else None
    )


def _name(path: Property) -> str:
    return ".".join(map(str, path.steps))


_JUDGE = """
def judge(constants, event):
    BODY
"""

_TESTS = """
def tests(event, entries):
    BODY
    found = ()
    for constants, place in entries:
        if C:
            found += (place,)
    return found
"""
