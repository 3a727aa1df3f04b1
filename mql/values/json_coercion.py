"""Values that JSON lacks, as values that it has. Here and in object_fields runs code of values.

No C code that borrows what it walks through gets to see such values. What they are made of is read
from their own storage, by the methods of the types that Python knows, and into lists and dicts that
nothing else refers to. `Apart` does so all the way down, within limits.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import math
import numbers
import pathlib
import re
import uuid
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec

from mql.host.interruption import pass_on
from mql.values.array_types import array_types
from mql.values.object_fields import Fields, copied, fields_of, named_values
from mql.values.plain_json import LEVELS, write

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_UINT64_MAX = 2**64 - 1

_SCALARS = frozenset(
    {dt.datetime, dt.date, dt.time, dt.timedelta, Decimal, uuid.UUID, bytes, bytearray, memoryview}
)
"""What msgspec knows and takes by itself, without anything inside."""
_TEXTS = (
    *(dt.date, dt.time, dt.timedelta, dt.tzinfo, Decimal, complex, bytes, bytearray, memoryview),
    *(pathlib.PurePath, ipaddress.IPv4Address, ipaddress.IPv6Address),
    *(ipaddress.IPv4Network, ipaddress.IPv6Network),
)
"""What is a text by its kind: `str` of it shows the value, and nothing that has a name of its own.

URLs are not among them, since one may hold a password.
"""
_KEYS = frozenset({str, int, float, bool, type(None)})
_STEPS = 8
"""So often a value may turn into another one that JSON does not know."""
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])', re.DOTALL)
_read = msgspec.json.decode


def normalize(value: object, *, guarded: bool = False) -> object:
    """A value of one of the seven JSON kinds, by the rules of `json_values`, containers unchecked.

    Where it is `guarded`, what only its own `str` could tell is the name of its type, and a list
    whose elements have names is `Fields`.

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
        if value is None or kind is bool or kind is dict or kind is list or kind is Fields:
            return value
        try:
            value = _known(value, kind, guarded=guarded)
        except Exception as error:  # noqa: BLE001 - whatever somebody's class raises
            pass_on(error)
            break
    return _said(value, guarded=guarded)


def _known(value: Any, kind: type, *, guarded: bool) -> object:
    """What a value that is of no exact JSON type is nearest to, one step."""
    if kind in _SCALARS:
        return msgspec.to_builtins(value)
    if guarded and (named := named_values(value, kind)) is not None:
        return named
    for base, plain in _BASES.items():
        if issubclass(kind, base):
            return plain(value)
    arrays = array_types()
    if issubclass(kind, arrays.ndarray):
        return arrays.ndarray.tolist(value)
    if issubclass(kind, Enum):
        return value._value_
    if issubclass(kind, uuid.UUID):
        return uuid.UUID.__str__(value)
    if issubclass(kind, numbers.Integral):
        return int(value)
    if issubclass(kind, numbers.Real):
        return float(value)
    if issubclass(kind, arrays.generic):
        return arrays.generic.tolist(value)
    fields = fields_of(value, kind)
    return _said(value, guarded=guarded) if fields is None else fields


_BASES: dict[type, Any] = {
    int: int.__pos__,
    float: float.__pos__,
    str: str.__str__,
    dict: copied,
    list: list.copy,
    tuple: lambda value: [*tuple.__iter__(value)],
    set: lambda value: [*set.__iter__(value)],
    frozenset: lambda value: [*frozenset.__iter__(value)],
}
"""What a value of such a type, or of one below it, holds, whatever its own methods say."""


def as_text(value: object) -> str:
    """What a value calls itself, or its type's name where it cannot say."""
    try:
        return replace_surrogates(str(value))
    except Exception as error:  # noqa: BLE001 - whatever somebody's class raises
        pass_on(error)
        return name_of_type(value)


def name_of_type(value: object) -> str:
    """What stands for a value of which nothing else is said."""
    return f"<{type.__dict__['__name__'].__get__(type(value))}>"


def _said(value: object, *, guarded: bool) -> str:
    """What a value calls itself; where it is `guarded`, only if it is a text by its kind."""
    if guarded and not issubclass(type(value), _TEXTS):
        return name_of_type(value)
    return as_text(value)


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

    With `doubles` an integer beyond 64 bits becomes one; else its digits are kept. What is made of
    a value that is `guarded` (see `normalize`) may have `Fields` in it.
    """

    __slots__ = ("_characters", "_deepest", "_doubles", "_guarded", "_levels", "_values")

    def __init__(
        self,
        levels: int,
        values: int,
        characters: int,
        *,
        doubles: bool = False,
        guarded: bool = False,
    ) -> None:
        self._levels, self._values, self._characters = levels, values, characters
        self._doubles, self._guarded = doubles, guarded
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
            ndarray = array_types().ndarray
            if issubclass(kind, ndarray):
                self._take(ndarray.size.__get__(value))
            self._read(_size_of(value, kind))
            value = normalize(value, guarded=self._guarded)
            kind = type(value)
        if kind is Fields:
            return Fields(self._object(value, level + 1))  # type: ignore[arg-type]
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
            text = _key(key, guarded=self._guarded)
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


def _key(key: object, *, guarded: bool) -> str:
    """What a key of a dict is in JSON."""
    if type(key) is str:
        return replace_surrogates(key)
    found = key if type(key) is int else normalize(key, guarded=guarded)
    if type(found) is str:
        return found
    if type(found) in (int, float):
        return as_text(found)
    return as_text(key) if not guarded or _is_plain_key(key) else name_of_type(key)


def _is_plain_key(key: object) -> bool:
    """Whether Python itself writes the text of a key, which has no names in it."""
    return type(key) in _KEYS or (type(key) is tuple and all(type(each) in _KEYS for each in key))
