"""Typed decoders of events: which keys are decoded, into what, learned from the events.

Decoding into typed structs of just the needed keys is what makes reading NDJSON fast. A decoder
begins with what it has seen so far; what does not fit makes msgspec refuse the chunk, which is
then decoded without types, and the shape learns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, Optional

import msgspec
import numpy as np
import pyarrow as pa

from mql.batch import column_of
from mql.syntax import AnyElement, Property, Step
from mql.values import walk

_LEAF: dict[frozenset[type], object] = {
    frozenset({str}): str | None,
    frozenset({int}): int | None,
    frozenset({bool}): bool | None,
    frozenset({float}): float | int | None,
}
_OPEN: object = Any


class Shape:
    """What has been seen at one place of an event, and below it, where paths lead there."""

    def __init__(self) -> None:
        self.keys: dict[str, Shape] = {}
        self.any: Shape | None = None
        self.whole = False  # a path ends here, or goes on by an index
        self._seen: set[type] = set()

    def add(self, steps: Sequence[Step]) -> None:
        """Make room for a path."""
        if not steps or isinstance(steps[0], int):
            self.whole = True
        elif isinstance(steps[0], AnyElement):
            self.any = self.any or Shape()
            self.any.add(steps[1:])
        else:
            self.keys.setdefault(steps[0], Shape()).add(steps[1:])

    def learn(self, values: Iterable[object]) -> None:
        """Take note of the types of values seen here."""
        values = [value for value in values if value is not None]
        self._seen |= set(map(type, values))
        objects = [value for value in values if isinstance(value, dict)]
        for key, shape in self.keys.items():
            shape.learn(value.get(key) for value in objects)
        if self.any:
            self.any.learn(e for value in values if isinstance(value, list) for e in value)

    def decoded(self) -> object:
        """The type to decode into; `Any` where values of more than one kind were seen."""
        if self.whole and (self.keys or self.any):
            return _OPEN
        seen = frozenset(self._seen)
        if self.whole:
            return _LEAF.get(seen, _OPEN)
        if self.any and not self.keys and seen == {list}:
            return Optional[list[self.any.decoded()]]  # type: ignore[misc]
        if self.keys and not self.any and seen == {dict}:
            return Optional[self.struct()]
        return _OPEN

    def struct(self, *, typed: bool = True) -> type[msgspec.Struct]:
        """A struct of the needed keys, `f0`, `f1` … in order."""
        fields = []
        rename = {}
        for i, (key, shape) in enumerate(self.keys.items()):
            fields.append((f"f{i}", shape.decoded() if typed else _OPEN, None))
            rename[f"f{i}"] = key
        return msgspec.defstruct("Event", fields, rename=rename, gc=False)

    def place(self, key: str) -> str:
        """The struct's field of a key."""
        return f"f{list(self.keys).index(key)}"


def column(events: Sequence[Any], path: Property, shape: Shape) -> pa.Array:
    """The column of a path from decoded events, whatever they were decoded into.

    A path with `[*]` gives a list column.
    """
    if not path.has_any:
        return column_of(_follow_event(events, path.steps, shape)[0])
    at = path.steps.index(AnyElement.ANY)
    many, inner = _follow_event(events, path.steps[:at], shape)
    if set(map(type, many)) <= {list}:
        lists: list[Any] = many
    else:
        lists = [_elements(value) for value in many]
    offsets = np.zeros(len(lists) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, lists), np.int32, len(lists)), out=offsets[1:])
    flat: list[object] = list(chain.from_iterable(lists))
    flat = _follow(flat, path.steps[at + 1 :], inner.any if inner else None)[0]
    return pa.ListArray.from_arrays(offsets, column_of(flat))


def _elements(value: object) -> Sequence[object]:
    if type(value) is list:
        return value
    return list(value.values()) if isinstance(value, dict) else ()


def _follow_event(
    events: Sequence[Any], steps: Sequence[Step], shape: Shape
) -> tuple[list[object], Shape | None]:
    key = steps[0]
    assert isinstance(key, str)
    get = attrgetter(shape.place(key))
    return _follow(list(map(get, events)), steps[1:], shape.keys[key])


def _follow(
    values: list[object], steps: Sequence[Step], shape: Shape | None
) -> tuple[list[object], Shape | None]:
    """Follow steps through structs as long as there are any, then through plain values.

    Returns the values, and the shape there if they were still structs on the way.
    """
    if not steps:
        return values, shape
    sample = next((value for value in values if value is not None), None)
    step = steps[0]
    if shape and isinstance(sample, msgspec.Struct) and isinstance(step, str):
        get = attrgetter(shape.place(step))
        if None in values:
            inner = [None if value is None else get(value) for value in values]
        else:
            inner = list(map(get, values))
        return _follow(inner, steps[1:], shape.keys[step])
    rest = tuple(steps)
    return [walk(value, rest) for value in values], None
