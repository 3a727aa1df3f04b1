"""The agent's sockets: one DEALER for each address of a source job, and names looked up.

A socket only takes messages while it is connected, so nothing stale waits in it. ZeroMQ gives up
on a source job that does not let it in; it may do so later, so it is tried again.
"""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401 - a look-up needs it, in a thread that imports nothing
import os
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

import zmq
from zmq.utils.monitor import parse_monitor_message

from publish_agent.keys import Keys
from publish_agent.settings import split_address
from publish_agent.state import Send

_QUEUED = 1_000
"""Messages that wait in a socket before further ones are given up."""
_RECONNECT_MS, _RECONNECT_MAX_MS = 100, 2_000
_PROBE_MS, _SILENT_MS, _CONNECT_MS = 3_000, 3_000, 1_500
"""ZeroMQ asks the other side so often, gives up a connection that is silent for so long, and an
attempt at one. Else the kernel would go on trying, ever more seldom, when a network is back."""
_REFUSED_S = 2.0
"""After so long who was not let in tries again."""
_REFUSED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_LARGEST = 1 << 20
_MOST = 64
"""Source jobs that one agent serves."""
_MOST_AT_ONCE = 200
"""Messages read of one socket before others have their turn."""
_DESCRIPTORS = 32
"""So many have to be free before a socket is made."""


class Change(Enum):
    """What became of a connection."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class _Line:
    """A socket with its monitor."""

    link: int
    endpoint: str
    socket: zmq.Socket[bytes]
    monitor: zmq.Socket[bytes]


class Sockets:
    """All sockets of an agent; for one thread."""

    def __init__(self, keys: Keys | None) -> None:
        """Raises OSError where descriptors are short."""
        _check_descriptors()
        self._keys = keys
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._poller = zmq.Poller()
        self._ready: set[object] = set()
        self._lines: dict[str, _Line] = {}
        self._by_link: dict[int, _Line] = {}
        self._refused: dict[int, float] = {}

    def wake_by(self, descriptor: int) -> None:
        """Also wake when a file descriptor has something to read."""
        self._poller.register(descriptor, zmq.POLLIN)

    def connect(self, endpoint: str) -> None:
        """Connect to `tcp://ADDRESS:PORT`, once. Raises OSError where descriptors are short."""
        if endpoint in self._lines or len(self._lines) >= _MOST:
            return
        _check_descriptors()
        made = self._context.socket(zmq.DEALER)
        made.linger = 0
        made.immediate = True
        made.sndhwm = made.rcvhwm = _QUEUED
        made.maxmsgsize = _LARGEST
        jitter = random.uniform(0.5, 1.5)  # noqa: S311 - so that agents do not come all at once
        made.reconnect_ivl = int(_RECONNECT_MS * jitter)
        made.reconnect_ivl_max = int(_RECONNECT_MAX_MS * jitter)
        made.connect_timeout = _CONNECT_MS
        made.heartbeat_ivl, made.heartbeat_timeout = _PROBE_MS, _SILENT_MS
        made.ipv6 = "[" in endpoint
        if self._keys is not None:
            made.curve_publickey, made.curve_secretkey = self._keys.public, self._keys.secret
            made.curve_serverkey = self._keys.server
        events = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | _REFUSED
        monitor = made.get_monitor_socket(events)
        made.connect(endpoint)
        line = _Line(len(self._by_link), endpoint, made, monitor)
        self._lines[endpoint] = self._by_link[line.link] = line
        self._poller.register(made, zmq.POLLIN)
        self._poller.register(monitor, zmq.POLLIN)

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
                event = parse_monitor_message(frames)["event"]
                if event & _REFUSED:
                    self._refused[line.link] = time.monotonic() + _REFUSED_S
                    continue
                up = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
                yield line.link, Change.UP if up else Change.DOWN
        self._knock_again()

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
                yield line.link, frames

    def send(self, send: Send) -> bool:
        """Send without waiting; False if there was no room."""
        try:
            self._by_link[send.link].socket.send_multipart(send.frames, zmq.NOBLOCK, copy=True)
        except zmq.ZMQError:
            return False
        return True

    def close(self, linger_ms: int) -> None:
        """Close, giving the network so long to take what was sent."""
        for line in self._lines.values():
            line.socket.disable_monitor()
            line.socket.close(linger_ms)
        self._context.destroy(linger_ms)


def _check_descriptors() -> None:
    """Raise OSError if descriptors are short: libzmq would end the process then."""
    held: list[int] = []
    try:
        held.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(_DESCRIPTORS))
    finally:
        for descriptor in held:
            os.close(descriptor)


def _read(readable: zmq.Socket[bytes]) -> Iterator[list[bytes]]:
    for _ in range(_MOST_AT_ONCE):
        try:
            yield readable.recv_multipart(zmq.NOBLOCK)
        except zmq.ZMQError:
            return


class Resolver:
    """Looks names up in a thread of its own, since that may take seconds."""

    def __init__(self, addresses: tuple[str, ...], wake: Callable[[], None]) -> None:
        self._addresses = addresses
        self._wake = wake
        self._running: threading.Thread | None = None
        self.found: deque[str] = deque()
        """Endpoints, `tcp://ADDRESS:PORT`."""

    @property
    def needed(self) -> bool:
        """Whether there are names to look up, which may come to mean other addresses."""
        return any(not _is_literal(split_address(a)[0]) for a in self._addresses)

    def look_up(self) -> None:
        """Begin to look up, unless that goes on already."""
        for address in self._addresses:
            if _is_literal(split_address(address)[0]):
                self.found.append(address)
        if self.needed and (self._running is None or not self._running.is_alive()):
            self._running = threading.Thread(target=self._run, name="mql-resolver", daemon=True)
            self._running.start()

    def _run(self) -> None:
        for address in self._addresses:
            host, port = split_address(address)
            if _is_literal(host):
                continue
            try:
                found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except OSError:
                continue
            for family, *_, place in found:
                text = f"[{place[0]}]" if family == socket.AF_INET6 else place[0]
                self.found.append(f"tcp://{text}:{port}")
        self._wake()


def _is_literal(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False
