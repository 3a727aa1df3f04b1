"""Routes to what there is to ask: streams, agents, plans, the language."""

from __future__ import annotations

from typing import cast

from starlette.requests import Request
from starlette.responses import Response

import mql
from mql.errors import QueryError
from mql.functions import FUNCTIONS
from mql.syntax import RESERVED
from source_jobs.api.access import require
from source_jobs.api.bodies import Ask, Text, read_body
from source_jobs.api.columns import columns_of
from source_jobs.api.door import door_of
from source_jobs.api.errors import query_error
from source_jobs.api.running import plan_for
from source_jobs.api.shown import asked, json_response
from source_jobs.api.tokens import Scope
from source_jobs.questions import read_question


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
