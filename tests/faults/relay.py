"""A TCP relay that delays what passes, holds it up, swallows it, or cuts its connections."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections import deque
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Self

_CHUNK = 1 << 16
_MOST_WAITING = 1 << 20
"""So many bytes of one direction wait here; then the sender's buffers fill."""
_TURN_S = 0.005


@dataclass(slots=True)
class _Way:
    """One direction of a connection."""

    source: socket.socket
    sink: socket.socket
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    size: int = 0
    swallows: bool = False


class Relay:
    """Listens on a free port of this machine, and passes everything on to another one."""

    def __init__(self) -> None:
        self._port = 0
        self._delay_s = 0.0
        self._held = self._refusing = self._cut = False
        self._swallowing = 0
        self.accepted = 0
        """Connections so far."""
        self._ways: list[_Way] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    @property
    def address(self) -> str:
        """Where to connect to."""
        return f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"

    def aim(self, port: int) -> None:
        """Say where new connections go to."""
        self._port = port

    def delay(self, seconds: float) -> None:
        """Let everything wait for so long, in each direction."""
        self._delay_s = seconds

    def hold(self) -> None:
        """Pass on nothing, and say nothing about it: as a black hole does."""
        self._held = True

    def swallow(self, connections: int) -> None:
        """Of the next connections pass on nothing, ever; they stay open."""
        self._swallowing = connections

    def cut(self) -> None:
        """Break all connections, and take no new one until healed."""
        self._refusing = self._cut = True

    def heal(self) -> None:
        """All is as it was."""
        self._delay_s, self._held, self._refusing = 0.0, False, False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._close_all()
        self._listener.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._cut:
                self._close_all()
                self._cut = False
            if not self._held:
                self._accept()
                for way in self._ways:
                    self._write(way)
            self._wait()
            if not self._held:
                for way in list(self._ways):
                    self._read(way)

    def _wait(self) -> None:
        with selectors.DefaultSelector() as selector:
            if not self._held:
                for source in {w.source for w in self._ways if w.size < _MOST_WAITING}:
                    selector.register(source, selectors.EVENT_READ)
                selector.register(self._listener, selectors.EVENT_READ)
            selector.select(_TURN_S)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            near, _ = self._listener.accept()
            try:
                if self._refusing:
                    raise ConnectionRefusedError
                far = socket.create_connection(("127.0.0.1", self._port), 1.0)
            except OSError:
                near.close()
                return
            for each in (near, far):
                each.setblocking(False)
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.accepted += 1
            swallows, self._swallowing = self._swallowing > 0, max(self._swallowing - 1, 0)
            self._ways += [_Way(*ends, swallows=swallows) for ends in ((near, far), (far, near))]

    def _read(self, way: _Way) -> None:
        try:
            data = way.source.recv(_CHUNK) if way.size < _MOST_WAITING else None
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data == b"":
            self._close(way)
        elif data and not way.swallows:
            way.waiting.append((monotonic() + self._delay_s, data))
            way.size += len(data)

    def _write(self, way: _Way) -> None:
        while way.waiting and way.waiting[0][0] <= monotonic():
            due, data = way.waiting[0]
            try:
                sent = way.sink.send(data)
            except OSError:
                return
            way.size -= sent
            if sent < len(data):
                way.waiting[0] = due, data[sent:]
                return
            way.waiting.popleft()

    def _close(self, way: _Way) -> None:
        ends = {way.source, way.sink}
        for end in ends:
            end.close()
        self._ways = [other for other in self._ways if other.source not in ends]

    def _close_all(self) -> None:
        for way in list(self._ways):
            self._close(way)
