"""Typed decoders of events: which keys are decoded, into what, learned from the events.

Decoding into typed structs of just the needed keys is what makes reading NDJSON fast. A decoder
begins with what it has seen so far; what does not fit makes msgspec refuse the chunk, which is
then decoded without types, and the shape learns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, Optional

import msgspec
import numpy as np
import pyarrow as pa

from mql.columnar import arrays
from mql.columnar.build import column_of, column_of_kind
from mql.language.syntax import AnyElement, Property, Step
from mql.values.json_values import walk

_LEAF: dict[type, object] = {
    str: str | None,
    int: int | None,
    bool: bool | None,
    float: float | int | None,
}
_OPEN: object = Any


class Shape:
    """What has been seen at one place of an event, and below it, where paths lead there."""

    def __init__(self) -> None:
        self.keys: dict[str, Shape] = {}
        self.any: Shape | None = None
        self.whole = False  # a path ends here, or goes on by an index
        self._seen: set[type] = set()
        self._takers: dict[str, Callable[[Sequence[Any]], list[Any]]] = {}

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

    @property
    def kind(self) -> type | None:
        """The one type that all values here had, if values can be decoded into it."""
        if len(self._seen) != 1:
            return None
        (kind,) = self._seen
        match self.whole, bool(self.any), bool(self.keys):
            case (True, False, False):
                return kind if kind in _LEAF else None
            case (False, True, False):
                return kind if kind is list else None
            case (False, False, True):
                return kind if kind is dict else None
            case _:
                return None

    def decoded(self) -> object:
        """The type to decode into; `Any` where values of more than one kind were seen."""
        kind = self.kind
        if kind is list:
            assert self.any
            return Optional[list[self.any.decoded()]]  # type: ignore[misc]
        if kind is dict:
            return Optional[self.struct()]
        return _OPEN if kind is None else _LEAF[kind]

    def struct(self, *, typed: bool = True) -> type[msgspec.Struct]:
        """A struct of the needed keys, `f0`, `f1` … in order."""
        fields = []
        rename = {}
        for i, (key, shape) in enumerate(self.keys.items()):
            fields.append((f"f{i}", shape.decoded() if typed else _OPEN, None))
            rename[f"f{i}"] = key
        self._takers = {key: _taker(place) for place, key in rename.items()}
        return msgspec.defstruct("Event", fields, rename=rename, gc=False)

    def take(self, key: str, structs: Sequence[Any]) -> list[Any]:
        """The values of a key, from structs and None."""
        return self._takers[key](structs)


def _taker(place: str) -> Callable[[Sequence[Any]], list[Any]]:
    """A function that takes one field of structs.

    Code with the name in it, made anew for each struct, runs three times as fast as `attrgetter`:
    Python specializes it.
    """
    code = f"lambda structs: [None if struct is None else struct.{place} for struct in structs]"
    taker: Callable[[Sequence[Any]], list[Any]] = eval(code)  # noqa: S307 - the name is ours
    return taker


def column(events: Sequence[Any], path: Property, shape: Shape, *, typed: bool) -> pa.Array:
    """The column of a path from decoded events; `typed` says whether `shape` decoded them.

    A path with `[*]` gives a list column.
    """
    if not path.has_any:
        return _column(*_follow_event(events, path.steps, shape, typed=typed))
    at = path.steps.index(AnyElement.ANY)
    many, inner = _follow_event(events, path.steps[:at], shape, typed=typed)
    elements = inner.any if inner and inner.kind is list else None
    lists = many if set(map(type, many)) <= {list} else [_elements(value) for value in many]
    offsets = np.zeros(len(lists) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, lists), np.int32, len(lists)), out=offsets[1:])
    flat = _follow(list(chain.from_iterable(lists)), path.steps[at + 1 :], elements)
    return arrays.lists(offsets, _column(*flat))


def _column(values: list[Any], shape: Shape | None) -> pa.Array:
    kind = shape.kind if shape else None
    return column_of(values) if kind is None else column_of_kind(values, kind)


def _elements(value: object) -> Sequence[object]:
    if type(value) is list:
        return value
    return list(value.values()) if isinstance(value, dict) else ()


def _follow_event(
    events: Sequence[Any], steps: Sequence[Step], shape: Shape, *, typed: bool
) -> tuple[list[Any], Shape | None]:
    key = steps[0]
    assert isinstance(key, str)
    return _follow(shape.take(key, events), steps[1:], shape.keys[key] if typed else None)


def _follow(
    values: list[Any], steps: Sequence[Step], shape: Shape | None
) -> tuple[list[Any], Shape | None]:
    """Follow steps through structs as long as there are any, then through plain values.

    Returns the values, and the shape there if they were decoded by it.
    """
    if not steps:
        return values, shape
    step = steps[0]
    if shape and shape.kind is dict and isinstance(step, str):
        return _follow(shape.take(step, values), steps[1:], shape.keys[step])
    rest = tuple(steps)
    return [walk(value, rest) for value in values], None
