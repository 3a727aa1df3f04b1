"""Connections that have come, and have not said who they are: no more than so many.

Each takes 13 KiB in ZeroMQ, which gives those up that do not finish their greeting in time, and has
no limit for their number. Its monitor tells of each that is accepted, and a message of each that is
who it is. Of too many the oldest are cut: a greeting takes milliseconds.
"""

from __future__ import annotations

import contextlib
import logging
import struct
import time
from dataclasses import dataclass, field

import zmq

from source_jobs.security.key_shares import Crowd
from source_jobs.security.peer_connection import Connection, connection_at

STRANGERS_MAX = 2_000
"""Connections of one side that have not said anything yet."""
_AT_ONCE = 10_000
"""Events that are read before peers are listened to again."""
_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED
_EVENT = struct.Struct("=HI")
_PAUSE_S = 60.0
"""Between two lines of the log."""

_log = logging.getLogger("source_jobs")


@dataclass(slots=True)
class Threshold:
    """Those that wait at a socket's door. `turned_away` counts those that were cut."""

    listener: zmq.Socket[bytes]
    crowd: Crowd
    strangers_max: int = STRANGERS_MAX
    turned_away: int = 0
    _events: zmq.Socket[bytes] = field(init=False)
    _strangers: dict[int, Connection] = field(default_factory=dict)
    _known: dict[int, Connection] = field(default_factory=dict)
    _told: int = 0
    _tell_s: float = 0.0

    def __post_init__(self) -> None:
        """Have ZeroMQ tell of connections; it must never wait with that."""
        address = f"inproc://threshold-{id(self)}"
        self.listener.monitor(address, _EVENTS)
        self._events = zmq.Socket(self.listener.context, zmq.PAIR)
        self._events.rcvhwm = 0
        self._events.linger = 0
        self._events.connect(address)

    def look(self) -> None:
        """Take note of who has come and gone, and turn away those that are too many."""
        try:
            for _ in range(_AT_ONCE):
                self._take(*_EVENT.unpack(self._events.recv_multipart(zmq.NOBLOCK)[0]))
        except zmq.Again:
            self._turn_away()  # not before all is read: who has gone, has another's number

    def heard(self, connection: Connection, key: bytes) -> None:
        """A connection has said something: it is no stranger, even if ZeroMQ tells of it later."""
        self._strangers.pop(connection.descriptor, None)
        before = self._known.get(connection.descriptor)
        if before is not None and before != connection:
            self.crowd.go(before)
        self._known[connection.descriptor] = connection
        self.crowd.come(connection, key)

    def _take(self, event: int, descriptor: int) -> None:
        self._strangers.pop(descriptor, None)
        if event == zmq.EVENT_DISCONNECTED:
            gone = self._known.pop(descriptor, None)
            if gone is not None:
                self.crowd.go(gone)
            return
        came = connection_at(descriptor)
        if came is not None and self._known.get(descriptor) != came:
            self._strangers[descriptor] = came

    def _turn_away(self) -> None:
        while len(self._strangers) > self.strangers_max:
            self._strangers.pop(next(iter(self._strangers))).cut()
            self.turned_away += 1
        now_s = time.monotonic()
        if self.turned_away > self._told and now_s >= self._tell_s:
            self._tell_s = now_s + _PAUSE_S
            number, self._told = self.turned_away - self._told, self.turned_away
            _log.warning("%d connections were cut that had not said who they are", number)

    def close(self) -> None:
        """Hear of no more of them."""
        with contextlib.suppress(zmq.ZMQError):
            self.listener.disable_monitor()
        self._events.close(0)
