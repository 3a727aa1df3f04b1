"""The number that a text is in JSON: `number(x)` reads it as a reader of events does.

`float` and `int` take more than JSON has (`1_0`, `inf`, `.5`, other digits than ASCII's), and `int`
refuses long texts; so a pattern decides. Its repetitions never give back, and a text of a million
characters takes some milliseconds.
"""

from __future__ import annotations

import math
import re

from mql.values.json_coercion import INT64_MAX, INT64_MIN

BLANKS = " \t\n\r"
"""JSON's white space."""

_NUMBER = re.compile(
    rf"[{BLANKS}]*+(-?(?:0|[1-9][0-9]*+)(\.[0-9]++)?+([eE][+-]?[0-9]++)?+)[{BLANKS}]*+"
)
_LONGEST_INT64 = 20


def read_number(text: str) -> int | float | None:
    r"""The number that a text is in JSON, blanks around it allowed; None if it is none.

    An integer beyond 64 bits is the nearest double; what no double is near to is None.

    >>> read_number(" 12\n"), read_number("-1e3"), read_number(str(2**63))
    (12, -1000.0, 9.223372036854776e+18)
    >>> [read_number(text) for text in ("", "007", ".5", "5.", "+1", "1 2", "1e400", "0x10", "1_0")]
    [None, None, None, None, None, None, None, None, None]
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    digits, fraction, exponent = found.groups()
    if fraction is None and exponent is None and len(digits) <= _LONGEST_INT64:
        whole = int(digits)
        if INT64_MIN <= whole <= INT64_MAX:
            return whole
    number = float(digits)
    return number if math.isfinite(number) else None
