"""What became of an event in a query's books."""

from __future__ import annotations

from enum import IntEnum


class Outcome(IntEnum):
    """What became of an event, in the order of the fields of `Tally`; `UNDER_WAY` is none yet."""

    SAMPLED_OUT = 0
    FILTERED_OUT = 1
    SHIPPED = 2
    BUFFER = 3
    BUDGET = 4
    CREDIT = 5
    FAILED = 6
    UPSTREAM = 7
    UNDER_WAY = 8
