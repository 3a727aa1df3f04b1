"""Answers that go on: over a response whose body does not end, and over a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from source_jobs.api.auth.tokens import Caller
from source_jobs.api.errors import refuse
from source_jobs.api.feeds.audit import audit_reading
from source_jobs.api.feeds.events import Lost, Numbered, Said
from source_jobs.api.feeds.feed import Feed
from source_jobs.api.feeds.replay import Cursor
from source_jobs.api.formats import Kind
from source_jobs.api.formats.data import events_of
from source_jobs.api.telemetry.metrics import Metrics

_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class Stream(StreamingResponse):
    """A body without an end; its source is closed at once when the reader has gone."""

    def __init__(self, body: AsyncGenerator[bytes], media_type: str) -> None:
        super().__init__(body, media_type=media_type, headers=_HEADERS)
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        async with aclosing(self._body):
            await super().__call__(scope, receive, send)


def cursor_of(request: Request | WebSocket) -> Cursor:
    """Where a reader left off: `Last-Event-ID`, or `after` in the address. Raises Refusal."""
    text = request.headers.get("last-event-id") or request.query_params.get("after") or ""
    if not text:
        return Cursor()
    if not (text.isascii() and text.isdigit()) or len(text) > 18:  # noqa: PLR2004 - of an int64
        raise refuse(400, "Last-Event-ID is the number of an event")
    return Cursor(int(text), None)


@dataclass(slots=True)
class Reading:
    """One reader of an answer: who, how, and how much went out, which the audit is told."""

    feed: Feed
    caller: Caller
    peer: str
    format: str
    metrics: Metrics
    rows: int = 0
    size: int = 0

    def sent(self, said: Sequence[Said], size: int) -> None:
        """Note what went out."""
        self.rows += sum(each.piece.window.num_rows for each in said if isinstance(each, Numbered))
        self.size += size
        self.metrics.sent.labels(self.format).inc(size)
        self.metrics.lost.inc(sum(each.rows or 0 for each in said if isinstance(each, Lost)))

    def over(self) -> None:
        """The reader has gone, or has all."""
        audit_reading(self.feed, self.caller.name, self.peer, self.format, self.rows, self.size)


async def body_of(reading: Reading, cursor: Cursor, kind: Kind) -> AsyncGenerator[bytes]:
    """The bytes of an answer. A query that is for one reader ends with it."""
    written = kind.make()
    try:
        async with aclosing(reading.feed.read(cursor, reading.caller)) as pieces:
            async for said in pieces:
                for each in said:
                    data = written.write(each)
                    reading.sent((each,), len(data))
                    if data:
                        yield data
                    await asyncio.sleep(0)  # others have their turn, however much there is
    finally:
        reading.over()
        if reading.feed.once:
            reading.feed.cancel("its reader left")


async def serve_socket(socket: WebSocket, reading: Reading, cursor: Cursor) -> None:
    """The events as messages of a WebSocket, until either side has enough."""
    async with aclosing(reading.feed.read(cursor, reading.caller)) as pieces:
        try:
            async for said in pieces:
                for each in said:
                    messages = _messages(each)
                    for message in messages:
                        await socket.send_text(message)
                    reading.sent((each,), sum(map(len, messages)))
                    await asyncio.sleep(0)  # as above
            await socket.close()
        except (WebSocketDisconnect, RuntimeError):
            return
        finally:
            reading.over()


def _messages(said: Said) -> list[str]:
    return [
        f'{{"event":"{name}","id":{"null" if number is None else number},"data":{data.decode()}}}'
        for name, number, data in events_of(said)
    ]
