"""How many connections a server has room for, and whose place a newcomer gets. Pure.

Health has places of its own, so that it is answered however many others ask.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

KEPT_FOR_HEALTH = 32
"""Connections beyond those that may ask for anything."""

CLIENT_DESCRIPTORS = 12
"""File descriptors of a connection to the source job."""

_OWN_DESCRIPTORS = 128
"""File descriptors for all else: libraries, logs, the page's files, newcomers of one moment."""

_CLIENTS_SHARE = 3
"""One of so many descriptors may be for connections to the source job."""

_CONNECTIONS_MIN = 8


class Waiting(Protocol):
    """A connection that has asked nothing yet, or has its answer."""

    def give_up(self) -> bool:
        """Close, at once; whether it was open."""


@dataclass(slots=True)
class Places:
    """The requests under way, `most` at once, and the connections that wait, longest first."""

    most: int
    busy: int = 0
    _waiting: dict[Waiting, None] = field(default_factory=dict)

    def has_room(self, connections: int) -> bool:
        """Whether so many connections are no more than there may be."""
        return connections <= self.most + KEPT_FOR_HEALTH

    def wait(self, connection: Waiting) -> None:
        """A connection waits from now on."""
        self._waiting.pop(connection, None)
        self._waiting[connection] = None

    def leave(self, connection: Waiting) -> None:
        """It does not wait any more."""
        self._waiting.pop(connection, None)

    def make_room(self) -> bool:
        """Give up the connection that has waited longest; whether there was one."""
        while self._waiting:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            if oldest.give_up():
                return True
        return False


def share_descriptors(descriptors: int, callers: int, connections: int) -> tuple[int, int]:
    """How many callers and connections so many file descriptors are enough for.

    >>> share_descriptors(20_000, 100, 1_500)
    (100, 1500)
    >>> share_descriptors(1_024, 100, 1_500)
    (28, 528)
    """
    callers = max(1, min(callers, descriptors // _CLIENTS_SHARE // CLIENT_DESCRIPTORS))
    left = descriptors - _OWN_DESCRIPTORS - KEPT_FOR_HEALTH - callers * CLIENT_DESCRIPTORS
    return callers, min(connections, max(_CONNECTIONS_MIN, left))


def descriptors_for(callers: int, connections: int) -> int:
    """How many file descriptors so many callers and connections take."""
    room = callers * CLIENT_DESCRIPTORS
    return max(room + connections + KEPT_FOR_HEALTH + _OWN_DESCRIPTORS, room * _CLIENTS_SHARE)
