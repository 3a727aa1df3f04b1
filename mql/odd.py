"""What JSON does not know, as what it has: all code of a value's own that is run is run from here.

No C code that borrows what it walks through gets to see such values. What they are made of is read
from their own storage, by the methods of the types that Python knows, and into lists and dicts that
nothing else refers to. `Apart` does so all the way down, within limits.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import numbers
import re
import uuid
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
import numpy as np

from mql.interruption import pass_on
from mql.plain import LEVELS, write

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_UINT64_MAX = 2**64 - 1

_SCALARS = frozenset(
    {dt.datetime, dt.date, dt.time, dt.timedelta, Decimal, uuid.UUID, bytes, bytearray, memoryview}
)
"""What msgspec knows and takes by itself, without anything inside."""
_STEPS = 8
"""So often a value may turn into another one that JSON does not know."""
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])', re.DOTALL)
_read = msgspec.json.decode


def normalize(value: object) -> object:
    """A value of one of the seven JSON kinds, by the rules of `mql.values`; containers unchecked.

    >>> normalize(2**64), normalize(float("nan")), normalize((1, 2))
    (1.8446744073709552e+19, None, [1, 2])
    """
    for _ in range(_STEPS):
        kind = type(value)
        if kind is str:
            return replace_surrogates(value)  # type: ignore[arg-type]
        if kind is int:
            return value if INT64_MIN <= value <= INT64_MAX else as_double(value)  # type: ignore[operator,arg-type]
        if kind is float:
            return value if math.isfinite(value) else None  # type: ignore[arg-type]
        if value is None or kind is bool or kind is dict or kind is list:
            return value
        try:
            value = _known(value, kind)
        except Exception as error:  # noqa: BLE001 - whatever somebody's class raises
            pass_on(error)
            return as_text(value)
    return as_text(value)


def _known(value: Any, kind: type) -> object:
    """What a value that is of no exact JSON type is nearest to, one step."""
    if kind in _SCALARS:
        return msgspec.to_builtins(value)
    for base, plain in _BASES.items():
        if issubclass(kind, base):
            return plain(value)
    if issubclass(kind, Enum):
        return value._value_
    if issubclass(kind, uuid.UUID):
        return uuid.UUID.__str__(value)
    if issubclass(kind, numbers.Integral):
        return int(value)
    if issubclass(kind, numbers.Real):
        return float(value)
    if issubclass(kind, np.generic):
        return np.generic.tolist(value)
    fields = _fields_of(value, kind)
    return as_text(value) if fields is None else fields


_BASES: dict[type, Any] = {
    int: int.__pos__,
    float: float.__pos__,
    str: str.__str__,
    dict: lambda value: dict(dict.items(value)),  # `dict.copy` would ask its own keys
    list: list.copy,
    tuple: lambda value: [*tuple.__iter__(value)],
    set: lambda value: [*set.__iter__(value)],
    frozenset: lambda value: [*frozenset.__iter__(value)],
    np.ndarray: np.ndarray.tolist,
}
"""What a value of such a type, or of one below it, holds, whatever its own methods say."""


def _fields_of(value: object, kind: Any) -> dict[str, object] | list[object] | None:
    """The fields of a struct, a dataclass, or of what is like one; None if it has none."""
    if issubclass(kind, msgspec.Struct):
        fields = _of_struct(value, kind)
        return [each for _, each in fields] if kind.__struct_config__.array_like else dict(fields)
    if getattr(kind, "__dataclass_fields__", None) is not None:
        return dict(_present(value, [field.name for field in dataclasses.fields(kind)]))
    attributes = getattr(kind, "__attrs_attrs__", None)
    if attributes is None:
        return None
    names = [attribute.name for attribute in attributes]
    return dict(_present(value, [name for name in names if not name.startswith("_")]))


def _present(value: object, names: list[str]) -> Iterator[tuple[str, object]]:
    """The fields that can be read, by name."""
    for name in names:
        try:
            found = getattr(value, name)
        except Exception as error:  # noqa: BLE001 - whatever somebody's class raises
            pass_on(error)
            continue
        if found is not msgspec.UNSET:
            yield name, found


def _of_struct(value: object, kind: Any) -> Iterator[tuple[str, object]]:
    """The fields of a struct as msgspec writes them: its tag first, no defaults if it says so."""
    config, names = kind.__struct_config__, kind.__struct_fields__
    keys = dict(zip(names, kind.__struct_encode_fields__, strict=True))
    omitted = {}
    if config.omit_defaults:
        defaults = kind.__struct_defaults__
        omitted = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    if config.tag is not None:
        yield config.tag_field, config.tag
    for name, found in _present(value, list(names)):
        if name not in omitted or not _is_default(found, omitted[name]):
            yield keys[name], found


def _is_default(value: object, default: object) -> bool:
    if value is default:
        return True
    made = getattr(default, "factory", None)
    return made in (list, dict, set) and type(value) is made and not value


def as_text(value: object) -> str:
    """What a value calls itself, or its type's name where it cannot say."""
    try:
        return replace_surrogates(str(value))
    except Exception as error:  # noqa: BLE001 - whatever somebody's class raises
        pass_on(error)
        return f"<{type.__dict__['__name__'].__get__(type(value))}>"


def as_double(value: int) -> float | None:
    """The nearest double to an integer; None if there is none."""
    try:
        return float(value)
    except OverflowError:
        return None


def replace_surrogates(text: str) -> str:
    """A text with what has no UTF-8 replaced by U+FFFD."""
    text = str.__str__(text)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


class Apart:
    """Takes a value apart, into exact JSON types, within limits.

    With `doubles` an integer beyond 64 bits becomes one; else its digits are kept.
    """

    __slots__ = ("_characters", "_deepest", "_doubles", "_levels", "_values")

    def __init__(self, levels: int, values: int, characters: int, *, doubles: bool = False) -> None:
        self._levels, self._values, self._characters = levels, values, characters
        self._doubles = doubles
        self._deepest = 0

    def of(self, value: object, level: int = 0) -> object:
        """The value in copies that nothing else refers to. Raises ValueError beyond a limit."""
        kind = type(value)
        if kind is not dict and kind is not list:
            self._take(1)
            if kind is msgspec.Raw:
                value = self._read_raw(value)  # type: ignore[arg-type]
                kind = type(value)
            if kind is int and not self._doubles:
                return _number(value)  # type: ignore[arg-type]
            if issubclass(kind, np.ndarray):
                self._take(np.ndarray.size.__get__(value))
            self._read(_size_of(value, kind))
            value = normalize(value)
            kind = type(value)
        if kind is dict:
            return self._object(value, level + 1)  # type: ignore[arg-type]
        if kind is list:
            return self._list(value, level + 1)  # type: ignore[arg-type]
        return value

    def _object(self, value: dict[object, object], level: int) -> dict[str, object]:
        self._enter(len(value), level)
        made: dict[str, object] = {}
        for key, inner in value.copy().items():
            self._read(_size_of(key, type(key)))
            text = _key(key)
            made[text] = self.of(inner, level)
        return made

    def _list(self, value: list[object], level: int) -> list[object]:
        self._enter(len(value), level)
        made: list[object] = []
        for inner in value.copy():
            made.append(self.of(inner, level))  # noqa: PERF401 - a comprehension is one call more
        return made

    def _read_raw(self, value: msgspec.Raw) -> object:
        """What JSON text stands for. Raises ValueError if it is none, or too deep."""
        text = bytes(memoryview(value))
        if sum(map(text.count, (b'"', b"[", b"{"))) > 4 * self._values:
            raise ValueError("it holds too many values")
        if is_deep(text, LEVELS):
            raise ValueError(f"JSON text that is nested deeper than {LEVELS} levels")
        return _read(text)

    def _enter(self, size: int, level: int) -> None:
        if level > self._levels:
            raise ValueError(f"nested deeper than {self._levels:,} levels")
        self._deepest = max(self._deepest, level)
        self._take(1)
        if size > self._values:
            raise ValueError("it holds too many values")

    def _take(self, values: int) -> None:
        self._values -= values
        if self._values < 0:
            raise ValueError("it holds too many values")

    def _read(self, characters: int) -> None:
        self._characters -= characters
        if self._characters < 0:
            raise ValueError("its texts are too long")

    def text(self, made: object) -> bytes:
        """The JSON text of what `of` has made, or of what was made of that."""
        if self._deepest > LEVELS:
            _cut(made, 1)
        return write(made)


def _cut(made: object, level: int) -> None:
    """Replace by its text what is nested too deep to be walked through with all that is around."""
    items = made.items() if isinstance(made, dict) else enumerate(made)  # type: ignore[arg-type]
    for place, inner in items:
        if type(inner) is dict or type(inner) is list:
            _cut(inner, level + 1)
            if level % LEVELS == 0:
                made[place] = msgspec.Raw(write(inner))  # type: ignore[index]


def _size_of(value: Any, kind: type) -> int:
    """How long a text is, or what becomes one: asked before anything looks through it."""
    if issubclass(kind, str):
        return str.__len__(value)
    if issubclass(kind, bytes):
        return bytes.__len__(value)
    if issubclass(kind, bytearray):
        return bytearray.__len__(value)
    return value.nbytes if kind is memoryview else 0


def _number(value: int) -> object:
    """An integer, in digits beyond 64 bits, and null beyond all doubles."""
    if INT64_MIN <= value <= _UINT64_MAX:
        return value
    return None if as_double(value) is None else msgspec.Raw(str(value).encode())


def is_deep(text: bytes, levels: int) -> bool:
    """Whether JSON text, or what begins like some, has more levels of nesting.

    >>> is_deep(b'{"a": ["[[["]}', 1), is_deep(b'{"a": ["[[["]}', 2)
    (True, False)
    """
    if text.count(b"[") + text.count(b"{") <= levels:
        return False
    depth = 0
    for found in _STRUCTURE.finditer(text):
        if found.lastindex == 1:
            depth += 1
            if depth > levels:
                return True
        elif found.lastindex:
            depth -= 1
    return False


def _key(key: object) -> str:
    """What a key of a dict is in JSON."""
    if type(key) is str:
        return replace_surrogates(key)
    found = key if type(key) is int else normalize(key)
    if type(found) is str:
        return found
    return as_text(found if type(found) in (int, float) else key)
