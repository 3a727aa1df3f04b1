"""Connections by the key that they came with: of those that a process may have, each key's share.

No key has more connections than are still free, so that others find a place however many one
makes. One more than that costs the key its oldest.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from mql.host.system import descriptors_max
from source_jobs.security.peer_connection import Connection

_OWN_DESCRIPTORS = 100
"""File descriptors for all else: allow-lists, logs, libraries."""
_MOST = 20_000
"""Connections of all keys, however many descriptors there are."""
_STRANGERS = 8
"""One of so many may be, on each side, of those that have not said who they are."""
_PAUSE_S = 60.0
"""Between two lines of the log."""

_log = logging.getLogger("source_jobs")


def connections_max() -> int:
    """How many connections the process has descriptors for."""
    most = descriptors_max()
    if most is None:
        return _MOST
    return max(_STRANGERS, min(_MOST, most - _OWN_DESCRIPTORS))


@dataclass(slots=True)
class Crowd:
    """All connections whose keys are known, of both sides. `turned_away` counts those cut."""

    most: int = field(default_factory=connections_max)
    turned_away: int = 0
    _key_of: dict[Connection, bytes] = field(default_factory=dict)
    _by_key: dict[bytes, dict[Connection, None]] = field(default_factory=dict)
    _told: int = 0
    _tell_s: float = 0.0

    @property
    def strangers_max(self) -> int:
        """How many of each side may not have said who they are."""
        return self.most // _STRANGERS

    def come(self, connection: Connection, key: bytes) -> None:
        """A connection has come by a key; where the key has too many its oldest is cut."""
        if connection in self._key_of:
            return
        self._key_of[connection] = key
        own = self._by_key.setdefault(key, {})
        own[connection] = None
        free = self.most - 2 * self.strangers_max - len(self._key_of)
        if len(own) > max(1, free):
            oldest = next(iter(own))
            self.go(oldest)
            oldest.cut()
            self.turned_away += 1

    def go(self, connection: Connection) -> None:
        """A connection has ended."""
        key = self._key_of.pop(connection, None)
        if key is None:
            return
        del self._by_key[key][connection]
        if not self._by_key[key]:
            del self._by_key[key]

    def tell(self) -> None:
        """Log how many were cut."""
        now_s = time.monotonic()
        if self.turned_away > self._told and now_s >= self._tell_s:
            self._tell_s = now_s + _PAUSE_S
            number, self._told = self.turned_away - self._told, self.turned_away
            _log.warning("%d connections were cut: their keys had more than are free", number)
