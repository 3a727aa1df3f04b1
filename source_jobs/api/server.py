"""The shell of the HTTP server: a socket, uvicorn, and a thread or a process to run them in."""

from __future__ import annotations

import logging
import multiprocessing
import resource
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Self

from source_jobs.api.connections.places import Places, descriptors_for, share_descriptors
from source_jobs.api.context import Door
from source_jobs.api.feeds.clients import Clients
from source_jobs.api.settings import Settings
from source_jobs.api.telemetry import logs
from source_jobs.api.uvicorn_server import make_server
from source_jobs.client import Client, connect

BACKLOG = 512
"""So many connections wait in the kernel until they are taken."""
_START_S = 10.0
_MANY = 1 << 30
"""File descriptors of a process that has no limit."""
_log = logging.getLogger("source_jobs")


@dataclass(frozen=True, slots=True)
class Upstream:
    """The source job that is asked, and the keys for it."""

    address: str
    key: Path | None = None
    server_key: str | None = None

    def open(self, user: str) -> Client:
        """Connect as a user, without waiting."""
        client = connect(
            self.address, key=self.key, server_key=self.server_key, timeout_s=None, user=user
        )
        assert isinstance(client, Client)
        return client


def listen(settings: Settings) -> socket.socket:
    """A socket for a server. Raises ValueError where the settings do not fit, and OSError."""
    settings.check()
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((settings.host, settings.port))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        where = f"{settings.bracketed}:{settings.port}"
        raise OSError(error.errno, f"cannot listen at {where}: {error.strerror}") from None
    return made


def make_door(upstream: Upstream, settings: Settings) -> Door:
    """What the routes of a server share, with as much room as there are file descriptors."""
    soft, _ = _descriptors()
    limits = settings.limits
    callers, connections = share_descriptors(soft, limits.callers, limits.connections)
    return Door(settings, Clients(upstream.open, callers), Places(connections))


def url_of(settings: Settings, listening: socket.socket) -> str:
    """Where a browser finds it."""
    scheme = "http" if settings.certificate is None else "https"
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.bracketed)  # noqa: S104
    return f"{scheme}://{host}:{listening.getsockname()[1]}"


class HttpServer:
    """A server in a thread of this process; `start` it, or use it in a `with` block.

    Raises ValueError where the settings do not fit, and OSError where the address is taken.
    """

    def __init__(self, upstream: Upstream, settings: Settings) -> None:
        self._socket = listen(settings)
        self.url = url_of(settings, self._socket)
        try:
            self.door = make_door(upstream, settings)
            self._server = make_server(self.door)
        except BaseException:
            self._socket.close()
            raise
        self._thread = threading.Thread(target=self.run, name="mql-http", daemon=True)

    def run(self) -> None:
        """Serve in this thread until `stop` is called, or, in the main one, a signal comes."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def start(self) -> Self:
        """Serve in a thread of its own. Returns when it answers."""
        self._thread.start()
        end = time.monotonic() + _START_S
        while not self._server.started and self._thread.is_alive() and time.monotonic() < end:
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """End all streams and the server."""
        self._server.should_exit = True
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


@dataclass(slots=True)
class HttpProcess:
    """A server in a process of its own, so that it shares no interpreter with a source job."""

    url: str
    process: BaseProcess

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def start_process(upstream: Upstream, settings: Settings, *, log_json: bool) -> HttpProcess:
    """Run a server in a process, which ends when this one does.

    Raises ValueError where the settings do not fit, OSError where the address is taken.
    """
    listening = listen(settings)
    try:
        _load_certificate(settings)
        if settings.tokens is not None:
            from source_jobs.api.auth.token_file import TokenFile  # noqa: PLC0415

            TokenFile(settings.tokens).load()
        process = multiprocessing.get_context("spawn").Process(
            target=_run, args=(upstream, settings, listening, log_json), daemon=True
        )
        process.start()
        return HttpProcess(url_of(settings, listening), process)
    finally:
        listening.close()


def _run(
    upstream: Upstream,
    settings: Settings,
    listening: socket.socket,
    log_json: bool,  # noqa: FBT001
) -> None:
    """What the process does; whoever started it ends it, and Ctrl-C is theirs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logs.set_up(as_json=log_json, audit=settings.audit)
    _raise_descriptors(settings)
    server = make_server(make_door(upstream, settings))
    _when_parent_ends(lambda: setattr(server, "should_exit", True))
    server.run(sockets=[listening])


def _raise_descriptors(settings: Settings) -> None:
    """Allow this process the file descriptors that its limits take, as far as the system does."""
    soft, hard = _descriptors()
    wanted = min(descriptors_for(settings.limits.callers, settings.limits.connections), hard)
    if soft < wanted:
        _, told = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, told))


def _descriptors() -> tuple[int, int]:
    """How many this process may have, and how many it may allow itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    endless = resource.RLIM_INFINITY
    return _MANY if soft == endless else soft, _MANY if hard == endless else hard


def _when_parent_ends(act: Callable[[], None]) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        act()

    threading.Thread(target=wait, name="mql-parent", daemon=True).start()


def _load_certificate(settings: Settings) -> None:
    """Raise ValueError if the certificate cannot be used."""
    if settings.certificate is None:
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.certificate, settings.private_key)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"the certificate cannot be used: {error}") from None
