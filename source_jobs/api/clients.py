"""The server's connections to the source job: one for each caller.

So `mql queries` shows who asked, and what one caller leaves unread costs no other any credit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from source_jobs.api.errors import refuse
from source_jobs.client.client import Client

_MOST = 100
"""Callers with a connection of their own; those who ask nothing give theirs up for others."""


@dataclass(slots=True)
class _Held:
    client: Client
    uses: int = 0


@dataclass(slots=True)
class Clients:
    """Makes and keeps them. `open` makes a client that is known by a user's name."""

    open: Callable[[str], Client]
    _held: dict[str, _Held] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, caller: str) -> Client:
        """A caller's client, to be given back. Raises Refusal if there are too many callers."""
        with self._lock:
            held = self._held.get(caller)
            if held is None:
                self._make_room()
                held = self._held[caller] = _Held(self.open(f"{caller} via http"))
            held.uses += 1
            return held.client

    def give_back(self, caller: str) -> None:
        """One use less."""
        with self._lock:
            self._held[caller].uses -= 1

    def close(self) -> None:
        """Close all."""
        with self._lock:
            held, self._held = list(self._held.values()), {}
        for each in held:
            each.client.close()

    def _make_room(self) -> None:
        if len(self._held) < _MOST:
            return
        idle = next((name for name, held in self._held.items() if not held.uses), None)
        if idle is None:
            raise refuse(503, f"{_MOST} callers have queries running, as many as there may be")
        self._held.pop(idle).client.close()
