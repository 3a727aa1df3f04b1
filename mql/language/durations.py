"""Spans of time as people write them: `10`, `1.5m`, `1m30s`."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal

UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
"""The largest first, as they stand in a span."""
SECONDS_MAX = 1_000_000_000

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)([a-zµ]*)", re.IGNORECASE)
_LONGEST = 100


def read_duration_ms(text: str) -> int:
    """The milliseconds of a span; a bare number is seconds.

    Raises ValueError with a message for who wrote it.

    >>> read_duration_ms("10"), read_duration_ms("1.5m"), read_duration_ms("1m30s")
    (10000, 90000, 90000)
    """
    parts = _PART.findall(text) if len(text) <= _LONGEST else []
    if "".join(number + unit for number, unit in parts) != text or not parts:
        raise ValueError("a span of time is written like 10, 500ms, 5s, 1.5m, 2h, 1d or 1m30s")
    if len(parts) == 1 and not parts[0][1]:
        return _in_range(Decimal(text) * UNITS_MS["s"])
    units = [unit for _, unit in parts]
    for unit in units:
        if unit not in UNITS_MS:
            raise ValueError(_reason(unit))
    if units != [unit for unit in UNITS_MS if unit in units]:
        raise ValueError("the units of a span stand once each, the largest first, as in 1m30s")
    return _in_range(sum(Decimal(number) * UNITS_MS[unit] for number, unit in parts))


def _reason(unit: str) -> str:
    if not unit:
        return "each number in a span of several has a unit, as in 1m30s"
    if unit.lower() in UNITS_MS:
        return f"a unit is in lower case, `{unit.lower()}`"
    return f"there is no unit `{unit}`; there are {', '.join(UNITS_MS)}"


def _in_range(ms: Decimal | int) -> int:
    if ms > SECONDS_MAX * UNITS_MS["s"]:
        raise ValueError(f"a span is from 0 to {SECONDS_MAX:,} seconds")
    return int(Decimal(ms).to_integral_value(ROUND_HALF_EVEN))
