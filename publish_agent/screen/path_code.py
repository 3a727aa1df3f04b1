"""Code that reads properties of a raw event into variables, each once.

A key that is missing may yet be there: under a key that is no text, which becomes one in JSON.
Then the code raises.
"""

from __future__ import annotations

import ast
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from sys import intern

from mql.host.interruption import pass_on
from mql.language.syntax import AnyElement, Property, Step
from mql.values.json_values import walk
from publish_agent.capture.native.binding import Steps
from publish_agent.capture.redaction import Redaction
from publish_agent.screen import condition_code as rules
from publish_agent.screen.code_template import constant, statements

AGENT = "_agent"
"""The key that holds the agent's own properties; an event's key of this name is hidden."""

_TOGETHER = 4
"""So many keys of an event are read together."""

_MOST_ELEMENTS = 2**31
"""Of a list, that compiled code reads."""

_ODD = object()
"""A value of which nothing is known."""


@dataclass(frozen=True, slots=True)
class Each:
    """How to read what `[*]` leads to: `body` sets `value` to what is in `element`.

    All are names of variables; `container` holds the elements.
    """

    container: str
    element: str
    value: str
    body: list[ast.stmt]


class Reader:
    """The statements that read the properties asked for so far.

    With `direct` they raise KeyError where the event has no such key.
    """

    def __init__(
        self, redaction: Redaction, agent: dict[str, object], *, direct: bool = False
    ) -> None:
        self._redaction = redaction
        self._agent = agent
        self._direct = direct
        self._variables: dict[Steps, str] = {}
        self._top: dict[str, str | int] = {}
        self._body: list[ast.stmt] = []
        self._others: dict[str, object] = {}

    @property
    def names(self) -> dict[str, object]:
        """What the statements refer to beside `NAMES`."""
        if self._direct and len(self._top) >= _TOGETHER:
            return self._others | {"items": itemgetter(*self._top.values())}
        return self._others

    @property
    def body(self) -> list[ast.stmt]:
        """The statements; `event` has to be there."""
        top: list[ast.stmt] = []
        if self._direct and len(self._top) >= _TOGETHER:
            top = statements(f"get = items\n{', '.join(self._top)} = get(event)")
        else:
            take = "event[C]" if self._direct else "event.get(C)"
            for variable, key in self._top.items():
                top += statements(f"{variable} = {take}", constant(key))
        missing = " or ".join(f"{variable} is None" for variable in self._top)
        if not missing or self._direct:
            return [*top, *self._body]
        return [*top, *self._body, *statements(f"if {missing}:\n    all_texts(event)")]

    def each(self, property_: Property, number: int) -> Each:
        """How to read a property that holds `[*]`, not at its start; `number` makes names."""
        at = property_.steps.index(AnyElement.ANY)
        container = self._read(_plain(property_.steps[:at]))
        element = value = f"x{number}"
        if self._redaction.hides(property_.steps):
            return Each(container, element, f"y{number}", statements(f"y{number} = None"))
        body: list[ast.stmt] = []
        for step in _plain(property_.steps[at + 1 :]):
            outer, value = value, f"y{number}"
            if self._direct:
                inside = f"{value} = {outer}[C] if type({outer}) is dict else inside({outer}, C)"
            else:
                inside = f"{value} = inside({outer}, C)"
            body += statements(inside, constant(step))
        return Each(container, element, value, body)

    def way(self, steps: Sequence[Step]) -> Steps | None:
        """The way to a value of an event, for compiled code; None if it is not to be read there."""
        way = _as_keys(steps)
        is_odd = len(way) < len(steps) or any(
            isinstance(step, int) and abs(step) >= _MOST_ELEMENTS for step in way
        )
        if is_odd or not isinstance(way[0], str) or way[0] == AGENT or self._redaction.hides(way):
            return None
        return way

    def ways(self, property_: Property) -> tuple[Steps, Steps] | None:
        """The way to what holds the elements of `[*]`, and that from an element on."""
        at = property_.steps.index(AnyElement.ANY)
        container, rest = self.way(property_.steps[:at]), _as_keys(property_.steps[at + 1 :])
        is_hidden = self._redaction.hides(property_.steps)
        if container is None or is_hidden or at + 1 + len(rest) < len(property_.steps):
            return None
        return container, rest

    def read(self, property_: Property) -> str | None:
        """The variable of a property; None if it holds `[*]`."""
        return None if property_.has_any else self._read(_plain(property_.steps))

    def _read(self, steps: Steps) -> str:
        known = self._variables.get(steps)
        if known is not None:
            return known
        outer = ""
        special = steps[0] == AGENT or self._redaction.hides(steps)
        if len(steps) > 1 and not special:
            outer = self._read(steps[:-1])
        variable = self._variables[steps] = f"v{len(self._variables)}"
        if special:
            value = walk({AGENT: self._agent}, steps) if steps[0] == AGENT else None
            self._assign(variable, "C", value)
        elif not outer:
            self._top[variable] = steps[0]
        else:
            self._assign(variable, f"{outer}.get(C) if type({outer}) is dict else None", steps[-1])
            self._assign(
                variable, f"inside({outer}, C) if {variable} is None else {variable}", steps[-1]
            )
        return variable

    def _assign(self, variable: str, template: str, value: object) -> None:
        put_in: ast.expr = ast.Name(f"its_{variable}", ast.Load())
        if isinstance(value, dict | list):
            self._others[f"its_{variable}"] = value
        else:
            put_in = constant(value)
        self._body += statements(f"{variable} = {template}", put_in)


def _as_keys(steps: Sequence[Step]) -> Steps:
    """The steps as they are found soonest: keys written in a program are interned."""
    return tuple(intern(step) if isinstance(step, str) else step for step in _plain(steps))


def _plain(steps: Sequence[Step]) -> Steps:
    return tuple(step for step in steps if isinstance(step, str | int))


def _elements(value: object) -> Iterable[object]:
    """What `[*]` leads to. Raises TypeError where nobody knows."""
    if type(value) is list:
        return value
    if type(value) is dict:
        return value.values()
    if type(value) in rules.KNOWN:
        return ()
    raise TypeError(value)


def _inside(value: object, step: str | int) -> object:
    """One step of a path into a raw value."""
    if type(value) is dict:
        found = value.get(step) if isinstance(step, str) else None
        if found is None:
            _all_texts(value)
        return found
    if type(value) is list:
        return value[step] if isinstance(step, int) and -len(value) <= step < len(value) else None
    return None if type(value) in rules.KNOWN else _ODD


_all_texts = "".join
"""Raises TypeError if a key of an event is no text."""

NAMES: dict[str, object] = {
    "all_texts": _all_texts,
    "bisect_left": bisect_left,
    "bisect_right": bisect_right,
    "elements": _elements,
    "inside": _inside,
    "may_be_null": rules.may_be_null,
    "NUMBERS": rules.NUMBERS,
    "pass_on": pass_on,
    "KNOWN": rules.KNOWN,
    "SCALAR": rules.SCALAR,
    "TEXT_OR_NUMBER": rules.TEXT_OR_NUMBER,
    "NUMBER": rules.NUMBER,
}
"""What compiled code refers to."""
