"""Conditions that no index answers: they are tested one after the other, equal ones once."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence

from mql.language.syntax import Condition
from publish_agent.capture.event_buffer import Place
from publish_agent.capture.native.binding import Look
from publish_agent.screen import condition_code as rules
from publish_agent.screen.code_template import constant, joined, statements
from publish_agent.screen.path_code import Reader


class Residual:
    """Those whose conditions are tested, one after the other."""

    def __init__(self) -> None:
        self._conditions: dict[Condition, list[Place]] = {}

    def add(self, condition: Condition, place: Place) -> None:
        """Take one in; equal conditions are one."""
        self._conditions.setdefault(condition, []).append(place)

    def names(self, i: int) -> dict[str, object]:
        """Those of each condition."""
        return name_places(i, self._conditions)

    def gate(self, reader: Reader, i: int) -> tuple[list[ast.stmt], ast.expr]:  # noqa: ARG002
        """Whether one of the conditions may hold."""
        return [], any_holds(self._conditions, reader)

    def sort(self, reader: Reader, i: int) -> list[ast.stmt]:
        """Add those whose condition may hold."""
        return add_where_held(self._conditions, reader, i)

    def looks(self, reader: Reader) -> list[Look] | None:  # noqa: ARG002
        """None: conditions are Python."""
        return None


def name_places(i: int, conditions: Mapping[Condition, Sequence[Place]]) -> dict[str, object]:
    """Those of each condition, under the names that `add_where_held` has for them."""
    return {f"in{i}_{k}": tuple(places) for k, places in enumerate(conditions.values())}


def any_holds(conditions: Iterable[Condition], reader: Reader) -> ast.expr:
    """The expression that is true if one of the conditions may hold."""
    parts = [rules.compile_condition(each, reader.read, constant) for each in conditions]
    return joined(parts, ast.Or())


def add_where_held(conditions: Iterable[Condition], reader: Reader, i: int) -> list[ast.stmt]:
    """Statements that add to `found` those whose condition may hold."""
    body = []
    for k, condition in enumerate(conditions):
        expression = rules.compile_condition(condition, reader.read, constant)
        body += statements(f"if C:\n    found += in{i}_{k}", expression)
    return body
