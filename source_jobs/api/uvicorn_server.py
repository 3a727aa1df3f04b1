"""The server around the application: uvicorn's, but who may connect is up to us."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

import uvicorn
from uvicorn.lifespan.on import LifespanOn

from source_jobs.api.app import make_app
from source_jobs.api.connections.accepting import Acceptor
from source_jobs.api.connections.connection import Connection
from source_jobs.api.context import Door
from source_jobs.api.telemetry.logs import Seldom

_GRACE_S = 1

_LOG = logging.getLogger("uvicorn.error")


class Serving(uvicorn.Server):
    """Ends all answers before it waits for connections, so that readers hear why."""

    def __init__(self, config: uvicorn.Config, door: Door) -> None:
        super().__init__(config)
        self._door = door
        self._acceptor: Acceptor | None = None
        self._seldom = Seldom()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections from a socket ourselves, instead of uvicorn."""
        assert sockets is not None
        _LOG.addFilter(self._seldom)  # who sends what is no request shall not fill the log
        await super().startup(sockets=[])
        limits, door = self._door.settings.limits, self._door
        lifespan = self.lifespan
        assert isinstance(lifespan, LifespanOn)

        def give_up(cause: str) -> None:
            door.metrics.given_up.labels(cause).inc()

        def make(made: Callable[[], None]) -> Connection:
            state = self.server_state
            return Connection(self.config, state, lifespan, door.places, limits, give_up, made)

        self._acceptor = Acceptor(
            sockets[0],
            make,
            lambda: len(self.server_state.connections),
            door.places,
            self.config.ssl,
            limits.request_s,
            give_up,
        )
        self._acceptor.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say goodbye; who does not listen is cut off after a second, which is no error."""
        before = _LOG.level
        _LOG.setLevel(logging.CRITICAL)
        self._door.running.end("the server ends")
        if self._acceptor is not None:
            self._acceptor.close()
        try:
            await super().shutdown(sockets)
        finally:
            _LOG.setLevel(before)
            _LOG.removeFilter(self._seldom)


def make_server(door: Door) -> Serving:
    """A server that is not running yet."""
    settings = door.settings
    return Serving(
        uvicorn.Config(
            make_app(door),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="on",
            http="h11",
            ws="websockets-sansio",
            ws_max_size=1 << 16,
            timeout_graceful_shutdown=_GRACE_S,
            ssl_certfile=settings.certificate,
            ssl_keyfile=settings.private_key,
        ),
        door,
    )
