"""JSON values as the language sees them: what is equal, what comes first, and how they read.

Null, booleans, integers of 64 bits, finite floats, strings, lists, objects.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import TypeAlias, TypeGuard

import msgspec

from mql.language.syntax import Step
from tests.oracle.cases import Json, Row

Number: TypeAlias = int | float


def normal(value: Json) -> Json:
    """A value as the language has it: numbers are those that 64 bits hold."""
    match value:
        case list():
            return [normal(v) for v in value]
        case dict():
            return normal_event(value)
        case _:
            return fit(value) if is_number(value) else value


def normal_event(event: Row) -> Row:
    return {key: normal(value) for key, value in event.items()}


def is_number(value: Json) -> TypeGuard[Number]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def fit(number: Number | Fraction) -> Number | None:
    """A number as a value: an integer beyond 64 bits is a float, a float beyond all is null."""
    if isinstance(number, int) and -(2**63) <= number < 2**63:
        return number
    try:
        return float(number) if math.isfinite(number) else None
    except OverflowError:
        return None


def identity(value: Json) -> object:
    """Two values are equal if their identities are: 1 and 1.0 are, 1 and true are not."""
    match value:
        case list():
            return ("list", tuple(map(identity, value)))
        case dict():
            return ("object", frozenset((key, identity(v)) for key, v in value.items()))
        case _:
            return ("number" if is_number(value) else type(value).__name__, value)


def rank(value: Json) -> tuple[int, Number | str]:
    """The place of a value among all others."""
    match value:
        case None:
            return 0, 0
        case bool():
            return 1, value
        case int() | float():
            return 2, value
        case str():
            return 3, value
        case list():
            return 4, text(value)
        case dict():
            return 5, text(value)


def text(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def walk(value: Json, steps: Iterable[Step]) -> Json:
    for step in steps:
        match value, step:
            case dict(), str():
                value = value.get(step)
            case list(), int() if -len(value) <= step < len(value):
                value = value[step]
            case _:
                return None
    return value


def first_non_null(values: Iterable[Json]) -> Json:
    return next((value for value in values if value is not None), None)
