"""One side's door: whose connection a message came by, and an end to those of revoked keys.

ZeroMQ asks for the key when a connection is made, and has no call that ends one. So each message
is looked at again; and of each peer the file descriptor is kept, which ZeroMQ tells. By the time
that it is needed it may be another connection's, so the inode of the socket is compared first.
"""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass, field

import zmq

from source_jobs.allowed import AllowList

_MOST = 20_000
"""Connections that can be cut; older ones are only not listened to any more."""


@dataclass(frozen=True, slots=True)
class _Connection:
    key: bytes
    descriptor: int
    inode: int

    def cut(self) -> None:
        """End it, if it is still there."""
        with contextlib.suppress(OSError):
            copy = os.dup(self.descriptor)  # so that nobody else gets the number meanwhile
            if os.fstat(copy).st_ino != self.inode:
                os.close(copy)
                return
            with socket.socket(fileno=copy) as ours:
                ours.shutdown(socket.SHUT_RDWR)


@dataclass(slots=True)
class Door:
    """Lets messages in, by the key of their connection."""

    allowed: AllowList
    _connections: dict[bytes, _Connection] = field(default_factory=dict)

    def key_of(self, peer: bytes, frame: zmq.Frame) -> bytes | None:
        """The key of the connection that a frame came by; None if it is not allowed any more."""
        key = str(frame.get("User-Id")).encode()
        if key not in self.allowed.keys:
            return None
        known = self._connections.get(peer)
        if known is None or known.key != key:
            self._note(peer, key, int(frame.get("__fd")))
        return key

    def refresh(self) -> bool:
        """Read the allow-list anew; whether somebody was shut out, whose connections are cut."""
        if not self.allowed.refresh():
            return False
        for peer, connection in list(self._connections.items()):
            if connection.key not in self.allowed.keys:
                connection.cut()
                del self._connections[peer]
        return True

    def _note(self, peer: bytes, key: bytes, descriptor: int) -> None:
        self._connections.pop(peer, None)
        if len(self._connections) >= _MOST:
            del self._connections[next(iter(self._connections))]
        with contextlib.suppress(OSError):
            inode = os.fstat(descriptor).st_ino
            self._connections[peer] = _Connection(key, descriptor, inode)
