"""A connection of ZeroMQ by its file descriptor: ZeroMQ tells nothing else of it."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection by its file descriptor, which may be another one's by and by."""

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


def connection_at(descriptor: int) -> Connection | None:
    """The connection that has a file descriptor; None if it has gone."""
    try:
        return Connection(descriptor, os.fstat(descriptor).st_ino)
    except OSError:
        return None
