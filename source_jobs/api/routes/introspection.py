"""Routes to what there is to ask: streams, agents, plans, the language."""

from __future__ import annotations

from typing import cast

from starlette.requests import Request
from starlette.responses import Response

import mql
from mql.errors import QueryError
from mql.language.functions import FUNCTIONS
from mql.language.scalars import SCALAR_NAMES
from mql.language.syntax import RESERVED
from source_jobs.api.auth.access import require
from source_jobs.api.auth.tokens import Scope
from source_jobs.api.bodies import Text, read_body
from source_jobs.api.context import door_of
from source_jobs.api.errors import query_error
from source_jobs.api.routes.listing import Record, page_for
from source_jobs.api.routes.responses import asked, json_response


async def streams(request: Request) -> Response:
    """The streams that the caller may read, with the fields seen in them."""
    door = door_of(request)
    caller = door.admit(request)
    require(caller, Scope.QUERY, Scope.TRACE)

    def see(stream: Record) -> Record | None:
        return stream if caller.may_read(str(stream["stream"])) else None

    return json_response(await page_for(request, door, "streams", see, "stream"))


async def agents(request: Request) -> Response:
    """The agents, and for those who make a stream of an answer which source jobs are upstream."""
    door = door_of(request)
    caller = door.admit(request)
    require(caller, Scope.QUERY, Scope.TRACE)

    def see(agent: Record) -> Record:
        offered = cast("list[str]", agent.get("streams", []))
        return {**agent, "streams": [s for s in offered if caller.may_read(s)]}

    shown = await page_for(request, door, "agents", see)
    client = door.client
    jobs = {"job": client.job, "shown": client.shown, "feeds": client.feeds}
    return json_response({**shown, **jobs})


async def metrics(request: Request) -> Response:
    """Sums over all queries that the source job has run, as its own clients get them."""
    door = door_of(request)
    door.admit(request)
    return json_response(await asked(door.client.metrics))


async def explain(request: Request) -> Response:
    """What becomes of a query, and, if it runs, what each agent does with it."""
    door = door_of(request)
    caller = door.admit(request)
    require(caller, Scope.QUERY)
    body = await read_body(request, Text, door.settings.limits)
    outline = await door.running.outline(caller, body.query)
    return json_response(await asked(lambda: door.client.explain(outline.text)))


async def check(request: Request) -> Response:
    """Whether a query can run, and if not, where it is wrong."""
    door = door_of(request)
    caller = door.admit(request)
    require(caller, Scope.QUERY, Scope.TRACE)
    body = await read_body(request, Text, door.settings.limits)
    try:
        outline = await door.running.planner.outline(caller.name, body.query)
    except QueryError as error:
        return json_response({"ok": False, "error": query_error(error)})
    return json_response(
        {
            "ok": True,
            "streams": outline.streams,
            "columns": outline.columns,
            "windowed": outline.windowed,
        }
    )


async def language(request: Request) -> Response:
    """The words of MQL, and who asks: what an editor needs to know."""
    caller = door_of(request).admit(request)
    return json_response(
        {
            "version": mql.__version__,
            "keywords": sorted(RESERVED),
            "functions": sorted({*FUNCTIONS, *SCALAR_NAMES}),
            "caller": caller.name,
            "scopes": sorted(scope for scope in Scope if caller.may(scope)),
        }
    )
