"""Whose turn it is: the owners of keys one after another, and of each owner its clients."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from source_jobs.protocol.sessions import Session


@dataclass(slots=True)
class Turns:
    """Knows who had a turn when, by a count; whoever waits for nothing is forgotten."""

    _count: int = 0
    _owners: dict[bytes, int] = field(default_factory=dict)
    _clients: dict[bytes, int] = field(default_factory=dict)

    def next(self, waiting: Iterable[Session]) -> Session | None:
        """The client whose turn it is, which it has by that; None if nobody waits."""
        there = list(waiting)
        owners = {session.owner for session in there}
        clients = {session.peer for session in there}
        self._owners = {k: n for k, n in self._owners.items() if k in owners}
        self._clients = {k: n for k, n in self._clients.items() if k in clients}
        if not there:
            return None
        chosen = min(there, key=self._place)
        self._count += 1
        self._owners[chosen.owner] = self._clients[chosen.peer] = self._count
        return chosen

    def _place(self, session: Session) -> tuple[int, int, int]:
        owner, client = self._owners.get(session.owner, 0), self._clients.get(session.peer, 0)
        return owner, client, session.number
