"""The scalar functions one value at a time, for the interpreter: each in the plainest way."""

from __future__ import annotations

import json
import math
import re
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

import msgspec

from tests.oracle.cases import Json

WHITE_SPACE = {
    *range(0x09, 0x0E),
    *(0x20, 0x85, 0xA0, 0x1680),
    *range(0x2000, 0x200B),
    *(0x2028, 0x2029, 0x202F, 0x205F, 0x3000),
}
"""Unicode's White_Space."""

EXACT = Context(prec=2_000, Emax=10**6, Emin=-(10**6))


def is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def fit(number: float | Fraction | Decimal) -> int | float | None:
    """As a value: an integer beyond 64 bits is a float, a float beyond all is null."""
    if isinstance(number, int) and -(2**63) <= number < 2**63:
        return number
    try:
        double = float(number)
    except OverflowError:
        return None
    return double if math.isfinite(double) else None


def text(value: Json) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def number(value: Json) -> Json:
    if is_number(value):
        return value
    if not isinstance(value, str):
        return None
    inside = value.strip(" \t\n\r")
    if not re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", inside):
        return None
    return fit(json.loads(inside))


def only_text(value: Json, function: object, *others: object) -> Json:
    return function(value, *others) if isinstance(value, str) else None  # type: ignore[operator]


def trim(value: str) -> str:
    start, end = 0, len(value)
    while start < end and ord(value[start]) in WHITE_SPACE:
        start += 1
    while end > start and ord(value[end - 1]) in WHITE_SPACE:
        end -= 1
    return value[start:end]


def length(value: Json) -> Json:
    return len(value) if isinstance(value, str | list | dict) else None


def whole(value: Json) -> int | None:
    if not is_number(value) or value != math.floor(value):  # type: ignore[operator,arg-type]
        return None
    return int(value)  # type: ignore[arg-type]


def substring(value: Json, start: Json, *size: Json) -> Json:
    first, counts = whole(start), [whole(each) for each in size]
    if not isinstance(value, str) or first is None or None in counts:
        return None
    last = len(value) if not counts else first + max(counts[0] or 0, 0) - 1
    return "".join(c for place, c in enumerate(value, 1) if first <= place <= last)


def extract(value: Json, pattern: str) -> Json:
    if not isinstance(value, str):
        return None
    found = re.search(pattern, value, re.ASCII)
    return None if found is None else found.group(1 if found.re.groups else 0)


def rounded(value: Json, how: str, places: int | None = None) -> Json:
    if not is_number(value):
        return None
    exact = Decimal(repr(value)).quantize(Decimal((0, (1,), -(places or 0))), how, EXACT)
    if places is None or isinstance(value, int):
        return fit(int(exact))
    return fit(exact)


def call(function: str, values: list[Json], pattern: str | None) -> Json:
    """What a function gives for its values."""
    first = values[0]
    match function:
        case "number":
            return number(first)
        case "text":
            return text(first)
        case "lower":
            return only_text(first, str.lower)
        case "upper":
            return only_text(first, str.upper)
        case "trim":
            return only_text(first, trim)
        case "length":
            return length(first)
        case "substring":
            return substring(*values)
        case "extract":
            assert pattern is not None
            return extract(first, pattern)
        case "abs":
            return fit(abs(first)) if is_number(first) else None  # type: ignore[arg-type]
        case "floor":
            return rounded(first, ROUND_FLOOR)
        case "ceil":
            return rounded(first, ROUND_CEILING)
        case "round":
            places = None if len(values) == 1 else whole(values[1])
            return rounded(first, ROUND_HALF_UP, places)
        case "coalesce":
            return next((value for value in values if value is not None), None)
        case _:
            raise LookupError(f"there is no {function}")
