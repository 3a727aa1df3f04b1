"""The screen: two Python functions for all subscriptions of a stream, run on the caller's thread.

`offer` is what `publish` does. It throws away what nobody can want, in one expression, the gate,
and hands on the rest; where all that is needed of that is a few values, it copies those at once,
and what of them passes is found out later, by the column.
`sort` gives, for what is left, the positions of the subscriptions that may want it. Subscriptions
are put together in groups, whose size does not matter:

1. Those without a condition are always in.
2. `property == literal` (or `in`) among the conditions: a dict of that property, one look-up for
   all (`Keys`). What else such a one asks is then tested, or looked up, if it is a threshold.
3. `property > number` and the like: the thresholds, sorted (`Bounds`).
4. Texts that have to be in a property, as of regular expressions: many are searched at once.
5. The conditions of the others are tested one after the other, equal ones once.

Both may let through too much (a background thread verifies), never too little: whatever raises in
them lets everything through. They are built as an `ast`; texts of a query only ever become
constants in it. `mql explain --screen` prints them. What `offer` says, compiled code does where it
can, by a list of looks instead (`native.py`).
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import ceil, floor
from types import FunctionType
from typing import Any, Protocol

from mql.planner.patterns import AnyOf
from mql.syntax import Condition, Property
from publish_agent import conditions as rules
from publish_agent.columns import LONGEST, Columns, Needs
from publish_agent.intake import Intake, Status
from publish_agent.native import MAX_FIELDS, Kind, Look, Marks, Offer, Steps, gate, sampler
from publish_agent.reading import NAMES, Reader
from publish_agent.redaction import Redaction
from publish_agent.stream import Taker, compiled
from publish_agent.template import bind, constant, joined, negated, run, statements
from publish_agent.template import expression as template
from publish_agent.wanted import Bound, Place, Test, Tested, Wanted, Wants

MAX_TESTS = 500
"""Distinct conditions that are tested inline; subscriptions beyond get every event."""

_FEW = 8
"""So many subscriptions, if they have conditions, may each look through all that is copied."""

_SEARCHED = 4
"""So many texts to be searched in one property are searched at once."""


class Screener(Wants):
    """Makes screens; `agent` are the agent's own properties."""

    def __init__(
        self, redaction: Redaction | None = None, agent: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(redaction or Redaction(), agent or {})

    def screen(self, subscriptions: Sequence[Wanted]) -> Screen:
        """The screen of some subscriptions."""
        return Screen(subscriptions, self._reader)

    def _reader(self, *, direct: bool) -> Reader:
        return Reader(self._redaction, self._agent, direct=direct)


class Screen:
    """A compiled screen: `sort` tells who may want an event, and `taker` asks that.

    `needs` is what is kept of an event that somebody may want, if that is enough for all.
    """

    def __init__(self, subscriptions: Sequence[Wanted], reader: Callable[..., Reader]) -> None:
        self._reader = reader
        self._groups, always = _grouped(subscriptions)
        self.always = tuple(always)
        looks_through = not self._groups or len(subscriptions) <= _FEW
        self.needs = _needs(subscriptions) if looks_through else None
        careful = reader(direct=False)
        body = [s for i, group in enumerate(self._groups) for s in group.sort(careful, i)]
        self._sort_code = statements(_SORT, body=[*careful.body, *body])
        self._names: dict[str, object] = {
            "everything": tuple(range(len(subscriptions))),
            "always": self.always,
        }
        for i, group in enumerate(self._groups):
            self._names |= group.names(i)
        names = {**self._names, **careful.names, **NAMES}
        self.sort: Callable[[object], tuple[Place, ...]] = run(self._sort_code, names, "sort")
        self._functions: dict[tuple[bool, bool], tuple[FunctionType, dict[str, object]]] = {}

    @property
    def tests(self) -> bool:
        """Whether some subscription does not want every event."""
        return bool(self._groups)

    @property
    def keeps_order(self) -> bool:
        """Whether what is copied has to stay in order, with what is kept as text behind it."""
        return self.needs is not None and self.needs.in_order

    def join(self, wanted: Wanted, place: Place) -> bool:
        """Take one more in while the screen is in use, if that needs no other code."""
        keys = self._keys(wanted)
        if self.needs is not None or keys is None or not keys.join(wanted, place):
            return False
        scope = self.sort.__globals__
        scope.update(keys.every, everything=(*scope["everything"], place))
        return True

    def leave(self, wanted: Wanted, place: Place) -> bool:
        """Let go of one while the screen is in use, if that needs no other code."""
        keys = self._keys(wanted)
        if keys is None:
            return False
        keys.leave(wanted, place)
        return True

    def _keys(self, wanted: Wanted) -> _Keys | None:
        """The group of those that want some value of a property, and nothing that is sorted."""
        if wanted.key is None or (wanted.bound is not None and not wanted.key[0].has_any):
            return None
        groups = (group for group in self._groups if isinstance(group, _Keys))
        return next((group for group in groups if group.path == wanted.key[0]), None)

    def taker(
        self, intake: Intake, columns: Columns | None = None, *, careful: bool = False
    ) -> Taker:
        """What a stream hands its events to; those of which `needs` is enough go to `columns`.

        It is faster where events have all properties that are asked for; `careful` where not.
        """
        quick = self._compiled(intake, columns)
        if quick is not None:
            return Taker(quick, intake.lost)
        if self.keeps_order:
            columns = None  # made in Python, it does not know what was kept otherwise
        form = columns is not None, careful
        if form not in self._functions:
            code, names = self._offer(copies=form[0], careful=careful)
            names |= {"ACCEPTED": Status.ACCEPTED}
            self._functions[form] = compiled(code, [*names, *_BLANKS]), names
        function, names = self._functions[form]
        blanks = names | {"KEEP": intake.keep, "REJECTED": intake.rejected.ticks}
        blanks |= {"FULL": intake.full.add}
        if columns is not None:
            blanks |= {"VALUES": columns.values, "MARK": columns.mark, "TICKS": columns.ticks}
        return Taker(bind(function, blanks), intake.lost)

    def _compiled(self, intake: Intake, columns: Columns | None) -> Offer | None:
        """What does the same as `offer`, compiled, and where that is quicker."""
        if columns is None:
            return sampler(intake) if self.always else gate(self._looks(), intake, intake.keep)
        ways = self._ways()
        copy = None if ways is None else columns.offer(ways, intake)
        if copy is None or self.always:
            return copy
        return gate(self._looks(), intake, copy)

    def _ways(self) -> list[Steps] | None:
        """Where the values are that are copied; None if they are not all in the event."""
        assert self.needs is not None
        reader = self._reader(direct=False)
        ways = [reader.way(path.steps) for path in self.needs.paths]
        found = [way for way in ways if way is not None]
        return found if len(found) == len(ways) else None

    def _looks(self) -> list[Look]:
        """The gates of all groups."""
        reader = self._reader(direct=False)
        return [
            look
            for i, group in enumerate(self._groups)
            for look in group.looks(reader) or [Look(Kind.TEST, first=self._test(group, i))]
        ]

    def _test(self, group: _Group, i: int) -> Callable[[object], object]:
        """The gate of a group as a function."""
        reader = self._reader(direct=False)
        before, expression = group.gate(reader, i)
        code = statements(_TEST, expression, [*reader.body, *before])
        test: Callable[[object], object]
        test = run(code, {**self._names, **reader.names, **NAMES}, "test")
        return test

    def source(self) -> str:
        """The functions as text, and how compiled code does what the first one does."""
        copies = self.needs is not None and not self.keeps_order
        offer, _ = self._offer(copies=copies, careful=False)
        code = "\n\n\n".join(map(ast.unparse, [*offer, *self._sort_code]))
        return self._note() + code

    def _note(self) -> str:
        looks = [] if self.always else self._looks()
        copies = self.needs is not None and self._ways() is not None
        parts = []
        if looks and (copies or any(look.kind is not Kind.TEST for look in looks)):
            parts.append(f"looks at: {'; '.join(map(str, looks))}")
        if self.needs is not None and copies:
            names = ", ".join(".".join(map(str, path.steps)) for path in self.needs.paths)
            parts.append(f"copies: {names or 'nothing, and counts'}")
        return f"# Compiled, `offer` {', and then '.join(parts)}.\n" if parts else ""

    def _offer(self, *, copies: bool, careful: bool) -> tuple[list[ast.stmt], dict[str, object]]:
        """The code of `offer`, and what its blanks are but for those of an intake."""
        if self.always and not copies:
            return statements(_OFFER, body=[ast.Pass()]), {}
        reader = self._reader(direct=not careful and not copies)  # what is missing is copied, too
        body: list[ast.stmt] = []
        if not self.always:
            gates = [group.gate(reader, i) for i, group in enumerate(self._groups)]
            gate = joined([expression for _, expression in gates], ast.Or())
            body = [statement for some, _ in gates for statement in some]
            body += statements(_REJECT, negated(gate))
        if copies:
            assert self.needs is not None
            body += _copying(self.needs, reader)
        code = statements(_OFFER, body=[*reader.body, *body])
        return code, {**self._names, **reader.names}


class _Group(Protocol):
    """Subscriptions that ask alike."""

    def names(self, i: int) -> dict[str, object]:
        """What the code of the group refers to; `i` is its number."""

    def gate(self, reader: Reader, i: int) -> tuple[list[ast.stmt], ast.expr]:
        """Statements, and an expression that is true if one of them may want the event."""

    def sort(self, reader: Reader, i: int) -> list[ast.stmt]:
        """Statements that add to `found` those that may want it."""

    def looks(self, reader: Reader) -> list[Look] | None:
        """The gate for compiled code; None if it has to be done in Python."""


_Entry = tuple[tuple[Place, ...], tuple[tuple[Test, tuple[Tested, ...]], ...]]
"""Those who want a value, and those who want it and pass a test."""


class _Keys:
    """Those that want one of some values of a property: an index, which may change in use.

    Another thread finds the entry of before or that of after a change, each of them whole.
    """

    def __init__(self, path: Property) -> None:
        self.path = path
        self.every: dict[str, object] = {}
        """Under its name, all places that ever were in it."""
        self._of_texts = True
        self._index: dict[object, _Entry] = {}
        self._marks = Marks(())
        self._plain: dict[object, list[Place]] = {}
        self._tested: dict[object, dict[Test, list[Tested]]] = {}
        self._places: list[Place] = []

    def add(self, wanted: Wanted, place: Place) -> None:
        assert wanted.key is not None
        self._places.append(place)
        for value in wanted.key[1]:
            if wanted.test is None:
                self._plain.setdefault(value, []).append(place)
            else:
                tested = self._tested.setdefault(value, {})
                tested.setdefault(wanted.test, []).append((wanted.constants, place))

    def names(self, i: int) -> dict[str, object]:
        self._index = {
            value: (
                tuple(self._plain.get(value, ())),
                tuple((test, tuple(them)) for test, them in self._tested.get(value, {}).items()),
            )
            for value in dict.fromkeys([*self._plain, *self._tested])
        }
        self._marks = Marks(self._index)
        self._of_texts = all(type(value) is str for value in self._index)
        self.every = {f"all{i}": tuple(self._places)}
        self._plain, self._tested, self._places = {}, {}, []
        return {f"index{i}": self._index, **self.every}

    def join(self, wanted: Wanted, place: Place) -> bool:
        """Take one more into the index; False if it takes a gate that texts do not."""
        assert wanted.key is not None
        values = wanted.key[1]
        if self._of_texts and not all(type(value) is str for value in values):
            return False
        for value in values:
            plain, tested = self._index.get(value, ((), ()))
            if wanted.test is None:
                plain += (place,)
            else:
                them = dict(tested)
                them[wanted.test] = (*them.get(wanted.test, ()), (wanted.constants, place))
                tested = tuple(them.items())
            self._marks.add(value)
            self._index[value] = plain, tested
        ((name, every),) = self.every.items()
        assert isinstance(every, tuple)
        self.every = {name: (*every, place)}
        return True

    def leave(self, wanted: Wanted, place: Place) -> None:
        """Take one out of the index."""
        assert wanted.key is not None
        for value in wanted.key[1]:
            plain, tested = self._index[value]
            plain = tuple(each for each in plain if each != place)
            rest = ((test, tuple(e for e in them if e[1] != place)) for test, them in tested)
            tested = tuple((test, them) for test, them in rest if them)
            if plain or tested:
                self._index[value] = plain, tested
            else:
                del self._index[value]

    def gate(self, reader: Reader, i: int) -> tuple[list[ast.stmt], ast.expr]:
        look = _KEY_GATE_OF_TEXTS if self._of_texts else _KEY_GATE
        variable = reader.read(self.path)
        if variable is not None:
            return [], template(look.format(v=variable, i=i))
        each = reader.each(self.path, i)
        loop = _ANY_GATE.format(c=each.container, x=each.element, i=i)
        before = statements(loop, template(look.format(v=each.value, i=i)), each.body)
        return before, template(f"any{i}")

    def sort(self, reader: Reader, i: int) -> list[ast.stmt]:
        variable = reader.read(self.path)
        if variable is not None:
            return statements(_KEY_SORT.format(v=variable, i=i))
        each = reader.each(self.path, i)
        look_up = statements(_KEY_SORT.format(v=each.value, i=i))
        loop = _ANY_SORT.format(c=each.container, x=each.element)
        return statements(loop, body=[*each.body, *look_up])

    def looks(self, reader: Reader) -> list[Look] | None:
        if self.path.has_any:
            ways = reader.ways(self.path)
            if ways is None:
                return None
            way, rest = ways
            index = self._index, self._marks.bits
            return [Look(Kind.ANY_KEYS, way, *index, rest, self._of_texts)]
        found = reader.way(self.path.steps)
        if found is None:
            return None
        return [Look(Kind.KEYS, found, self._index, self._marks.bits, flag=self._of_texts)]


class _Bounds:
    """Those that want a property to be at least, or at most, some number."""

    def __init__(self, path: Property, *, is_least: bool) -> None:
        self._path = path
        self._is_least = is_least
        self._places: list[tuple[float, Place]] = []
        self._easiest: tuple[float, int] = 0.0, 0

    def add(self, wanted: Wanted, place: Place) -> None:
        assert wanted.bound is not None
        self._places.append((wanted.bound.number, place))

    def names(self, i: int) -> dict[str, object]:
        limits, places = _sorted(self._places)
        double, whole = self._easiest = _both(limits, is_least=self._is_least)
        bounds = {f"double{i}": double, f"int{i}": whole}
        return {f"limits{i}": limits, f"places{i}": places, **bounds}

    def gate(self, reader: Reader, i: int) -> tuple[list[ast.stmt], ast.expr]:
        variable, operator = reader.read(self._path), ">=" if self._is_least else "<="
        # Who asks for a number like 500 or like 0.5 most likely knows what the property holds.
        is_whole = all(isinstance(number, int) for number, _ in self._places)
        bound = _BOUND_OF_INTS if is_whole else _BOUND
        bound = bound.format(v=variable, op=operator, double=f"double{i}", int=f"int{i}")
        return [], template(bound)

    def sort(self, reader: Reader, i: int) -> list[ast.stmt]:
        some = _slice(f"limits{i}", f"places{i}", reader.read(self._path), self._is_least)
        return statements(_BOUND_SORT.format(v=reader.read(self._path), i=i, some=some))

    def looks(self, reader: Reader) -> list[Look] | None:
        way = reader.way(self._path.steps)
        if way is None:
            return None
        return [Look(Kind.BOUND, way, *self._easiest, flag=self._is_least)]


class _KeyedBounds:
    """Those that want one of some values of a property, and another one to be in bounds."""

    def __init__(self, path: Property, bound: Bound) -> None:
        self._path = path
        self._bound_path, self._is_least = bound.path, bound.is_least
        self._places: dict[object, list[tuple[float, Place]]] = {}
        self._doubles: dict[object, float] = {}
        self._ints: dict[object, int] = {}

    def add(self, wanted: Wanted, place: Place) -> None:
        assert wanted.key is not None
        assert wanted.bound is not None
        for value in wanted.key[1]:
            self._places.setdefault(value, []).append((wanted.bound.number, place))

    def names(self, i: int) -> dict[str, object]:
        entries = {value: _sorted(places) for value, places in self._places.items()}
        for value, (limits, _) in entries.items():
            self._doubles[value], self._ints[value] = _both(limits, is_least=self._is_least)
        every = dict.fromkeys(place for places in self._places.values() for _, place in places)
        return {
            f"index{i}": entries,
            f"doubles{i}": self._doubles,
            f"ints{i}": self._ints,
            f"all{i}": tuple(every),
        }

    def gate(self, reader: Reader, i: int) -> tuple[list[ast.stmt], ast.expr]:
        key, variable = reader.read(self._path), reader.read(self._bound_path)
        limits = {"double": f"doubles{i}[{key}]", "int": f"ints{i}[{key}]"}
        inside = _BOUND.format(v=variable, op=">=" if self._is_least else "<=", **limits)
        return [], template(_KEYED_GATE.format(v=key, i=i, inside=inside))

    def sort(self, reader: Reader, i: int) -> list[ast.stmt]:
        key, variable = reader.read(self._path), reader.read(self._bound_path)
        some = _slice("hit[0]", "hit[1]", variable, self._is_least)
        return statements(_KEYED_SORT.format(v=key, b=variable, i=i, some=some))

    def looks(self, reader: Reader) -> list[Look] | None:
        way, other = reader.way(self._path.steps), reader.way(self._bound_path.steps)
        if way is None or other is None:
            return None
        least = self._is_least
        return [Look(Kind.KEYED_BOUND, way, self._doubles, self._ints, other, flag=least)]


class _Texts:
    """Those that want a property to hold some texts: many are searched at once."""

    def __init__(self, path: Property) -> None:
        self._path = path
        self._conditions: dict[Condition, list[Place]] = {}
        self._texts: dict[Condition, Sequence[AnyOf[str]]] = {}
        self._search: Callable[[str], object] | None = None

    def add(self, condition: Condition, texts: Sequence[AnyOf[str]], place: Place) -> None:
        self._conditions.setdefault(condition, []).append(place)
        self._texts[condition] = texts

    def names(self, i: int) -> dict[str, object]:
        rarest = (
            max(texts, key=lambda some: min(map(len, some))) for texts in self._texts.values()
        )
        searched = {text for some in rarest for text in some}
        if len(searched) >= _SEARCHED:
            self._search = re.compile("|".join(map(re.escape, sorted(searched)))).search
        return {f"search{i}": self._search} | _places(i, self._conditions)

    def gate(self, reader: Reader, i: int) -> tuple[list[ast.stmt], ast.expr]:
        if self._search is not None:
            found = "search({v}) is not None if type({v}) is str else {v} is not None"
            gate = template(found.format(v=reader.read(self._path)))
            return statements(f"search = search{i}"), gate
        return [], _any_of(self._conditions, reader)

    def sort(self, reader: Reader, i: int) -> list[ast.stmt]:
        return _tested(self._conditions, reader, i)

    def looks(self, reader: Reader) -> list[Look] | None:
        way = reader.way(self._path.steps)
        if way is None:
            return None
        if self._search is not None:
            return [Look(Kind.SEARCH, way, self._search)]
        return [Look(Kind.TEXTS, way, _as_bytes(texts)) for texts in self._texts.values()]


def _as_bytes(texts: Sequence[AnyOf[str]]) -> tuple[AnyOf[bytes], ...]:
    return tuple(tuple(text.encode() for text in some) for some in texts)


class _Tests:
    """Those whose conditions are tested, one after the other."""

    def __init__(self) -> None:
        self._conditions: dict[Condition, list[Place]] = {}

    def add(self, condition: Condition, place: Place) -> None:
        self._conditions.setdefault(condition, []).append(place)

    def names(self, i: int) -> dict[str, object]:
        return _places(i, self._conditions)

    def gate(self, reader: Reader, i: int) -> tuple[list[ast.stmt], ast.expr]:  # noqa: ARG002
        return [], _any_of(self._conditions, reader)

    def sort(self, reader: Reader, i: int) -> list[ast.stmt]:
        return _tested(self._conditions, reader, i)

    def looks(self, reader: Reader) -> list[Look] | None:  # noqa: ARG002
        return None


def _places(i: int, conditions: Mapping[Condition, Sequence[Place]]) -> dict[str, object]:
    return {f"in{i}_{k}": tuple(places) for k, places in enumerate(conditions.values())}


def _any_of(conditions: Iterable[Condition], reader: Reader) -> ast.expr:
    """The expression that is true if one of the conditions may hold."""
    parts = [rules.compile_condition(each, reader.read, constant) for each in conditions]
    return joined(parts, ast.Or())


def _tested(conditions: Iterable[Condition], reader: Reader, i: int) -> list[ast.stmt]:
    """Statements that add to `found` those whose condition may hold."""
    body = []
    for k, condition in enumerate(conditions):
        expression = rules.compile_condition(condition, reader.read, constant)
        body += statements(f"if C:\n    found += in{i}_{k}", expression)
    return body


def _grouped(subscriptions: Sequence[Wanted]) -> tuple[list[_Group], list[Place]]:
    """The groups, and those who want every event."""
    groups: dict[object, Any] = {}
    tested: set[Condition] = set()
    always: list[Place] = []
    for place, wanted in enumerate(subscriptions):
        key, bound, condition = wanted.key, wanted.bound, wanted.condition
        if key is not None and bound is not None and not key[0].has_any:
            kind = key[0], bound.path, bound.is_least
            groups.setdefault(kind, _KeyedBounds(key[0], bound)).add(wanted, place)
        elif key is not None:
            groups.setdefault(key[0], _Keys(key[0])).add(wanted, place)
        elif bound is not None:
            made = _Bounds(bound.path, is_least=bound.is_least)
            groups.setdefault((bound.path, bound.is_least), made).add(wanted, place)
        elif condition is None or (condition not in tested and len(tested) >= MAX_TESTS):
            always.append(place)
        else:
            tested.add(condition)
            path, texts = _needed_texts(condition)
            if path is not None:
                groups.setdefault((path,), _Texts(path)).add(condition, texts, place)
            else:
                groups.setdefault(None, _Tests()).add(condition, place)
    return [*groups.values()], always


def _needs(subscriptions: Sequence[Wanted]) -> Needs | None:
    """What is enough for all subscriptions, if there are any."""
    if not subscriptions or any(wanted.needs is None for wanted in subscriptions):
        return None
    union = Needs(())
    for wanted in subscriptions:
        union |= wanted.needs or union
    return union if len(union.paths) <= MAX_FIELDS else None


def _copying(needs: Needs, reader: Reader) -> list[ast.stmt]:
    """The statements that keep the values of an event."""
    row, plain = [], []
    for path in needs.paths:
        variable = reader.read(path)
        assert variable is not None
        row.append(variable)
        plain.append(template((_KEY if path in needs.keys else _NUMBER).format(v=variable)))
    keep = _COPY.format(row=", ".join(row or ["None"]))
    return statements(keep, joined(plain, ast.And()))


def _needed_texts(condition: Condition) -> tuple[Property | None, Sequence[AnyOf[str]]]:
    """The property that has to hold one text of each of some groups, if a condition says so."""
    path, needs = rules.texts_needed(condition) or (None, ())
    safe = [some for some in needs if all(map(rules.is_safe, some))]
    return (path, safe) if safe and path is not None and not path.has_any else (None, ())


def _sorted(places: list[tuple[float, Place]]) -> tuple[tuple[float, ...], tuple[Place, ...]]:
    """Limits in ascending order, and whose they are."""
    limits, them = zip(*sorted(places), strict=True)
    return limits, them


def _both(limits: Sequence[float], *, is_least: bool) -> tuple[float, int]:
    """The bound that most numbers are in, for doubles and for integers: each compares with its own.

    A double that is no such number is a little easier to be in.
    """
    if is_least:
        number = limits[0]
        double = float(number)
        return (double if double <= number else math.nextafter(double, -math.inf)), ceil(number)
    number = limits[-1]
    double = float(number)
    return (double if double >= number else math.nextafter(double, math.inf)), floor(number)


def _slice(limits: str, places: str, variable: str | None, is_least: bool) -> str:  # noqa: FBT001
    """The expression of those whose bound a number is in."""
    if is_least:
        return f"{places}[:bisect_right({limits}, {variable})]"
    return f"{places}[bisect_left({limits}, {variable}):]"


_BLANKS = ("KEEP", "REJECTED", "FULL", "VALUES", "MARK", "TICKS")

_IS_NUMBER = "type({v}) is float or type({v}) is int"
_KEY_GATE_OF_TEXTS = "{v} in index{i} if type({v}) is str else type({v}) not in KNOWN"
_KEY_GATE = "{v} in index{i} if type({v}) is str or type({v}) in SCALAR else type({v}) not in KNOWN"
_BOUND = (
    "({v} {op} {double} if type({v}) is float else {v} {op} {int} if type({v}) is int"
    " else type({v}) not in KNOWN)"
)
_BOUND_OF_INTS = (
    "({v} {op} {int} if type({v}) is int else {v} {op} {double} if type({v}) is float"
    " else type({v}) not in KNOWN)"
)
_KEYED_GATE = (
    "{v} in doubles{i} and {inside} if type({v}) is str or type({v}) in SCALAR"
    " else type({v}) not in KNOWN"
)

_KEY_SORT = """
if type({v}) is str or type({v}) in SCALAR:
    hit = index{i}.get({v})
    if hit is not None:
        found += hit[0]
        for tests, entries in hit[1]:
            found += tests(event, entries)
elif type({v}) not in KNOWN:
    found += all{i}
"""

_BOUND_SORT = f"""
if {_IS_NUMBER}:
    found += {{some}}
elif type({{v}}) not in KNOWN:
    found += places{{i}}
"""

_KEYED_SORT = f"""
if type({{v}}) is str or type({{v}}) in SCALAR:
    hit = index{{i}}.get({{v}})
    if hit is not None:
        if {_IS_NUMBER.format(v="{b}")}:
            found += {{some}}
        elif type({{b}}) not in KNOWN:
            found += hit[1]
elif type({{v}}) not in KNOWN:
    found += all{{i}}
"""

_ANY_GATE = """
any{i} = False
if type({c}) is list:
    for {x} in {c}:
        BODY
        if C:
            any{i} = True
            break
elif {c} is not None:
    any{i} = True
"""

_ANY_SORT = """
for {x} in elements({c}):
    BODY
found = tuple(dict.fromkeys(found))
"""

_SORT = """
def sort(event):
    if type(event) is not dict:
        return everything
    try:
        found = always
        BODY
        return found
    except BaseException as error:
        pass_on(error)
        return everything
"""

_OFFER = """
def offer(event):
    if type(event) is dict:
        try:
            BODY
        except BaseException as error:
            pass_on(error)
    keep = KEEP
    return keep(event)
"""

_TEST = """
def test(event):
    BODY
    return C
"""

_REJECT = """
if C:
    return next(REJECTED)
"""

_COPY = """
if C:
    if next(TICKS):
        mark = MARK
        if not mark():
            full = FULL
            return full()
    values = VALUES
    values += ({row},)
    return ACCEPTED
"""

_IS_PLAIN_NUMBER = (
    f"type({{v}}) is float or type({{v}}) is int and -{rules.BIG} < {{v}} < {rules.BIG}"
)
_IS_TEXT = f"type({{v}}) is str and len({{v}}) <= {LONGEST}"
_IS_OTHER = "{v} is None or type({v}) is bool"
_KEY = f"{_IS_TEXT} or {_IS_PLAIN_NUMBER} or {_IS_OTHER}"
_NUMBER = f"{_IS_PLAIN_NUMBER} or {_IS_TEXT} or {_IS_OTHER}"
