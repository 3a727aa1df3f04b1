"""Why an agent reaches no source job, as far as its host can know: for one line in the log."""

from __future__ import annotations

import _socket
import errno
import os
from collections.abc import Iterable, Mapping

from publish_agent.settings import split_address

TRY_S, TELL_S = 8.0, 10.0
"""After so long without a welcome the agent looks for a reason, and says it."""
_NAMED_MAX = 3
"""Addresses whose reasons are told."""
_REASONS = {
    0: "something takes connections there that is no source job, or wants keys",
    errno.EISCONN: "something takes connections there that is no source job, or wants keys",
    errno.ECONNREFUSED: "nothing listens there: does `mql serve` run, with this port for agents?",
    errno.EALREADY: "nothing answers: a firewall, or another address",
    errno.EINPROGRESS: "nothing answers: a firewall, or another address",
}


class Reach:
    """Whether the line is due that no source job is reached. Tries each address itself, once."""

    def __init__(self, addresses: tuple[str, ...], now_s: float) -> None:
        self._addresses = addresses
        self._began_s = now_s
        self._tries: dict[str, tuple[_socket.socket, tuple[str, int]]] = {}
        self._has_tried = False
        self.is_over = False
        """Whether a source job has been reached, or the line said."""

    def look(self, now_s: float, *, is_reached: bool, endpoints: Iterable[str]) -> str | None:
        """What is to be said now: each address with the likely reason."""
        if self.is_over:
            return None
        passed_s = now_s - self._began_s
        if is_reached:
            self.close()
        elif passed_s > TRY_S and not self._has_tried:
            self._has_tried = True
            for endpoint in list(endpoints)[:_NAMED_MAX]:
                self._try(endpoint)
        elif passed_s > TELL_S:
            told = self._told()
            self.close()
            return told
        return None

    def close(self) -> None:
        """Look no more."""
        self.is_over = True
        for made, _ in self._tries.values():
            made.close()
        self._tries.clear()

    def _try(self, endpoint: str) -> None:
        host, port = split_address(endpoint)
        family = _socket.AF_INET6 if ":" in host else _socket.AF_INET
        try:
            made = _socket.socket(family, _socket.SOCK_STREAM)
        except OSError:
            return
        made.setblocking(False)
        made.connect_ex((host, port))
        self._tries[endpoint] = made, (host, port)

    def _told(self) -> str:
        reasons = {name: _reason(*tried) for name, tried in self._tries.items()}
        return _lines(reasons or dict.fromkeys(self._addresses, "the name cannot be looked up"))


def _reason(made: _socket.socket, place: tuple[str, int]) -> str:
    number = made.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR) or made.connect_ex(place)
    return _REASONS.get(number, os.strerror(number))


def _lines(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in list(reasons.items())[:_NAMED_MAX])
