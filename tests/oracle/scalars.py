"""The scalar functions, of one value each: what they give is null unless a rule here gives more.

`coalesce` and `if` are not here: they are no functions of values alone, for they pass nulls.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import TypeGuard

from tests.oracle.cases import Json
from tests.oracle.patterns import extracted
from tests.oracle.values import Number, fit, is_number
from tests.oracle.values import text as text_of

JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
JSON_BLANKS = " \t\n\r"
LONGEST_INT64 = 20

WHITE_SPACE = (
    "\t\n\v\f\r \x85\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000"
)
"""The characters that Unicode calls White_Space."""


def scalar(function: str, values: list[Json], pattern: str | None = None) -> Json:
    """What a function gives for its values; `pattern` is the regex of `extract`."""
    match function, values:
        case "number", [value]:
            return number(value)
        case "text", [value]:
            return None if value is None else text_of(value)
        case "lower", [str(value)]:
            return value.lower()
        case "upper", [str(value)]:
            return value.upper()
        case "trim", [str(value)]:
            return value.strip(WHITE_SPACE)
        case "length", [str() | list() | dict() as value]:
            return len(value)
        case "extract", [str(value)] if pattern is not None:
            return extracted(pattern, value)
        case "substring", [str(value), start] if is_whole(start):
            return substring(value, int(start), len(value) + 1)
        case "substring", [str(value), start, length] if is_whole(start) and is_whole(length):
            return substring(value, int(start), int(start) + int(length))
        case "abs", [value] if is_number(value):
            return fit(abs(value))
        case "floor", [value] if is_number(value):
            return fit(math.floor(value))
        case "ceil", [value] if is_number(value):
            return fit(math.ceil(value))
        case "round", [value] if is_number(value):
            return fit(int(rounded(value, 0)))
        case "round", [value, int(digits)] if is_number(value):
            exact = rounded(value, digits)
            return fit(int(exact) if isinstance(value, int) else exact)
        case ("number" | "text" | "lower" | "upper" | "trim" | "length" | "extract", [_]) | (
            ("abs" | "floor" | "ceil" | "round" | "substring"),
            [_, *_],
        ):
            return None
        case _:
            raise LookupError(f"`scalar` has no {function} of {len(values)}")


def number(value: Json) -> Json:
    if is_number(value):
        return value
    if not isinstance(value, str):
        return None
    written = value.strip(JSON_BLANKS)
    if not JSON_NUMBER.fullmatch(written):
        return None
    is_integer = written.lstrip("-").isdigit() and len(written) <= LONGEST_INT64
    return fit(int(written) if is_integer else float(written))


def is_whole(value: Json) -> TypeGuard[Number]:
    return is_number(value) and value == math.floor(value)


def substring(value: str, start: int, stop: int) -> str:
    """The characters that exist at positions from `start` to before `stop`; the first is at 1."""
    return "".join(c for position, c in enumerate(value, 1) if start <= position < stop)


def rounded(value: Number, digits: int) -> Fraction:
    """Half away from zero, by the shortest decimal text. What is whole stays, if digits >= 0."""
    if digits >= 0 and value == math.floor(value):
        return Fraction(value)
    unit = Fraction(10) ** -digits
    units = math.floor(abs(Fraction(repr(value))) / unit + Fraction(1, 2))
    return units * unit * (-1 if value < 0 else 1)
