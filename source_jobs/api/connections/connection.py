"""One connection over HTTP: uvicorn's, with patience that ends.

Who connects and says nothing, who says it slowly, and who does not read what it asked for gives
its descriptor back in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from uvicorn import Config
from uvicorn.lifespan.on import LifespanOn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from source_jobs.api.connections.places import Places
from source_jobs.api.settings import Limits


class Connection(H11Protocol):
    """A connection, which has a while for the first byte and all headers of each request."""

    def __init__(
        self,
        config: Config,
        state: ServerState,
        lifespan: LifespanOn,
        places: Places,
        limits: Limits,
        given_up: Callable[[str], None],
        made: Callable[[], None],
    ) -> None:
        super().__init__(config, state, lifespan.state, asyncio.get_running_loop())
        self._places = places
        self._limits = limits
        self._given_up = given_up
        self._made = made
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """It may ask."""
        super().connection_made(transport)
        self._made()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._rest()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a request whose headers are whole is one."""
        super().data_received(data)
        if self._is_answering:
            self._rest()

    def on_response_complete(self) -> None:
        """It may ask again; another request may have come already."""
        super().on_response_complete()
        if not self._is_answering:
            self._wait()

    def handle_websocket_upgrade(self, event: object) -> None:
        """It is a WebSocket from now on, which pings."""
        self._rest()
        super().handle_websocket_upgrade(event)  # type: ignore[arg-type]

    def pause_writing(self) -> None:
        """Its reader is slow."""
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Its reader has caught up."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def give_up(self) -> bool:
        """Close, for somebody who has more to say."""
        was_open = not self.transport.is_closing()
        self._rest()
        self.transport.abort()
        return was_open

    @property
    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # which is None before the first request
        return cycle is not None and not cycle.response_complete

    def _wait(self) -> None:
        self._rest()
        self._places.wait(self)
        self._timer = self.loop.call_later(self._limits.request_s, self._late)

    def _rest(self) -> None:
        """No request is awaited."""
        self._places.leave(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        waits = self.transport.get_write_buffer_size()
        if waits:  # it has not read its answer: that is for as long as readers may take
            self._watch_reader(waits)
        else:
            self._end("late")

    def _watch_reader(self, waits: int) -> None:
        """Give up a reader who takes nothing of what `waits`."""

        def look() -> None:
            self._unread = None
            left = self.transport.get_write_buffer_size()
            if left >= waits:
                self._end("unread")
            elif left:
                self._watch_reader(left)
            elif not self._is_answering:
                self._wait()

        if self._unread is not None:
            self._unread.cancel()
        self._unread = self.loop.call_later(self._limits.unread_s, look)

    def _end(self, cause: str) -> None:
        self._given_up(cause)
        self._rest()
        self.transport.abort()
