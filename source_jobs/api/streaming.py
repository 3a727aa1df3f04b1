"""Answers that go on: over a response whose body does not end, and over a WebSocket."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from source_jobs.api.errors import refuse
from source_jobs.api.feed import Feed
from source_jobs.api.formats import Kind
from source_jobs.api.formats.data import events_of
from source_jobs.api.replay import Cursor
from source_jobs.api.said import Said

_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
Count = Callable[[str, int], None]


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


async def body_of(
    feed: Feed, cursor: Cursor, kind: Kind, count: Count, *, until_read: bool = False
) -> AsyncGenerator[bytes]:
    """The bytes of an answer. With `until_read` the query ends with its one reader."""
    written = kind.make()
    try:
        async with aclosing(feed.read(cursor)) as reading:
            async for said in reading:
                data = b"".join(map(written.write, said))
                if data:
                    feed.bytes_sent += len(data)
                    count(kind.name, len(data))
                    yield data
    finally:
        if until_read:
            feed.cancel("its reader left")


async def serve_socket(socket: WebSocket, feed: Feed, cursor: Cursor, count: Count) -> None:
    """The events as messages of a WebSocket, until either side has enough."""
    async with aclosing(feed.read(cursor)) as reading:
        try:
            async for said in reading:
                for message in _messages(said):
                    feed.bytes_sent += len(message)
                    count("websocket", len(message))
                    await socket.send_text(message)
            await socket.close()
        except (WebSocketDisconnect, RuntimeError):
            return


def _messages(said: Sequence[Said]) -> list[str]:
    return [
        f'{{"event":"{name}","id":{"null" if number is None else number},"data":{data.decode()}}}'
        for each in said
        for name, number, data in events_of(each)
    ]
