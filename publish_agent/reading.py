"""Code that reads properties of a raw event into variables, each once.

A key that is missing may yet be there: under a key that is no text, which becomes one in JSON.
Then the code raises.
"""

from __future__ import annotations

import ast

from mql.syntax import Property
from mql.values import walk
from publish_agent import conditions as rules
from publish_agent.redaction import Redaction
from publish_agent.template import constant, statements

AGENT = "_agent"
"""The key that holds the agent's own properties; an event's key of this name is hidden."""

Steps = tuple[str | int, ...]

_ODD = object()
"""A value of which nothing is known."""


class Reader:
    """The statements that read the properties asked for so far."""

    def __init__(self, redaction: Redaction, agent: dict[str, object]) -> None:
        self._redaction = redaction
        self._agent = agent
        self._variables: dict[Steps, str] = {}
        self._top: list[str] = []
        self._body: list[ast.stmt] = []
        self.names: dict[str, object] = {}
        """What the statements refer to beside `NAMES`."""

    @property
    def body(self) -> list[ast.stmt]:
        """The statements; `event` has to be there."""
        if not self._top:
            return self._body
        missing = " or ".join(f"{variable} is None" for variable in self._top)
        return [*self._body, *statements(f"if {missing}:\n    all_texts(event)")]

    def read(self, property_: Property) -> str | None:
        """The variable of a property; None if it holds `[*]`."""
        steps = tuple(step for step in property_.steps if isinstance(step, str | int))
        if len(steps) < len(property_.steps):
            return None
        return self._read(steps)

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
            self._assign(variable, "event.get(C)", steps[0])
            self._top.append(variable)
        else:
            self._assign(variable, f"{outer}.get(C) if type({outer}) is dict else None", steps[-1])
            self._assign(
                variable, f"inside({outer}, C) if {variable} is None else {variable}", steps[-1]
            )
        return variable

    def _assign(self, variable: str, template: str, value: object) -> None:
        put_in: ast.expr = ast.Name(f"its_{variable}", ast.Load())
        if isinstance(value, dict | list):
            self.names[f"its_{variable}"] = value
        else:
            put_in = constant(value)
        self._body += statements(f"{variable} = {template}", put_in)


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
    "inside": _inside,
    "may_be_null": rules.may_be_null,
    "KNOWN": rules.KNOWN,
    "SCALAR": rules.SCALAR,
    "TEXT_OR_NUMBER": rules.TEXT_OR_NUMBER,
    "NUMBER": rules.NUMBER,
}
"""What compiled code refers to."""
