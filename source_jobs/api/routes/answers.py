"""Routes to answers: of a query that stays, over HTTP and a WebSocket, and of one request."""

from __future__ import annotations

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from source_jobs.api.auth.access import require, require_streams
from source_jobs.api.auth.tokens import Caller, Scope
from source_jobs.api.bodies import Ask
from source_jobs.api.context import Door, door_of, peer_of
from source_jobs.api.errors import Refusal, refuse
from source_jobs.api.feeds.feed import Feed
from source_jobs.api.feeds.replay import Cursor
from source_jobs.api.formats import EVENTS, LINES, LINES_WITH_LEDGER, Kind, choose
from source_jobs.api.middleware import protocol_of, response_of
from source_jobs.api.streaming import Reading, Stream, body_of, cursor_of, serve_socket

_YES = {"1", "true", "yes"}


async def events(request: Request) -> Response:
    """A query's answer, from where the reader left off, in the format it accepts."""
    door = door_of(request)
    caller = door.admit(request)
    require(caller, Scope.QUERY, Scope.TRACE)
    kind = _kind_of(request, EVENTS)
    cursor = cursor_of(request)
    feed = door.running.find(caller, request.path_params["id"])
    require_streams(caller, feed.outline.streams)
    if feed.closing is not None and cursor.number >= feed.closing.number:
        return Response(status_code=204)  # which tells an EventSource not to come again
    door.running.check_readers(caller)
    reading = _reading(door, feed, caller, request, kind.name)
    return Stream(body_of(reading, cursor, kind), kind.media_type)


async def events_socket(socket: WebSocket) -> None:
    """The same over a WebSocket."""
    door = door_of(socket)
    try:
        caller = door.admit(socket)
        require(caller, Scope.QUERY, Scope.TRACE)
        feed = door.running.find(caller, socket.path_params["id"])
        require_streams(caller, feed.outline.streams)
        cursor = cursor_of(socket)
        door.running.check_readers(caller)
    except Refusal as refusal:
        await socket.send_denial_response(response_of(refusal))
        return
    await socket.accept(protocol_of(socket))
    reading = _reading(door, feed, caller, socket, "websocket")
    await serve_socket(socket, reading, cursor)


async def stream(request: Request) -> Response:
    """A query and its answer in one: it ends with its reader."""
    door = door_of(request)
    caller = door.admit(request)
    require(caller, Scope.QUERY)
    kind = _kind_of(request, LINES)
    body = _ask_of(request)
    door.running.check_readers(caller)
    feed = await door.running.start(caller, body, peer_of(request), once=True)
    reading = _reading(door, feed, caller, request, kind.name)
    return Stream(body_of(reading, Cursor(), kind), kind.media_type)


def _ask_of(request: Request) -> Ask:
    """The query in an address: `q`, and the fields of a body. Raises Refusal."""
    given = dict(request.query_params)
    given.pop("ledger", None)
    text = given.pop("q", None)
    if text is None:
        raise refuse(400, "the query is missing: ?q=select …")
    try:
        return msgspec.convert({"query": text, **given}, Ask, strict=False)
    except msgspec.ValidationError as error:
        raise refuse(400, f"the address does not fit: {error}") from None


def _kind_of(request: Request, default: Kind) -> Kind:
    """The format that is accepted, with the ledger if that is asked for. Raises Refusal."""
    kind = choose(request.headers.get("accept", ""), default)
    wants_ledger = request.query_params.get("ledger") in _YES
    return LINES_WITH_LEDGER if kind is LINES and wants_ledger else kind


def _reading(
    door: Door, feed: Feed, caller: Caller, connection: HTTPConnection, form: str
) -> Reading:
    return Reading(feed, caller, peer_of(connection), form, door.metrics)
