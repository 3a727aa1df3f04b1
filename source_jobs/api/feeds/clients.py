"""The server's connections to the source job: one for each caller.

So `mql queries` shows who asked, and what one caller leaves unread costs no other any credit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from source_jobs.api.errors import refuse
from source_jobs.client.client import Client


@dataclass(slots=True)
class _Held:
    client: Client
    uses: int = 0


@dataclass(slots=True)
class Clients:
    """Makes and keeps them, `most` at once. `open` makes one that is known by a user's name.

    Opening and closing take a while, and wait for each other; giving back, which the event loop
    does, waits for neither.
    """

    open: Callable[[str], Client]
    most: int
    _held: dict[str, _Held] = field(default_factory=dict)
    _counts: threading.Lock = field(default_factory=threading.Lock)
    _opening: threading.Lock = field(default_factory=threading.Lock)

    def take(self, caller: str) -> Client:
        """A caller's client, to be given back. Raises Refusal if there are too many callers."""
        taken = self._take(caller)
        if taken is not None:
            return taken
        with self._opening:
            taken = self._take(caller)  # another thread may have opened it meanwhile
            if taken is not None:
                return taken
            idle = self._make_room()
            if idle is not None:
                idle.close()
            held = _Held(self.open(f"{caller} via http"), 1)
            with self._counts:
                self._held[caller] = held
            return held.client

    def give_back(self, caller: str) -> None:
        """One use less."""
        with self._counts:
            held = self._held.get(caller)
            if held is not None:  # else all are closed
                held.uses -= 1

    def close(self) -> None:
        """Close all."""
        with self._opening:
            with self._counts:
                held, self._held = list(self._held.values()), {}
            closing = [threading.Thread(target=each.client.close) for each in held]
            for each in closing:
                each.start()
            for each in closing:
                each.join()

    def _take(self, caller: str) -> Client | None:
        """The client that there is."""
        with self._counts:
            held = self._held.get(caller)
            if held is None:
                return None
            held.uses += 1
            return held.client

    def _make_room(self) -> Client | None:
        """The client that has to be closed before there is one more. Raises Refusal."""
        with self._counts:
            if len(self._held) < self.most:
                return None
            idle = next((name for name, held in self._held.items() if not held.uses), None)
            if idle is None:
                most = f"{self.most} callers have queries running"
                raise refuse(503, f"{most}, as many as there may be")
            return self._held.pop(idle).client
