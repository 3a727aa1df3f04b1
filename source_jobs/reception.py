"""One side of a source job's shell: what comes by its socket, let in by its door, taken in turn."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field

import zmq

from source_jobs.clock import Clock
from source_jobs.inbox import Inbox, Letter
from source_jobs.security.connections import Door

_TURN_US = 20_000
"""So long one side is listened to before the other and the queries have their turn: planning takes
long, as do batches of many rows, and what else comes waits in turn."""
_READ_US = 5_000
"""So long messages are read before some are taken, and taken before others are read: behind those
of a key that sends much there may be some of another."""
_PAUSE_S = 60.0
"""Between two lines of the log."""

_log = logging.getLogger("source_jobs")


@dataclass(slots=True)
class Reception:
    """Reads a socket; without a `door` everybody is let in."""

    socket: zmq.Socket[bytes]
    door: Door | None
    clock: Clock
    inbox: Inbox = field(init=False)
    _told: int = 0
    _tell_s: float = 0.0

    def __post_init__(self) -> None:
        """End the connections of who sends more than is taken."""
        self.inbox = Inbox(self._cut)

    def receive(self, take: Callable[[Letter, int], None]) -> None:
        """Read what has come, and hand it to `take` in turn, with the time, for a while."""
        began_us = self.clock.now_us()
        while self.clock.now_us() - began_us <= _TURN_US:
            self._read()
            if not self._hand_on(take):
                return

    def keep(self, allowed: Collection[bytes]) -> None:
        """Leave out what has come by keys that are not allowed any more."""
        self.inbox.keep(allowed)

    def tell(self) -> None:
        """Log how many connections were ended."""
        cut_off, now_s = self.inbox.cut_off, time.monotonic()
        if cut_off > self._told and now_s >= self._tell_s:
            self._tell_s = now_s + _PAUSE_S
            number, self._told = cut_off - self._told, cut_off
            _log.warning("%d connections were cut: their keys sent more than is taken", number)

    def _read(self) -> None:
        began_us = now_us = self.clock.now_us()
        with suppress(zmq.Again):
            while not self.inbox.is_full and now_us - began_us <= _READ_US:
                letter = self._hear()
                if letter is not None:
                    self.inbox.put(letter, now_us)
                now_us = self.clock.now_us()

    def _hand_on(self, take: Callable[[Letter, int], None]) -> bool:
        """Have messages taken for a while; whether there are more."""
        began_us = now_us = self.clock.now_us()
        while (letter := self.inbox.take()) is not None:
            take(letter, now_us)
            now_us = self.clock.now_us()
            if now_us - began_us > _READ_US:
                return True
        return False

    def _hear(self) -> Letter | None:
        """The next message; None if it came by a key that is revoked. Raises zmq.Again."""
        if self.door is None:
            peer, *frames = self.socket.recv_multipart(zmq.NOBLOCK)
            return Letter.of(peer, frames)
        came, *parts = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        key = self.door.key_of(came.bytes, came)
        return None if key is None else Letter.of(came.bytes, [p.bytes for p in parts], key)

    def _cut(self, peer: bytes) -> None:
        if self.door is not None:
            self.door.cut(peer)
