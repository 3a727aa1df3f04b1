"""Routes to queries: run one, see what runs, end it."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from mql.ledger import as_data
from source_jobs.api.auth.access import require
from source_jobs.api.auth.tokens import Caller, Scope
from source_jobs.api.bodies import Ask, read_body
from source_jobs.api.context import Door, door_of, peer_of
from source_jobs.api.errors import refuse
from source_jobs.api.feeds.feed import Feed
from source_jobs.api.routes.listing import Record, page_for
from source_jobs.api.routes.responses import asked, json_response


async def ask(request: Request) -> Response:
    """Run a query."""
    door = door_of(request)
    caller = door.admit(request)
    require(caller, Scope.QUERY)
    body = await read_body(request, Ask, door.settings.limits)
    feed = await door.running.start(caller, body, peer_of(request))
    plan = {**_described(feed), "plan": feed.outline.plan}
    return json_response(plan, 201, {"location": f"/api/queries/{feed.id}"})


async def queries(request: Request) -> Response:
    """The queries that run: the caller's own, and with `admin` all that the source job runs."""
    door = door_of(request)
    caller = door.admit(request)
    require(caller, Scope.QUERY, Scope.TRACE)
    own = {feed.opening.query: feed for feed in door.visible(caller) if feed.closing is None}

    def see(each: Record) -> Record | None:
        feed = own.get(int(str(each["query"])))
        if feed is None and not caller.may(Scope.ADMIN):
            return None
        group = {} if feed is None else {"group": feed.group}
        return {"id": feed.id if feed else None, **each, **group}

    return json_response(await page_for(request, door, "queries", see, "query"))


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


def _described(feed: Feed) -> dict[str, object]:
    """A query as data."""
    closing, latest = feed.closing, feed.latest
    opening = feed.opening
    return {
        "id": feed.id,
        "query": opening.query,
        "text": opening.text,
        "streams": feed.outline.streams,
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
