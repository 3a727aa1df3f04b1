"""A measured thing, and whether it is as good as it should be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing: what it is, its value as text, the goal, and whether that was met."""

    name: str
    value: str
    goal: str
    met: bool
