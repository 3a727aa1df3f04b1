"""The screen: two Python functions for all subscriptions of a stream, run on the caller's thread.

`offer` is what `publish` does. It throws away what nobody can want, in one expression, and hands on
the rest; where all that is needed of it is a few values, it copies those at once. `sort` gives, for
what is left, the positions of the subscriptions that may want it:

1. Subscriptions without a condition are always in.
2. A subscription with `property == literal` (or `in`) among its conditions is found in a dict of
   that property: one look-up for all of them. What else it asks is then tested.
3. The conditions of the others are tested one after the other, equal ones once.

Both may let through too much (a background thread verifies), never too little: whatever raises in
them lets everything through. They are built as an `ast`; texts of a query only ever become
constants in it. `mql explain --screen` prints them.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from mql.syntax import And, Comparator, Comparison, Condition, Constant, In, Literal, Property
from publish_agent import conditions as rules
from publish_agent.columns import LONGEST, MAX_PROPERTIES, Columns, Needs
from publish_agent.conditions import Values
from publish_agent.intake import Intake, Status
from publish_agent.reading import AGENT, NAMES, Reader
from publish_agent.redaction import Redaction
from publish_agent.stream import Taker, compiled
from publish_agent.template import bind, constant, joined, negated, run, statements
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
    `needs` is what is enough to keep of an event, if that is little.
    """

    key: tuple[Property, Values] | None = None
    test: Test | None = None
    constants: tuple[object, ...] = ()
    condition: Condition | None = None
    needs: Needs | None = None

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

    def prepare(self, conditions: Sequence[Condition], needs: Needs | None = None) -> Wanted:
        """A subscription by the conditions of its filter, all of which have to hold."""
        keyed = next((c for c in conditions if _key(c) is not None), None)
        if keyed is not None and Constant(value=False) not in conditions:
            test, constants = self._test([c for c in conditions if c is not keyed])
            return Wanted(_key(keyed), test, constants)
        match len(conditions):
            case 0:
                return Wanted(needs=needs)
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
    """A compiled screen: `sort` tells who may want an event, and `taker` asks that.

    `needs` is what is kept of an event that only those want who want every one, if that is enough.
    """

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
        self.always = tuple(always)
        names: dict[str, object] = {
            "everything": tuple(range(len(subscriptions))),
            "always": self.always,
        }
        body = statements("found = always")
        gates: list[ast.expr] = []
        for i, (path, index) in enumerate(indexes.items()):
            variable, entries = reader.read(path), index.entries()
            names |= {f"index{i}": entries, f"all{i}": tuple(index.places)}
            body += statements(_LOOK_UP.format(v=variable, i=i))
            look = _GATE_OF_TEXTS if all(type(key) is str for key in entries) else _GATE
            gates.append(template(look.format(v=variable, i=i)))
        for i, (condition, places) in enumerate(tests.items()):
            names[f"in{i}"] = tuple(places)
            expression = rules.compile_condition(condition, reader.read, constant)
            body += statements(f"if C:\n    found += in{i}", expression)
            gates.append(rules.compile_condition(condition, reader.read, constant))
        self._sort_code = statements(_SORT, body=[*reader.body, *body])
        names |= {**NAMES, **reader.names}
        self.sort: Callable[[object], tuple[Place, ...]] = run(self._sort_code, names, "sort")
        gate = joined(gates, ast.Or())
        reject = [*reader.body, *statements(_REJECT, negated(gate))]
        self._offers = {False: [ast.Pass()] if always else reject}
        self.needs = _needs([subscriptions[place] for place in always])
        if self.needs is not None:
            self._offers[True] = _copying(self.needs, gate, reader)
        self._blanks = {name: value for name, value in names.items() if name not in NAMES}
        self._blanks |= {**reader.names, "ACCEPTED": Status.ACCEPTED}
        self._functions: dict[bool, FunctionType] = {}

    def taker(self, intake: Intake, columns: Columns | None = None) -> Taker:
        """What a stream hands its events to; those of which `needs` is enough go to `columns`."""
        blanks = self._blanks | {"KEEP": intake.keep, "REJECTED": intake.rejected.ticks}
        blanks |= {"FULL": intake.full.ticks}
        if columns is not None:
            blanks |= {"VALUES": columns.values, "MARK": columns.mark}
            blanks |= {"EACH": columns.each, "STEP": columns.step}
        copies = columns is not None
        if copies not in self._functions:
            self._functions[copies] = compiled(self._offer_code(copies=copies), list(blanks))
        return Taker(bind(self._functions[copies], blanks), intake.lost)

    def _offer_code(self, *, copies: bool) -> list[ast.stmt]:
        return statements(_OFFER, body=self._offers[copies])

    def source(self) -> str:
        """The functions as text."""
        code = [*self._offer_code(copies=self.needs is not None), *self._sort_code]
        return "\n\n\n".join(map(ast.unparse, code))


def _needs(always: Sequence[Wanted]) -> Needs | None:
    """What is enough for all subscriptions that want every event, if there are any."""
    if not always or any(wanted.needs is None for wanted in always):
        return None
    union = Needs(())
    for wanted in always:
        union |= wanted.needs or union
    return union if len(union.paths) <= MAX_PROPERTIES else None


def _copying(needs: Needs, gate: ast.expr, reader: Reader) -> list[ast.stmt]:
    """The statements that keep the values of an event that no subscription wants in particular."""
    row, plain = [], []
    for path in needs.paths:
        variable = reader.read(path)
        assert variable is not None
        row.append(variable)
        plain.append(template((_KEY if path in needs.keys else _NUMBER).format(v=variable)))
    if not row:
        row.append("None")
    keep = statements(_COPY.format(row=", ".join(row)), joined([negated(gate), *plain], ast.And()))
    return [*reader.body, *keep]


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

_SORT = """
def sort(event):
    if type(event) is not dict:
        return everything
    try:
        BODY
        return found
    except Exception:
        return everything
"""

_OFFER = """
def offer(event):
    if type(event) is dict:
        try:
            BODY
        except Exception:
            pass
    keep = KEEP
    return keep(event)
"""

_REJECT = """
if C:
    return next(REJECTED)
"""

_COPY = """
if C:
    values = VALUES
    size = len(values)
    if size < EACH or not size % STEP:
        mark = MARK
        if not mark(size):
            return next(FULL)
    values += ({row},)
    return ACCEPTED
"""

_GATE_OF_TEXTS = "{v} in index{i} if type({v}) is str else type({v}) not in KNOWN"
_GATE = "{v} in index{i} if type({v}) is str or type({v}) in SCALAR else type({v}) not in KNOWN"

_IS_NUMBER = f"type({{v}}) is float or type({{v}}) is int and -{rules.BIG} < {{v}} < {rules.BIG}"
_IS_TEXT = f"type({{v}}) is str and len({{v}}) <= {LONGEST}"
_IS_OTHER = "{v} is None or type({v}) is bool"
_KEY = f"{_IS_TEXT} or {_IS_NUMBER} or {_IS_OTHER}"
_NUMBER = f"{_IS_NUMBER} or {_IS_TEXT} or {_IS_OTHER}"
