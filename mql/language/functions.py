"""The aggregate functions of the language, one row each.

To add one: a row here, its states in a file of their own, and their row in the table of
`mql/exec/aggregates/make.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Merge(Enum):
    """How the states of one group, built in different places, become one."""

    ADD = "by adding small states"
    VALUES = "by exchanging values"


@dataclass(frozen=True, slots=True)
class Function:
    """An aggregate function: its canonical name, how it merges, and `quantile` for percentiles.

    Of `percentile` the quantile stands in the query (`takes_percent`). `scales` says whether
    sampling makes the result smaller, so that `extrapolate` scales it. `counts_events` says whether
    the argument may be `*`; `ignores_distinct` whether equal values change nothing, so that
    `distinct` has nothing to do.
    """

    name: str
    merge: Merge
    scales: bool = False
    quantile: float | None = None
    counts_events: bool = False
    ignores_distinct: bool = False
    takes_percent: bool = False


_PERCENTILES = {
    "P1": 0.01,
    "P5": 0.05,
    "P10": 0.10,
    "P25": 0.25,
    "P50": 0.50,
    "P75": 0.75,
    "P90": 0.90,
    "P95": 0.95,
    "P99": 0.99,
    "P995": 0.995,
    "P999": 0.999,
}

FUNCTIONS: dict[str, Function] = {
    f.name: f
    for f in (
        Function("COUNT", Merge.ADD, scales=True, counts_events=True),
        Function("SUM", Merge.ADD, scales=True),
        Function("MIN", Merge.ADD, ignores_distinct=True),
        Function("MAX", Merge.ADD, ignores_distinct=True),
        Function("AVERAGE", Merge.ADD),
        Function("STDDEV", Merge.ADD),
        Function("FIRST", Merge.ADD, ignores_distinct=True),
        Function("LAST", Merge.ADD),
        Function("LIST", Merge.VALUES),
        *(Function(name, Merge.VALUES, quantile=q) for name, q in _PERCENTILES.items()),
        Function("PERCENTILE", Merge.VALUES, takes_percent=True),
    )
}

ALIASES = {"AVG": "AVERAGE"}


def canonical_name(name: str) -> str | None:
    """The table's name for a function as somebody wrote it, or None if there is none.

    >>> canonical_name("avg")
    'AVERAGE'
    """
    upper = name.upper()
    upper = ALIASES.get(upper, upper)
    return upper if upper in FUNCTIONS else None
