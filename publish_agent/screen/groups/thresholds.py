"""Numbers that a property has to be at least, or at most: sorted, all together or key by key."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from math import ceil, floor

from mql.language.syntax import Property
from publish_agent.capture.event_buffer import Place
from publish_agent.capture.native.binding import EXACT_CHARACTERS_MAX, Kind, Look
from publish_agent.screen.code_template import expression as template
from publish_agent.screen.code_template import statements
from publish_agent.screen.interest import Bound, Wanted
from publish_agent.screen.path_code import Reader


class Thresholds:
    """Those that want a property to be at least, or at most, some number."""

    def __init__(self, bound: Bound) -> None:
        self._path, self._is_least = bound.path, bound.is_least
        self._reads_texts = bound.reads_texts
        self._places: list[tuple[float, Place]] = []
        self._easiest: tuple[float, int] = 0.0, 0

    def add(self, wanted: Wanted, place: Place) -> None:
        """Take one in while the screen is made."""
        assert wanted.bound is not None
        self._places.append((wanted.bound.number, place))

    def names(self, i: int) -> dict[str, object]:
        """The thresholds in their order, and the easiest."""
        limits, places = _sorted(self._places)
        double, whole = self._easiest = _both(limits, is_least=self._is_least)
        bounds = {f"double{i}": double, f"int{i}": whole}
        return {f"limits{i}": limits, f"places{i}": places, **bounds}

    def gate(self, reader: Reader, i: int) -> tuple[list[ast.stmt], ast.expr]:
        """Whether a number reaches the easiest threshold."""
        variable, operator = reader.read(self._path), ">=" if self._is_least else "<="
        # A query for a number like 500 or like 0.5 most likely knows what the property holds.
        is_whole = all(isinstance(number, int) for number, _ in self._places)
        bound = _BOUND_OF_INTS if is_whole else _BOUND
        bound = bound.format(v=variable, op=operator, double=f"double{i}", int=f"int{i}")
        if self._reads_texts:
            text = f"NUMBERS[{variable}] {operator} double{i}"
            text = f"len({variable}) > {EXACT_CHARACTERS_MAX} or {text}"
            bound = f"(({text}) if type({variable}) is str else {bound})"
        return [], template(bound)

    def sort(self, reader: Reader, i: int) -> list[ast.stmt]:
        """Add those whose threshold a number reaches."""
        variable = reader.read(self._path)
        some = _slice(f"limits{i}", f"places{i}", variable, self._is_least)
        others = f"type({variable}) not in KNOWN"
        if self._reads_texts:
            others = f"type({variable}) is str or {others}"
        return statements(_BOUND_SORT.format(v=variable, i=i, some=some, others=others))

    def looks(self, reader: Reader) -> list[Look] | None:
        """One look, at the easiest threshold."""
        way = reader.way(self._path.steps)
        if way is None:
            return None
        kind = Kind.READ_BOUND if self._reads_texts else Kind.BOUND
        return [Look(kind, way, *self._easiest, flag=self._is_least)]


class KeyedThresholds:
    """Those that want one of some values of a property, and another one to be in bounds."""

    def __init__(self, path: Property, bound: Bound) -> None:
        self._path = path
        self._bound_path, self._is_least = bound.path, bound.is_least
        self._places: dict[object, list[tuple[float, Place]]] = {}
        self._doubles: dict[object, float] = {}
        self._ints: dict[object, int] = {}

    def add(self, wanted: Wanted, place: Place) -> None:
        """Take one in while the screen is made."""
        assert wanted.key is not None
        assert wanted.bound is not None
        for value in wanted.key[1]:
            self._places.setdefault(value, []).append((wanted.bound.number, place))

    def names(self, i: int) -> dict[str, object]:
        """The thresholds of each key in their order, and the easiest."""
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
        """Whether a number reaches the easiest threshold of its key."""
        key, variable = reader.read(self._path), reader.read(self._bound_path)
        limits = {"double": f"doubles{i}[{key}]", "int": f"ints{i}[{key}]"}
        inside = _BOUND.format(v=variable, op=">=" if self._is_least else "<=", **limits)
        return [], template(_KEYED_GATE.format(v=key, i=i, inside=inside))

    def sort(self, reader: Reader, i: int) -> list[ast.stmt]:
        """Add those of the key whose threshold a number reaches."""
        key, variable = reader.read(self._path), reader.read(self._bound_path)
        some = _slice("hit[0]", "hit[1]", variable, self._is_least)
        return statements(_KEYED_SORT.format(v=key, b=variable, i=i, some=some))

    def looks(self, reader: Reader) -> list[Look] | None:
        """One look, at the easiest threshold of the key."""
        way, other = reader.way(self._path.steps), reader.way(self._bound_path.steps)
        if way is None or other is None:
            return None
        least = self._is_least
        return [Look(Kind.KEYED_BOUND, way, self._doubles, self._ints, other, flag=least)]


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


_IS_NUMBER = "type({v}) is float or type({v}) is int"
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

_BOUND_SORT = f"""
if {_IS_NUMBER}:
    found += {{some}}
elif {{others}}:
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
