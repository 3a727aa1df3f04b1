"""A group of subscriptions that ask alike: its gate, and how it sorts an event.

A group gives its code for one place in a screen, where its number `i` keeps its names apart.
"""

from __future__ import annotations

import ast
from typing import Protocol

from publish_agent.capture.native.binding import Look
from publish_agent.screen.path_code import Reader


class Group(Protocol):
    """Subscriptions that ask alike."""

    def names(self, i: int) -> dict[str, object]:
        """What the code of the group refers to; `i` is its number. Asked first, once all are in."""

    def gate(self, reader: Reader, i: int) -> tuple[list[ast.stmt], ast.expr]:
        """Statements, and an expression that is true if one of them may want the event."""

    def sort(self, reader: Reader, i: int) -> list[ast.stmt]:
        """Statements that add to `found` those that may want it."""

    def looks(self, reader: Reader) -> list[Look] | None:
        """The gate for compiled code; None if it has to be done in Python."""
