"""The names that events have, also where the value is null: found by walking through them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from mql.language.paths import AnyElement
from mql.values.json_coercion import normalize
from mql.values.kind import Kind
from mql.warnings.profile import FieldCounts, Steps

NAMES_MAX = 1_000
"""So many names are kept beside those that are asked for."""
DEPTH_MAX = 8
"""Levels of keys that are walked through, or as many as a path has that is asked for."""
CHARACTERS_MAX = 200
"""Characters of a key that is kept."""
ELEMENTS_MAX = 20
"""Elements of a list that are walked through."""

_KINDS: dict[type, Kind] = {
    type(None): Kind.NULL,
    bool: Kind.BOOL,
    int: Kind.INT,
    float: Kind.DOUBLE,
    str: Kind.STRING,
    list: Kind.LIST,
    dict: Kind.OBJECT,
}


class NameWalk:
    """The names of all events that it has walked through, with the kinds of their values.

    Elements of lists are under `AnyElement.ANY`. `wanted` paths are kept whatever else there is.
    """

    def __init__(self, wanted: Iterable[Steps]) -> None:
        paths = [tuple(map(_any_index, steps)) for steps in wanted]
        self._kept = {steps[:size] for steps in paths for size in range(1, len(steps) + 1)}
        self._depth = max([DEPTH_MAX, *map(len, paths)])
        self._kinds: dict[Steps, dict[Kind, int]] = {}

    @property
    def fields(self) -> dict[Steps, FieldCounts]:
        """What has been found."""
        return {steps: FieldCounts(kinds) for steps, kinds in self._kinds.items()}

    def add(self, event: object) -> None:
        """Walk through an event."""
        self._visit(event, ())

    def _visit(self, value: object, steps: Steps) -> None:
        if steps and not self._count(value, steps):
            return
        if len(steps) >= self._depth:
            return
        if isinstance(value, dict):
            for key, inner in value.items():
                self._visit(inner, (*steps, str(key)))
        elif isinstance(value, list):
            for element in value[:ELEMENTS_MAX]:
                self._visit(element, (*steps, AnyElement.ANY))

    def _count(self, value: object, steps: Steps) -> bool:
        """Count a value; whether there was room for its name."""
        kinds = self._kinds.get(steps)
        if kinds is None:
            is_small = len(self._kinds) < NAMES_MAX and len(str(steps[-1])) <= CHARACTERS_MAX
            if not is_small and steps not in self._kept:
                return False
            kinds = self._kinds[steps] = {}
        kind = _KINDS.get(type(value)) or _KINDS.get(type(normalize(value)), Kind.NULL)
        kinds[kind] = kinds.get(kind, 0) + 1
        return True


def values_at(event: object, steps: Steps) -> Iterator[object]:
    """The values at a path that are there, null too; of one with `[*]` each element's.

    >>> list(values_at({"l": [{"k": 1}, {"k": None}, {}]}, ("l", AnyElement.ANY, "k")))
    [1, None]
    """
    for place, step in enumerate(steps):
        if _leads_on(event, step):
            event = event[step]  # type: ignore[index]
        elif step is AnyElement.ANY and isinstance(event, list | dict):
            for element in event.values() if isinstance(event, dict) else event:
                yield from values_at(element, steps[place + 1 :])
            return
        else:
            return
    yield event


def names_of_schema(schema: pa.Schema) -> Iterator[Steps]:
    """The names that the rows of a table have by its types: its columns, and inside of structs."""
    for column in schema:
        yield from _names_of_type(column.type, (column.name,))


def _names_of_type(kind: pa.DataType, steps: Steps) -> Iterator[Steps]:
    yield steps
    if len(steps) >= DEPTH_MAX:
        return
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _names_of_type(field.type, (*steps, field.name))
    elif _is_list(kind) and pa.types.is_struct(kind.value_type):
        yield from _names_of_type(kind.value_type, (*steps, AnyElement.ANY))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _any_index(step: object) -> str | AnyElement:
    return step if isinstance(step, str) else AnyElement.ANY


def _leads_on(value: object, step: object) -> bool:
    """Whether a value has a key, or an index."""
    if isinstance(value, dict):
        return isinstance(step, str) and step in value
    is_index = isinstance(value, list) and isinstance(step, int)
    return is_index and -len(value) <= step < len(value)  # type: ignore[arg-type,operator]
