"""How much a running query may hold. At a limit the query ends with an error that names it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """`groups` open at once, and `rows` held for windows, joins and sorts."""

    groups: int = 2_000_000
    rows: int = 20_000_000
