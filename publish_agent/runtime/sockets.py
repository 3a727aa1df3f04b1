"""The agent's sockets: one DEALER for each address of a source job.

A socket only takes messages while it is connected, so nothing stale waits in it. ZeroMQ gives up
on a source job that does not let it in; it may do so later, so it is tried again.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import zmq

from mql.host.connections import keep_alive
from mql.host.greetings import FAILED, is_refusal
from mql.host.socket_monitor import event_of
from publish_agent.protocol.agent_state import Send
from publish_agent.runtime.keys import Keys
from publish_agent.runtime.memory_room import NoRoomError, check_descriptors

_QUEUED = 1_000
"""Messages that wait in a socket before further ones are given up."""
_RECONNECT_MS, _RECONNECT_MAX_MS = 100, 2_000
_CONNECT_MS, _HANDSHAKE_MS = 1_500, 2_000
"""ZeroMQ gives up an attempt at a connection after so long, and one at its greeting."""
_SILENCE_S = 6.0
"""A connection is made anew over which nothing has come for so long after something was sent."""
_ASLEEP_S = 2.0
"""Who has not looked for so long was stopped, and has yet to read what came."""
_REFUSED_S = 2.0
"""After so long who was not let in tries again."""
_FAILURES_TOLD = 3
"""So many greetings in a row fail before it is told that the keys do not fit: a source job that
ends in the middle of one is no sign of that."""
_EVENTS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CONNECT_RETRIED | FAILED
)
_LARGEST = 1 << 20
_MOST_AT_ONCE = 200
"""Messages read of one socket before others have their turn."""


class Change(Enum):
    """What became of a connection."""

    UP = "up"
    DOWN = "down"
    REFUSED_BY_KEY = "refused by key"
    OTHER_KEYS = "other keys"


@dataclass(frozen=True, slots=True)
class _Line:
    """A socket with its monitor."""

    link: int
    endpoint: str
    socket: zmq.Socket[bytes]
    monitor: zmq.Socket[bytes]


class Sockets:
    """All sockets of an agent; for one thread."""

    def __init__(self, keys: Keys | None, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self._keys = keys
        self._context = context
        self._poller = zmq.Poller()
        self._ready: set[object] = set()
        self._lines: dict[str, _Line] = {}
        self._by_link: dict[int, _Line] = {}
        self._made = 0
        self._refused: dict[int, float] = {}
        self._failures: dict[int, int] = {}
        self._reaching: set[int] = set()
        self._unanswered: dict[int, float] = {}
        self._looked_s = time.monotonic()

    @property
    def are_reaching(self) -> bool:
        """Whether a first attempt at a connection has neither succeeded nor failed."""
        return bool(self._reaching)

    def wake_by(self, descriptor: int) -> None:
        """Also wake when a file descriptor has something to read."""
        self._poller.register(descriptor, zmq.POLLIN)

    def connect(self, endpoint: str) -> bool:
        """Connect to `tcp://ADDRESS:PORT`; False where that cannot be, now or at all."""
        try:
            check_descriptors()
            made = self._context.socket(zmq.DEALER)
        except (NoRoomError, zmq.ZMQError):
            return False
        try:
            self._set(made, endpoint)
            monitor = made.get_monitor_socket(_EVENTS)
            made.connect(endpoint)
        except zmq.ZMQError:
            made.close(0)
            return False
        line = _Line(self._made, endpoint, made, monitor)
        self._made += 1
        self._lines[endpoint] = self._by_link[line.link] = line
        self._reaching.add(line.link)
        self._poller.register(made, zmq.POLLIN)
        self._poller.register(monitor, zmq.POLLIN)
        return True

    def _set(self, made: zmq.Socket[bytes], endpoint: str) -> None:
        made.linger = 0
        made.immediate = True
        made.sndhwm = made.rcvhwm = _QUEUED
        made.maxmsgsize = _LARGEST
        jitter = random.uniform(0.5, 1.5)  # noqa: S311 - so that agents do not come all at once
        made.reconnect_ivl = int(_RECONNECT_MS * jitter)
        made.reconnect_ivl_max = int(_RECONNECT_MAX_MS * jitter)
        made.connect_timeout, made.handshake_ivl = _CONNECT_MS, _HANDSHAKE_MS
        keep_alive(made, _SILENCE_S)
        made.ipv6 = "[" in endpoint
        if self._keys is not None:
            made.curve_publickey, made.curve_secretkey = self._keys.public, self._keys.secret
            made.curve_serverkey = self._keys.server

    def disconnect(self, endpoint: str) -> int:
        """Let an endpoint go; gives its link, whose number is never used again."""
        line = self._lines.pop(endpoint)
        del self._by_link[line.link]
        self._refused.pop(line.link, None)
        self._failures.pop(line.link, None)
        self._unanswered.pop(line.link, None)
        self._reaching.discard(line.link)
        self._ready -= {line.socket, line.monitor}
        self._poller.unregister(line.socket)
        self._poller.unregister(line.monitor)
        _close(line, 0)
        return line.link

    def link_of(self, endpoint: str) -> int:
        """The number of the connection to an endpoint."""
        return self._lines[endpoint].link

    def wait(self, timeout_ms: int) -> None:
        """Wait until something is there to read, or the time is over."""
        self._ready = {readable for readable, _ in self._poller.poll(timeout_ms)}

    def is_ready(self, descriptor: int) -> bool:
        """Whether a file descriptor has something to read."""
        return descriptor in self._ready

    def changes(self) -> Iterator[tuple[int, Change]]:
        """What became of the connections."""
        for line in self._lines.values():
            for frames in _read(line.monitor) if line.monitor in self._ready else ():
                event, value = event_of(frames)
                self._reaching.discard(line.link)
                if event == zmq.EVENT_CONNECT_RETRIED:
                    continue
                if event & FAILED:
                    self._refused[line.link] = time.monotonic() + _REFUSED_S
                    if is_refusal(event, value):
                        yield from self._told(line.link, event)
                    continue
                up = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
                if up:
                    self._refused.pop(line.link, None)  # ZeroMQ has tried again by itself
                    self._failures.pop(line.link, None)
                self._unanswered.pop(line.link, None)
                yield line.link, Change.UP if up else Change.DOWN
        yield from self._let_silent_go()
        self._knock_again()

    def _told(self, link: int, event: int) -> Iterator[tuple[int, Change]]:
        """What is to be told of a greeting that failed: once, until one succeeds."""
        failures = self._failures.get(link, 0)
        if failures >= _FAILURES_TOLD:
            return
        refused = event == zmq.EVENT_HANDSHAKE_FAILED_AUTH
        self._failures[link] = failures = _FAILURES_TOLD if refused else failures + 1
        if failures == _FAILURES_TOLD:
            yield link, Change.REFUSED_BY_KEY if refused else Change.OTHER_KEYS

    def endpoints(self) -> list[str]:
        """Where all connections lead."""
        return list(self._lines)

    def endpoint_of(self, link: int) -> str:
        """Where a connection leads."""
        return self._by_link[link].endpoint

    def _let_silent_go(self) -> Iterator[tuple[int, Change]]:
        """Have connections made anew over which nothing comes, but while nobody looked."""
        before_s, self._looked_s = self._looked_s, time.monotonic()
        if self._looked_s - before_s > _ASLEEP_S:
            self._unanswered = dict.fromkeys(self._unanswered, self._looked_s)
        last_s = self._looked_s - _SILENCE_S
        for link in [link for link, at_s in self._unanswered.items() if at_s < last_s]:
            del self._unanswered[link]
            self._refused[link] = self._looked_s
            yield link, Change.DOWN

    def _knock_again(self) -> None:
        now_s = time.monotonic()
        for link in [link for link, due_s in self._refused.items() if due_s <= now_s]:
            del self._refused[link]
            line = self._by_link[link]
            with contextlib.suppress(zmq.ZMQError):  # it has no connection any more
                line.socket.disconnect(line.endpoint)
            line.socket.connect(line.endpoint)

    def messages(self) -> Iterator[tuple[int, list[bytes]]]:
        """The messages that have come."""
        for line in self._lines.values():
            for frames in _read(line.socket) if line.socket in self._ready else ():
                self._unanswered.pop(line.link, None)
                yield line.link, frames

    def send(self, send: Send) -> bool:
        """Send without waiting; False if there was no room."""
        try:
            self._by_link[send.link].socket.send_multipart(send.frames, zmq.NOBLOCK, copy=True)
        except zmq.ZMQError:
            return False
        self._unanswered.setdefault(send.link, self._looked_s)
        return True

    def close(self, linger_ms: int) -> None:
        """Close, giving the network so long to take what was sent."""
        for line in self._lines.values():
            _close(line, linger_ms)


def _close(line: _Line, linger_ms: int) -> None:
    line.socket.disable_monitor()
    line.monitor.close(0)
    line.socket.close(linger_ms)


def _read(readable: zmq.Socket[bytes]) -> Iterator[list[bytes]]:
    for _ in range(_MOST_AT_ONCE):
        try:
            yield readable.recv_multipart(zmq.NOBLOCK)
        except zmq.ZMQError:
            return
