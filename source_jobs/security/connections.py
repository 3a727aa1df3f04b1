"""One side's door: whose connection a message came by, and an end to those of revoked keys.

ZeroMQ asks for the key when a connection is made, and has no call that ends one. So each message
is looked at again; and of each peer the file descriptor is kept, which ZeroMQ tells. By the time
that it is needed it may be another connection's, so the inode of the socket is compared first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import zmq

from source_jobs.security.allow_list import AllowList
from source_jobs.security.newcomers import Threshold
from source_jobs.security.peer_connection import Connection, connection_at

_MOST = 20_000
"""Connections that can be cut; older ones are only not listened to any more."""


@dataclass(slots=True)
class Door:
    """Lets messages in, by the key of their connection."""

    allowed: AllowList
    threshold: Threshold | None = None
    _connections: dict[bytes, tuple[bytes, Connection]] = field(default_factory=dict)

    def key_of(self, peer: bytes, frame: zmq.Frame) -> bytes | None:
        """The key of the connection that a frame came by; None if it is not allowed any more."""
        key = str(frame.get("User-Id")).encode()
        if key not in self.allowed.keys:
            return None
        known = self._connections.get(peer)
        if known is None or known[0] != key:
            self._note(peer, key, int(frame.get("__fd")))
        return key

    def cut(self, peer: bytes) -> None:
        """End a peer's connection."""
        known = self._connections.pop(peer, None)
        if known is not None:
            known[1].cut()

    def refresh(self) -> bool:
        """Read the allow-list anew; whether somebody was shut out, whose connections are cut."""
        if not self.allowed.refresh():
            return False
        for peer, (key, connection) in list(self._connections.items()):
            if key not in self.allowed.keys:
                connection.cut()
                del self._connections[peer]
        return True

    def _note(self, peer: bytes, key: bytes, descriptor: int) -> None:
        self._connections.pop(peer, None)
        if len(self._connections) >= _MOST:
            del self._connections[next(iter(self._connections))]
        connection = connection_at(descriptor)
        if connection is not None:
            self._connections[peer] = key, connection
            if self.threshold is not None:
                self.threshold.heard(connection, key)
