"""Where a plan finds in an event what a query says of it.

Of a join whose sources have names the events are one object, with a key for each name. Where an
event comes from is in the key that its agent adds.
"""

from __future__ import annotations

from dataclasses import replace

from mql.language.syntax import Condition, JoinClause, JoinKey, Origin, Property, Provenance, Value
from mql.language.syntax import Query as Query  # noqa: PLC0414 - what this is made of
from mql.language.traverse import map_condition, map_everywhere

ORIGIN = "_agent"
"""The key that an agent adds to each event."""


class EventPaths:
    """The paths of a query into its events."""

    def __init__(self, query: Query) -> None:
        self._joined = query.source_names if query.join is not None else ()

    def value(self, value: Value) -> Value:
        """A value of the event, as a plan reads it."""
        return map_everywhere(value, self._part)

    def condition(self, condition: Condition) -> Condition:
        """A condition on the event, as a plan tests it."""
        return map_condition(condition, self.value)

    def _part(self, part: Value) -> Value:
        if isinstance(part, Property) and part.source:
            return self._in(part.source, Property(part.steps, part.span))
        if isinstance(part, Provenance) and part.origin is not Origin.TIME:
            path = Property((ORIGIN, part.origin.value), part.span)
            return self._in(self._joined[0], path) if self._joined else path
        return part

    def _in(self, name: str, path: Property) -> Property:
        return replace(path, steps=(name, *path.steps)) if self._joined else path


def join_of(clause: JoinClause) -> JoinClause:
    """A join whose keys are paths into the events of each side."""

    def plain(path: Property) -> Property:
        return Property(path.steps, path.span)

    keys = tuple(JoinKey(plain(key.left), plain(key.right)) for key in clause.keys)
    return replace(clause, keys=keys)
