"""JSON values as Python has them: reading, writing, and what each odd value becomes.

The rules, which hold for every input: an integer beyond 64 bits is the nearest double; NaN and
infinities are null; a lone surrogate is U+FFFD; of a key that stands twice the last one counts;
what JSON does not know (a date, a Decimal) is what msgspec makes of it, an object of its fields, or
else its `str`.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from mql.values.json_coercion import INT64_MAX, INT64_MIN, Apart, is_deep, normalize
from mql.values.plain_json import writer

MAX_DEPTH = 5_000
"""Levels of nesting that are surely read; a line that is much deeper counts as not JSON."""

_DEEP = 3 * MAX_DEPTH
"""Calls of C code that calls itself, while nested values are read."""
_WRITTEN_DEPTH = 4 * MAX_DEPTH
"""Levels that are written, more than any reader gives."""
_IN_PYTHON = 3 * _WRITTEN_DEPTH
"""Calls of Python code meanwhile, which takes no stack of C."""
_LONGEST_INT64 = 20
_AS_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19
_STEP = 3
_SHORT = 2_000
"""In a text of more bytes, each third is looked at first: few numbers have so many digits there."""
_T = TypeVar("_T")

_decoder = msgspec.json.Decoder()


def read_json(text: bytes | str) -> object:
    """Decode one JSON text. Raises ValueError if it is not JSON.

    >>> read_json('{"a": [1, NaN]}')
    {'a': [1, None]}
    """
    if not stack_is_bounded() and is_deep(_encoded(text), MAX_DEPTH):
        raise ValueError(f"nested deeper than {MAX_DEPTH:,} levels")
    try:
        value = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _deep(lambda: _read_oddly(text))
    return _in_doubles(value) if _has_long_number(text) else value


def read_json_lines(lines: bytes | memoryview, number: int) -> list[object] | None:
    r"""The values of so many lines, read at once; None if each has to be read by itself.

    >>> read_json_lines(b'{"a":1}\n{"a":2}\n', 2)
    [{'a': 1}, {'a': 2}]
    """
    if not stack_is_bounded():
        return None
    try:
        values: list[object] = _decoder.decode_lines(lines)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if len(values) != number or _has_long_number(bytes(lines)) else values


def is_json(text: bytes) -> bool:
    """Whether a text that `read_json` takes is JSON as it stands."""
    try:
        _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def write_json(value: object) -> str:
    """The compact JSON text of a value, non-ASCII characters as they are.

    >>> write_json({"a": [1, 2.0, "é"]})
    '{"a":[1,2.0,"é"]}'
    """
    return _write(value).decode()


def nested_json(value: object) -> str:
    """The compact JSON text of a list or an object, the numbers in it by the rules too."""
    text = write_json(value)
    return _write(_in_doubles(value)).decode() if _has_long_number(text) else text


def stack_is_bounded() -> bool:
    """Whether Python's recursion limit ends what calls itself in C before its stack does."""
    return sys.getrecursionlimit() <= _DEEP


def _encoded(text: bytes | str) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def _has_long_number(text: bytes | str) -> bool:
    """Whether a number in it may be beyond 64 bits. A regex takes six times as long."""
    data = _encoded(text)
    if len(data) > _SHORT:
        some = data[::_STEP].translate(_AS_ZEROS)
        if b"0" * (len(_LONG_NUMBER) // _STEP) not in some:
            return False
    return _LONG_NUMBER in data.translate(_AS_ZEROS)


def walk(value: object, steps: tuple[object, ...]) -> object:
    """Follow a path without `[*]` through one value; None where it leads nowhere.

    >>> walk({"a": [1, 2]}, ("a", -1))
    2
    """
    for step in steps:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def canonical(value: object) -> object:
    """A value whose JSON text is the same for all values that MQL calls equal.

    >>> write_json(canonical({"b": 1.0, "a": True}))
    '{"a":true,"b":1}'
    """
    match value:
        case dict():
            return {key: canonical(value[key]) for key in sorted(value)}
        case list():
            return [canonical(element) for element in value]
        case float() if value.is_integer() and INT64_MIN <= value <= INT64_MAX:
            return int(value)
        case _:
            return normalize(value)


def canonical_text(text: str) -> str:
    """`canonical` from JSON text to JSON text."""
    return canonical_json(read_json(text))


def canonical_json(value: object) -> str:
    """The JSON text of `canonical`, however deep the value is."""
    return _deep(lambda: write_json(canonical(value)))


def _read_oddly(text: bytes | str) -> object:
    """The slow reader, for what msgspec refuses and this module has a rule for."""
    if isinstance(text, bytes | bytearray | memoryview):
        text = bytes(text).decode("utf-8", "replace")
    value = json.loads(
        text, parse_int=_read_integer, parse_float=_read_double, parse_constant=lambda _: None
    )
    return _in_doubles(value)


def _read_integer(text: str) -> int | float | None:
    if len(text) <= _LONGEST_INT64:
        value = int(text)
        if INT64_MIN <= value <= INT64_MAX:
            return value
    return _read_double(text)


def _read_double(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _in_doubles(value: object) -> object:
    """The value with doubles for integers beyond 64 bits."""
    apart = _apart(doubles=True)
    return _deep(lambda: apart.of(value), _IN_PYTHON)


def _apart(*, doubles: bool = False) -> Apart:
    return Apart(_WRITTEN_DEPTH, sys.maxsize, sys.maxsize, doubles=doubles)


def _write_oddly(value: object) -> bytes:
    """The text of what is not plain, or deep."""
    apart = _apart()
    return _deep(lambda: apart.text(apart.of(value)), _IN_PYTHON)


_write = writer(_write_oddly)


def _deep(action: Callable[[], _T], limit: int = _DEEP) -> _T:
    """Run with room for deep nesting. Raises ValueError where even that is not enough."""
    try:
        return action()
    except RecursionError:  # seldom: the limit is all threads'
        pass
    with _recursion_limit(limit):
        try:
            return action()
        except RecursionError:
            raise ValueError(f"nested deeper than {MAX_DEPTH:,} levels") from None


@contextmanager
def _recursion_limit(limit: int) -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, before))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
