"""The API's routes: queries and their answers, and what there is to ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

import mql
from mql.errors import MQLError, QueryError
from mql.functions import FUNCTIONS
from mql.ledger import as_data
from mql.syntax import RESERVED
from source_jobs.api.access import require
from source_jobs.api.bodies import Ask, Text, read_body
from source_jobs.api.columns import columns_of
from source_jobs.api.door import Door, door_of, peer_of
from source_jobs.api.errors import Refusal, from_source_job, query_error, refuse
from source_jobs.api.feed import Feed
from source_jobs.api.formats import EVENTS, LINES, LINES_WITH_LEDGER, choose
from source_jobs.api.guard import protocol_of, response_of
from source_jobs.api.replay import Cursor
from source_jobs.api.running import plan_for
from source_jobs.api.streaming import Reading, Stream, body_of, cursor_of, serve_socket
from source_jobs.api.tokens import Caller, Scope
from source_jobs.questions import read_question

_T = TypeVar("_T")
_YES = {"1", "true", "yes"}


def json_response(
    value: object, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """JSON that nobody keeps."""
    kept = {"cache-control": "no-store", **(headers or {})}
    return Response(msgspec.json.encode(value), status, kept, "application/json")


async def ask(request: Request) -> Response:
    """Run a query."""
    door = door_of(request)
    caller = door.admit(request)
    require(caller, Scope.QUERY)
    body = await read_body(request, Ask, door.settings.limits.body_bytes)
    feed = await door.running.start(caller, body, peer_of(request))
    plan = {**_described(feed), "plan": str(feed.question.plan)}
    return json_response(plan, 201, {"location": f"/api/queries/{feed.id}"})


async def queries(request: Request) -> Response:
    """The queries that run: the caller's own, and with `admin` all that the source job runs."""
    door = door_of(request)
    caller = door.admit(request)
    require(caller, Scope.QUERY, Scope.TRACE)
    own = {feed.opening.query: feed for feed in door.visible(caller) if feed.closing is None}
    shown = []
    for each in await asked(door.client.queries):
        feed = own.get(int(str(each["query"])))
        if feed is not None or caller.may(Scope.ADMIN):
            shown.append({"id": feed.id if feed else None, **each})
    return json_response({"queries": shown})


async def query(request: Request) -> Response:
    """One query: how far it is, and how complete."""
    door = door_of(request)
    caller = door.admit(request)
    require(caller, Scope.QUERY, Scope.TRACE)
    return json_response(_described(door.running.find(caller, request.path_params["id"])))


async def end_query(request: Request) -> Response:
    """End a query: an own one by its id; with `admin` any by the source job's number."""
    door = door_of(request)
    caller = door.admit(request)
    require(caller, Scope.QUERY, Scope.TRACE)
    identity = request.path_params["id"]
    if identity.isascii() and identity.isdigit() and len(identity) < 19:  # noqa: PLR2004 - an int64
        require(caller, Scope.ADMIN)
        await _cancel(door, caller, int(identity))
    else:
        door.running.find(caller, identity).cancel(f"cancelled by {caller.name}")
    return Response(status_code=204)


async def events(request: Request) -> Response:
    """A query's answer, from where the reader left off, in the format it accepts."""
    door = door_of(request)
    caller = door.admit(request)
    require(caller, Scope.QUERY, Scope.TRACE)
    kind = choose(request.headers.get("accept", ""), EVENTS)
    if kind is LINES and request.query_params.get("ledger") in _YES:
        kind = LINES_WITH_LEDGER
    cursor = cursor_of(request)
    feed = door.running.find(caller, request.path_params["id"])
    if feed.closing is not None and cursor.number and cursor.number == feed.replay.number:
        return Response(status_code=204)  # which tells an EventSource not to come again
    door.running.check_readers()
    reading = Reading(feed, caller, peer_of(request), kind.name, door.metrics)
    return Stream(body_of(reading, cursor, kind), kind.media_type)


async def events_socket(socket: WebSocket) -> None:
    """The same over a WebSocket."""
    door = door_of(socket)
    try:
        caller = door.admit(socket)
        require(caller, Scope.QUERY, Scope.TRACE)
        feed = door.running.find(caller, socket.path_params["id"])
        cursor = cursor_of(socket)
        door.running.check_readers()
    except Refusal as refusal:
        await socket.send_denial_response(response_of(refusal))
        return
    await socket.accept(protocol_of(socket))
    reading = Reading(feed, caller, peer_of(socket), "websocket", door.metrics)
    await serve_socket(socket, reading, cursor)


async def stream(request: Request) -> Response:
    """A query and its answer in one: it ends with its reader."""
    door = door_of(request)
    caller = door.admit(request)
    require(caller, Scope.QUERY)
    kind = choose(request.headers.get("accept", ""), LINES)
    if kind is LINES and request.query_params.get("ledger") in _YES:
        kind = LINES_WITH_LEDGER
    body = _ask_of(request)
    door.running.check_readers()
    feed = await door.running.start(caller, body, peer_of(request))
    reading = Reading(feed, caller, peer_of(request), kind.name, door.metrics)
    return Stream(body_of(reading, Cursor(), kind, until_read=True), kind.media_type)


async def streams(request: Request) -> Response:
    """The streams that the caller may read, with the fields seen in them."""
    door = door_of(request)
    caller = door.admit(request)
    require(caller, Scope.QUERY, Scope.TRACE)
    shown = await asked(door.client.streams)
    return json_response({"streams": [s for s in shown if caller.may_read(str(s["stream"]))]})


async def agents(request: Request) -> Response:
    """The agents."""
    door = door_of(request)
    caller = door.admit(request)
    require(caller, Scope.QUERY, Scope.TRACE)
    shown = await asked(door.client.agents)
    for agent in shown:
        agent["streams"] = [s for s in cast("list[str]", agent["streams"]) if caller.may_read(s)]
    return json_response({"agents": shown})


async def explain(request: Request) -> Response:
    """What becomes of a query, and, if it runs, what each agent does with it."""
    door = door_of(request)
    caller = door.admit(request)
    require(caller, Scope.QUERY)
    body = await read_body(request, Text, door.settings.limits.body_bytes)
    question = plan_for(caller, Ask(body.query))
    return json_response(await asked(lambda: door.client.explain(question.text)))


async def check(request: Request) -> Response:
    """Whether a query can run, and if not, where it is wrong."""
    door = door_of(request)
    caller = door.admit(request)
    require(caller, Scope.QUERY, Scope.TRACE)
    body = await read_body(request, Text, door.settings.limits.body_bytes)
    try:
        question = read_question(body.query)
    except QueryError as error:
        return json_response({"ok": False, "error": query_error(error)})
    return json_response(
        {
            "ok": True,
            "streams": question.streams,
            "columns": columns_of(question),
            "windowed": question.layout.windowed,
        }
    )


async def language(request: Request) -> Response:
    """The words of MQL, and who asks: what an editor needs to know."""
    caller = door_of(request).admit(request)
    return json_response(
        {
            "version": mql.__version__,
            "keywords": sorted(RESERVED),
            "functions": sorted(FUNCTIONS),
            "caller": caller.name,
            "scopes": sorted(scope for scope in Scope if caller.may(scope)),
        }
    )


async def asked(question: Callable[[], _T]) -> _T:
    """Ask the source job, without holding up others. Raises Refusal."""
    try:
        return await asyncio.to_thread(question)
    except MQLError as error:
        raise from_source_job(error) from None


async def _cancel(door: Door, caller: Caller, number: int) -> None:
    """End a query for all who asked it, in the caller's name."""
    known = {int(str(each["query"])) for each in await asked(door.client.queries)}
    if number not in known:
        raise refuse(404, f"no query {number} is running")
    client = await asyncio.to_thread(door.clients.take, caller.name)
    try:
        await asked(lambda: client.cancel(number))
    finally:
        door.clients.give_back(caller.name)


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


def _described(feed: Feed) -> dict[str, object]:
    """A query as data."""
    closing, latest = feed.closing, feed.latest
    opening = feed.opening
    return {
        "id": feed.id,
        "query": opening.query,
        "text": opening.text,
        "streams": feed.question.streams,
        "columns": opening.columns,
        "windowed": opening.windowed,
        "warnings": opening.warnings,
        "start_ms": opening.start_ms,
        "caller": feed.caller.name,
        "readers": feed.readers,
        "pieces": feed.replay.number,
        "rows": feed.replay.rows,
        "completeness": None if latest is None else as_data(latest),
        "ended": None
        if closing is None
        else {
            "reason": closing.reason,
            "failed": closing.failed,
            "completeness": None if closing.total is None else as_data(closing.total),
        },
    }
