"""Takes connections from a socket: as many as there is room for, with TLS in time or not at all.

It does what asyncio's own servers do, which log each attempt without a descriptor, a thousand of
them in a row, and wait a minute for each handshake.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from source_jobs.api.connections.places import Places
from source_jobs.api.telemetry.logs import Seldom

_AT_ONCE = 32
"""Connections that are taken before others have their turn."""

_REST_S = 0.5
"""The pause of a socket from which nothing can be taken."""

_log = logging.getLogger("source_jobs")


@dataclass(slots=True, eq=False)
class _Newcomer:
    """A connection on its way through its handshake."""

    task: asyncio.Task[None] | None = None
    begun: bool = False

    def give_up(self) -> bool:
        assert self.task is not None
        return self.task.cancel()


@dataclass(slots=True)
class Acceptor:
    """Makes connections. `open` says how many there are.

    `make` makes the protocol of each, which calls what it is given once it is connected.
    """

    listening: socket.socket
    make: Callable[[Callable[[], None]], asyncio.Protocol]
    open: Callable[[], int]
    places: Places
    tls: ssl.SSLContext | None
    handshake_s: float
    given_up: Callable[[str], None]
    _newcomers: set[_Newcomer] = field(default_factory=set)
    _seldom: Seldom = field(default_factory=Seldom)
    _rest: asyncio.TimerHandle | None = None
    _closed: bool = False

    def start(self) -> None:
        """Take connections from now on; called in the event loop."""
        self._rest = None
        self.listening.setblocking(False)
        asyncio.get_running_loop().add_reader(self.listening, self._accept)

    def close(self) -> None:
        """Take no more."""
        self._closed = True
        asyncio.get_running_loop().remove_reader(self.listening)
        if self._rest is not None:
            self._rest.cancel()
        for newcomer in list(self._newcomers):
            newcomer.give_up()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                made, _ = self.listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(error)
                return
            self._take(made)

    def _pause(self, error: OSError) -> None:
        """Nothing can be taken: there are no descriptors, or there is no memory."""
        if self._seldom.says("accept"):
            _log.error("connections cannot be taken: %s", error.strerror or error)
        self.given_up("descriptors")
        for _ in range(_AT_ONCE):
            self.places.make_room()
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.listening)
        self._rest = loop.call_later(_REST_S, self.start)

    def _take(self, made: socket.socket) -> None:
        if not self.places.has_room(self.open() + len(self._newcomers) + 1):
            self.given_up("room")
            if not self.places.make_room():
                made.close()
                return
        newcomer = _Newcomer()

        def over(_task: object) -> None:
            self._greeted(newcomer)
            if not newcomer.begun:  # it was given up before its turn
                made.close()

        newcomer.task = asyncio.get_running_loop().create_task(self._greet(newcomer, made))
        newcomer.task.add_done_callback(over)
        self._newcomers.add(newcomer)

    async def _greet(self, newcomer: _Newcomer, made: socket.socket) -> None:
        """Bring a connection to where it may ask; one that is given up meanwhile is closed."""
        newcomer.begun = True
        self.places.wait(newcomer)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self.make(lambda: self._greeted(newcomer)),
                made,
                ssl=self.tls,
                ssl_handshake_timeout=None if self.tls is None else self.handshake_s,
            )
        except OSError:  # also of TLS: it wanted something else, or nothing in time
            self.given_up("handshake")
        except Exception:  # noqa: BLE001 - the others go on
            made.close()
            if self._seldom.says("greet"):
                _log.exception("a connection failed")

    def _greeted(self, newcomer: _Newcomer) -> None:
        self._newcomers.discard(newcomer)
        self.places.leave(newcomer)
