"""JSON values as Python has them: reading, writing, and what each odd value becomes.

The rules, which hold for every input: an integer beyond 64 bits is the nearest double; NaN and
infinities are null; a lone surrogate is U+FFFD; of a key that stands twice the last one counts;
what JSON does not know (a date, a Decimal) is what msgspec makes of it, or else its `str`.
"""

from __future__ import annotations

import json
import math
import numbers
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec
import numpy as np

MAX_DEPTH = 5_000
"""Levels of nesting that are surely read; a line that is much deeper counts as not JSON."""

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_LONGEST_INT64 = 20
_AS_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19
_ZERO, _DIGITS = ord("0"), 10
_STEP = 3
_SHORT = 2_000
"""In a text of more bytes, each third is looked at first: few numbers have so many digits there."""
_PLAIN = frozenset({str, int, float, bool, type(None)})
_T = TypeVar("_T")

_decoder = msgspec.json.Decoder()


def read_json(text: bytes | str) -> object:
    """Decode one JSON text. Raises ValueError if it is not JSON.

    >>> read_json('{"a": [1, NaN]}')
    {'a': [1, None]}
    """
    try:
        value = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _deep(lambda: _read_oddly(text))
    return _deep(lambda: _clean(value)) if _has_long_number(text) else value


def read_json_lines(lines: bytes | memoryview, number: int) -> list[object] | None:
    r"""The values of so many lines, read at once; None if each has to be read by itself.

    >>> read_json_lines(b'{"a":1}\n{"a":2}\n', 2)
    [{'a': 1}, {'a': 2}]
    """
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
    try:
        return _encoder.encode(value).decode()
    except (RecursionError, TypeError, ValueError, UnicodeEncodeError):
        return _deep(lambda: _encoder.encode(_clean(value)).decode())


def nested_json(value: object) -> str:
    """The compact JSON text of a list or an object, the numbers in it by the rules too."""
    text = write_json(value)
    return _deep(lambda: write_json(_clean(value))) if _has_long_number(text) else text


def _has_long_number(text: bytes | str) -> bool:
    """Whether a number in it may be beyond 64 bits. A regex takes six times as long."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(data) > _SHORT:
        some = np.frombuffer(data, np.uint8)[::_STEP] - _ZERO < _DIGITS
        if b"\1" * (len(_LONG_NUMBER) // _STEP) not in some.tobytes():
            return False
    return _LONG_NUMBER in data.translate(_AS_ZEROS)


def normalize(value: object) -> object:
    """A value of one of the seven JSON kinds, by the rules of this module; containers unchecked.

    >>> normalize(2**64), normalize(float("nan")), normalize((1, 2))
    (1.8446744073709552e+19, None, [1, 2])
    """
    match value:
        case None | bool() | dict() | list():
            return value
        case int():
            return int(value) if INT64_MIN <= value <= INT64_MAX else _as_double(value)
        case float():
            return float(value) if math.isfinite(value) else None
        case str():
            return _replace_surrogates(value)
        case tuple() | set() | frozenset():
            return list(value)
        case _ if type(value).__module__ == "numpy" and hasattr(value, "item"):
            return normalize(value.item())
        case numbers.Integral():
            return normalize(int(value))
        case numbers.Real():
            return normalize(float(value))
    # No code of the value's own may run in msgspec: it holds on to lists that such code may change.
    try:
        built = msgspec.to_builtins(value, str_keys=True)
    except (TypeError, ValueError, RecursionError):
        built = _fields_of(value)
    plain = isinstance(built, dict | list | str | int | float | bool)
    return normalize(built) if plain else _as_text(value)


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


_encoder = msgspec.json.Encoder(enc_hook=normalize)


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
    return _clean(value)


def _read_integer(text: str) -> int | float | None:
    if len(text) <= _LONGEST_INT64:
        value = int(text)
        if INT64_MIN <= value <= INT64_MAX:
            return value
    return _read_double(text)


def _read_double(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _clean(value: object) -> object:
    """`normalize`, inside lists and objects too."""
    value = normalize(value)
    if isinstance(value, dict):
        return {_replace_surrogates(str(k)): _clean(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_clean(element) for element in value]
    return value


def _fields_of(value: object) -> dict[str, object] | None:
    """The fields of a dataclass, or of what is like one; None if it has none."""
    kind = type(value)
    names = getattr(kind, "__struct_fields__", None)
    if names is not None:
        keys = kind.__struct_encode_fields__  # type: ignore[attr-defined]
        return {key: getattr(value, name) for key, name in zip(keys, names, strict=True)}
    names = getattr(kind, "__dataclass_fields__", None)
    if names is None:
        names = [field.name for field in getattr(kind, "__attrs_attrs__", ())]
    return {name: getattr(value, name) for name in names if hasattr(value, name)} or None


def _as_text(value: object) -> str:
    """What a value calls itself, or its type's name where it cannot say."""
    try:
        return _replace_surrogates(str(value))
    except Exception:  # noqa: BLE001 - whatever somebody's class raises
        return f"<{type(value).__name__}>"


def _as_double(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def _replace_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return str(text)


def _deep(action: Callable[[], _T]) -> _T:
    """Run with room for deep nesting. Raises ValueError where even that is not enough."""
    with _recursion_limit(MAX_DEPTH * 3):
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
