"""How much a running query may hold. At a limit the query ends with an error that names it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on what operators hold.

    `groups` open at once; `bytes` of rows held by windows and sorts, `events` by joins, and
    `values` by aggregates that need them all (percentiles, distinct, lists).
    """

    groups: int = 2_000_000
    bytes: int = 4 << 30
    events: int = 10_000_000
    values: int = 100_000_000
