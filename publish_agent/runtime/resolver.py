"""Looks the names of source jobs up, in a thread of its own, since that may take seconds."""

from __future__ import annotations

import _socket
import contextlib
from collections import deque
from collections.abc import Callable

from mql.host.native_threads import Thread
from publish_agent.settings import split_address

LookUp = Callable[[str, int], list[str]]
"""The endpoints (`tcp://ADDRESS:PORT`) of a host's name and a port. It may raise, and be slow."""


def endpoints_of(host: str, port: int) -> list[str]:
    """What the system's resolver gives. Raises OSError, or UnicodeError for what is no name."""
    name = host.encode() if host.isascii() else host  # a text would be encoded by `encodings.idna`
    found = _socket.getaddrinfo(name, port, type=_socket.SOCK_STREAM)
    places = [(family == _socket.AF_INET6, str(place[0])) for family, *_, place in found]
    return [f"tcp://[{text}]:{port}" if is_6 else f"tcp://{text}:{port}" for is_6, text in places]


class Resolver:
    """The addresses of an agent's settings, looked up each time that it is asked to."""

    def __init__(
        self, addresses: tuple[str, ...], wake: Callable[[], None], look_up: LookUp = endpoints_of
    ) -> None:
        self._names = [a for a in addresses if not _is_literal(split_address(a)[0])]
        self._literals = [a for a in addresses if a not in self._names]
        self._wake = wake
        if not all(map(str.isascii, self._names)):
            import encodings.idna  # noqa: F401, PLC0415 - a look-up needs it, where nothing is imported
        self._look_up = look_up
        self._thread: Thread | None = None
        self._has_ended = False
        self.found: deque[tuple[str, list[str]]] = deque()
        """Addresses of the settings, and the endpoints that each stands for."""

    @property
    def is_first(self) -> bool:
        """Whether the first look-up goes on, or what it found has not been taken."""
        thread = self._thread
        goes_on = not self._has_ended and thread is not None and thread.is_alive()
        return goes_on or bool(self.found)

    def look_up(self) -> None:
        """Begin to look up, unless that goes on already, or no thread can be had for it."""
        self.found.extend((literal, [literal]) for literal in self._literals)
        before = self._thread
        if self._names and not (before and before.is_alive() and before.has_begun):
            self._thread = Thread(self._run, "mql-resolver", is_left=True)
            with contextlib.suppress(RuntimeError, MemoryError):
                self._thread.start()

    def _run(self) -> None:
        for name in self._names:
            with contextlib.suppress(Exception):  # no answer: it is looked up again later
                self.found.append((name, self._look_up(*split_address(name))))
                self._wake()
        self._has_ended = True
        self._wake()


def _is_literal(host: str) -> bool:
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False
