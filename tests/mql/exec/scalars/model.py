"""The scalar functions of the language for one value at a time, in plain Python."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal

from mql.values.json_values import read_json, write_json

Value = object
WHITE_SPACE = [
    *(*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)),
    *(0x2028, 0x2029, 0x202F, 0x205F, 0x3000),
]
_EXACT = Context(prec=2_000)


def is_number(x: Value) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool)


def number(x: Value) -> Value:
    if is_number(x):
        return x
    if not isinstance(x, str):
        return None
    text = x.strip(" \t\n\r")
    if not re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", text):
        return None
    return read_json(text)  # as the reader of events has it


def text(x: Value) -> Value:
    return x if x is None or isinstance(x, str) else write_json(x)


def lower(x: Value) -> Value:
    return x.lower() if isinstance(x, str) else None


def upper(x: Value) -> Value:
    return x.upper() if isinstance(x, str) else None


def trim(x: Value) -> Value:
    return x.strip("".join(map(chr, WHITE_SPACE))) if isinstance(x, str) else None


def length(x: Value) -> Value:
    return len(x) if isinstance(x, str | list | dict) else None


def substring(x: Value, first: Value, size: Value = math.inf) -> Value:
    if not isinstance(x, str) or not is_number(first) or not is_number(size):
        return None
    assert isinstance(first, int | float)
    assert isinstance(size, int | float)
    if first != math.floor(first) or (size != math.inf and size != math.floor(size)):
        return None
    end = math.inf if size == math.inf else int(first) + int(size)
    return "".join(c for at, c in enumerate(x, 1) if first <= at < end)


def absolute(x: Value) -> Value:
    return _fitting(abs(x)) if is_number(x) else None  # type: ignore[arg-type]


def floor(x: Value) -> Value:
    return _whole(x, ROUND_FLOOR)


def ceil(x: Value) -> Value:
    return _whole(x, ROUND_CEILING)


def rounded(x: Value, digits: int | None = None) -> Value:
    if digits is None or not is_number(x):
        return _whole(x, ROUND_HALF_UP)
    decimal = Decimal(repr(x))
    exponent = decimal.as_tuple().exponent
    assert isinstance(exponent, int)
    if exponent < -digits:
        unit = Decimal((0, (1,), -digits))
        decimal = decimal.quantize(unit, rounding=ROUND_HALF_UP, context=_EXACT)
    return _fitting(int(decimal)) if isinstance(x, int) else _finite(float(decimal))


def coalesce(*values: Value) -> Value:
    return next((value for value in values if value is not None), None)


def _whole(x: Value, rounding: str) -> Value:
    if not is_number(x):
        return None
    if isinstance(x, float) and x.is_integer():
        return _fitting(int(x))
    whole = int(Decimal(repr(x)).quantize(Decimal(1), rounding=rounding, context=_EXACT))
    return _fitting(whole)


def _fitting(x: float) -> Value:
    if isinstance(x, int) and not -(2**63) <= x < 2**63:
        return _finite(float(x))
    return x


def _finite(x: float) -> Value:
    return x if math.isfinite(x) else None


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "number": number,
    "text": text,
    "lower": lower,
    "upper": upper,
    "trim": trim,
    "length": length,
    "substring": substring,
    "abs": absolute,
    "floor": floor,
    "ceil": ceil,
    "round": rounded,
    "coalesce": coalesce,
}
"""All but `extract`, whose regexes Python does not read as RE2 does."""

NASTY: list[Value] = json.loads(r"""[
    null, true, false, 0, 1, -1, 5, 12, 500, -0.0, 0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 1.005, 2.675,
    1e16, 1e300, -1e300, 5e-324, 0.1, 0.125, 4503599627370495.5, 4503599627370496.5,
    9007199254740993, 9223372036854775807, -9223372036854775808, 9.223372036854775e18,
    1.7976931348623157e308, 1.5E+17, 99999999999999.5, 999999999999999.5, 0.49999999999999994,
    8.5e-5, 1.0e22,
    "", " ", "a", "ABC", "abc", "ß", "İI", "ΑΣ", "ΑΣ Σ", "ǆ", "ﬁn", "😀", "a😀b", "é", "e\u0301",
    "\u0000", "\u3000x\u3000", "\u001cx\u001c", "\u0085x", "\ufeffx", " \tx\n ", "two\nlines",
    "0", "-0", "-0.0", "12", " 12 ", "\t-5\r\n", "\u00a012", "007", ".5", "5.", "+1", "1 2", "1_0",
    "0x10", "1e3", "1E400", "-1e400", "1e-400", "inf", "nan", "NaN", "Infinity", "true", "null",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
    "123456789012345678", "1234567890123456789", "123456789012345678901234567890", "1.5", "-12.50",
    "0.1", "00.1", "1.0e3", "1.e3", "--1", "-", "\u0661", "\uff11", "1.1.1", "12a", "a12",
    [], [1], [1, [2, 3], null], {}, {"k": 1}, {"k": {"l": [1]}, "m": null}, ["😀"]
]""")
