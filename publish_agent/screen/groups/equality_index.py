"""Values that a property has to be one of: a dict of that property, one look-up for all."""

from __future__ import annotations

import ast

from mql.language.syntax import Property
from publish_agent.capture.event_buffer import Place
from publish_agent.capture.native.binding import Kind, Look, Marks
from publish_agent.screen.code_template import expression as template
from publish_agent.screen.code_template import statements
from publish_agent.screen.interest import Test, Tested, Wanted
from publish_agent.screen.path_code import Reader

_Entry = tuple[tuple[Place, ...], tuple[tuple[Test, tuple[Tested, ...]], ...]]
"""Those who want a value, and those who want it and pass a test."""


class EqualityIndex:
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
        """Take one in while the screen is made."""
        assert wanted.key is not None
        self._places.append(place)
        for value in wanted.key[1]:
            if wanted.test is None:
                self._plain.setdefault(value, []).append(place)
            else:
                tested = self._tested.setdefault(value, {})
                tested.setdefault(wanted.test, []).append((wanted.constants, place))

    def names(self, i: int) -> dict[str, object]:
        """The index, and all that are in it."""
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
        """Whether a value is in the index, or unlike any that could be."""
        look = _KEY_GATE_OF_TEXTS if self._of_texts else _KEY_GATE
        variable = reader.read(self.path)
        if variable is not None:
            return [], template(look.format(v=variable, i=i))
        each = reader.each(self.path, i)
        loop = _ANY_GATE.format(c=each.container, x=each.element, i=i)
        before = statements(loop, template(look.format(v=each.value, i=i)), each.body)
        return before, template(f"any{i}")

    def sort(self, reader: Reader, i: int) -> list[ast.stmt]:
        """Add those of the entry, as far as their tests pass."""
        variable = reader.read(self.path)
        if variable is not None:
            return statements(_KEY_SORT.format(v=variable, i=i))
        each = reader.each(self.path, i)
        look_up = statements(_KEY_SORT.format(v=each.value, i=i))
        loop = _ANY_SORT.format(c=each.container, x=each.element)
        return statements(loop, body=[*each.body, *look_up])

    def looks(self, reader: Reader) -> list[Look] | None:
        """One look, at the index and its marks."""
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


_KEY_GATE_OF_TEXTS = "{v} in index{i} if type({v}) is str else type({v}) not in KNOWN"
_KEY_GATE = "{v} in index{i} if type({v}) is str or type({v}) in SCALAR else type({v}) not in KNOWN"

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
