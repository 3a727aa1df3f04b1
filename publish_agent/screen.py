"""The screen: one Python function for all subscriptions of a stream.

It takes an event and gives the positions of the subscriptions that may want it, and runs on the
caller's thread. It may let through too much (a background thread verifies), never too little:
whatever raises in it lets everything through. What it does, in order:

1. Subscriptions without a condition are always in.
2. A subscription with `property == literal` (or `in`) among its conditions is found in a dict of
   that property: one look-up for all of them. What else it asks is then tested.
3. The conditions of the others are tested one after the other, equal ones once.

The function is built as an `ast`; texts of a query only ever become constants in it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mql.syntax import And, Comparator, Comparison, Condition, Constant, In, Literal, Property
from publish_agent import conditions as rules
from publish_agent.conditions import Values
from publish_agent.reading import AGENT, NAMES, Reader
from publish_agent.redaction import Redaction
from publish_agent.template import constant, joined, run, statements
from publish_agent.template import expression as template

MAX_TESTS = 500
"""Distinct conditions that are tested inline; subscriptions beyond get every event."""

MAX_FORMS = 1_000
"""Distinct forms of tests after a look-up that are kept; beyond, the look-up has to do."""

Place = int
Tested = tuple[tuple[object, ...], Place]
"""The constants of a test, and the subscription that is in if it passes."""

Test = Callable[[object, Sequence[Tested]], tuple[Place, ...]]
"""Tests an event for subscriptions whose conditions differ in their constants only."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one subscription wants, made ready for any screen.

    `key` is the property and the values that an index holds; `test` and `constants` are what is
    tested after the look-up. Without a key, `condition` is tested (None: every event is wanted).
    """

    key: tuple[Property, Values] | None = None
    test: Test | None = None
    constants: tuple[object, ...] = ()
    condition: Condition | None = None

    def __str__(self) -> str:
        if self.key is not None:
            return f"index on {'.'.join(map(str, self.key[0].steps))}" + ", tested" * bool(
                self.test
            )
        match self.condition:
            case None:
                return "every event"
            case Constant(value=False):
                return "no event"
            case _:
                return "tested"


class Screener:
    """Makes screens; `agent` are the agent's own properties."""

    def __init__(
        self, redaction: Redaction | None = None, agent: Mapping[str, object] | None = None
    ) -> None:
        self._redaction = redaction or Redaction()
        self._agent = dict(agent or {})
        self._forms: dict[str, Test] = {}

    def prepare(self, conditions: Sequence[Condition]) -> Wanted:
        """A subscription by the conditions of its filter, all of which have to hold."""
        keyed = next((c for c in conditions if _key(c) is not None), None)
        if keyed is not None and Constant(value=False) not in conditions:
            test, constants = self._test([c for c in conditions if c is not keyed])
            return Wanted(_key(keyed), test, constants)
        match len(conditions):
            case 0:
                return Wanted()
            case 1:
                return Wanted(condition=conditions[0])
            case _:
                return Wanted(condition=And(tuple(conditions)))

    def screen(self, subscriptions: Sequence[Wanted]) -> Screen:
        """The screen of some subscriptions."""
        return Screen(subscriptions, Reader(self._redaction, self._agent))

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
        made = statements(_TESTS, expression, reader.body)
        form = ast.dump(made[0])
        if form not in self._forms:
            if len(self._forms) >= MAX_FORMS:
                return None, ()
            self._forms[form] = run(made, NAMES, "tests")
        return self._forms[form], tuple(constants)


class Screen:
    """A compiled screen."""

    def __init__(self, subscriptions: Sequence[Wanted], reader: Reader) -> None:
        indexes: dict[Property, _Index] = {}
        always: list[Place] = []
        tests: dict[Condition, list[Place]] = {}
        for place, wanted in enumerate(subscriptions):
            condition = wanted.condition
            if wanted.key is not None:
                indexes.setdefault(wanted.key[0], _Index()).add(wanted, place)
            elif condition is None or (condition not in tests and len(tests) >= MAX_TESTS):
                always.append(place)
            else:
                tests.setdefault(condition, []).append(place)
        names: dict[str, object] = {
            "everything": tuple(range(len(subscriptions))),
            "always": tuple(always),
        }
        body = statements("found = always")
        for i, (path, index) in enumerate(indexes.items()):
            names |= {f"index{i}": index.entries(), f"all{i}": tuple(index.places)}
            body += statements(_LOOK_UP.format(v=reader.read(path), i=i))
        for i, (condition, places) in enumerate(tests.items()):
            names[f"in{i}"] = tuple(places)
            expression = rules.compile_condition(condition, reader.read, constant)
            body += statements(f"if C:\n    found += in{i}", expression)
        self._code = statements(_SCREEN, body=[*reader.body, *body])
        names |= {**NAMES, **reader.names}
        self.function: Callable[[object], tuple[Place, ...]] = run(self._code, names, "screen")

    def source(self) -> str:
        """The function as text."""
        return "\n".join(map(ast.unparse, self._code))


class _Index:
    """The subscriptions that want one of some values of a property."""

    def __init__(self) -> None:
        self._plain: dict[object, list[Place]] = {}
        self._tested: dict[object, dict[Test, list[Tested]]] = {}
        self.places: list[Place] = []

    def add(self, wanted: Wanted, place: Place) -> None:
        assert wanted.key is not None
        self.places.append(place)
        for value in wanted.key[1]:
            if wanted.test is None:
                self._plain.setdefault(value, []).append(place)
            else:
                tested = self._tested.setdefault(value, {})
                tested.setdefault(wanted.test, []).append((wanted.constants, place))

    def entries(self) -> dict[object, tuple[tuple[Place, ...], tuple[tuple[Test, Any], ...]]]:
        """For each value who is in, and who is if a test passes."""
        return {
            value: (
                tuple(self._plain.get(value, ())),
                tuple((test, tuple(them)) for test, them in self._tested.get(value, {}).items()),
            )
            for value in dict.fromkeys([*self._plain, *self._tested])
        }


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
    if values is None or path.has_any or path.steps[0] == AGENT:
        return None
    return path, values


_LOOK_UP = """
if type({v}) is str or type({v}) in SCALAR:
    hit = index{i}.get({v})
    if hit is not None:
        found += hit[0]
        for tests, entries in hit[1]:
            found += tests(event, entries)
elif type({v}) not in KNOWN:
    found += all{i}
"""

_TESTS = """
def tests(event, entries):
    get = event.get
    BODY
    found = ()
    for constants, place in entries:
        if C:
            found += (place,)
    return found
"""

_SCREEN = """
def screen(event):
    if type(event) is not dict:
        return everything
    try:
        get = event.get
        BODY
        return found
    except Exception:
        return everything
"""
