"""The table of all routes, and the application around them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from source_jobs.api.context import Door
from source_jobs.api.errors import Refusal, refuse
from source_jobs.api.middleware import Guard, refusal_of, response_of
from source_jobs.api.routes import answers, queries
from source_jobs.api.routes import introspection as knowing
from source_jobs.api.routes import service as meta
from source_jobs.api.routes import trace as tracing

_THREADS = 32
"""Questions to the source job that may wait at once."""

ROUTES = (
    Route("/", meta.page),
    Route("/page/{name:path}", meta.asset),
    Route("/healthz", meta.healthz),
    Route("/readyz", meta.readyz),
    Route("/metrics", meta.metrics),
    Route("/api/openapi.json", meta.openapi),
    Route("/api/language", knowing.language),
    Route("/api/streams", knowing.streams),
    Route("/api/agents", knowing.agents),
    Route("/api/metrics", knowing.metrics),
    Route("/api/check", knowing.check, methods=["POST"]),
    Route("/api/explain", knowing.explain, methods=["POST"]),
    Route("/api/stream", answers.stream),
    Route("/api/trace", tracing.trace),
    Route("/api/queries", queries.queries, methods=["GET"]),
    Route("/api/queries", queries.ask, methods=["POST"]),
    Route("/api/queries/{id}", queries.query, methods=["GET"]),
    Route("/api/queries/{id}", queries.end_query, methods=["DELETE"]),
    Route("/api/queries/{id}/events", answers.events),
    WebSocketRoute("/api/queries/{id}/events", answers.events_socket),
)


def make_app(door: Door) -> Starlette:
    """The application of one server."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        with ThreadPoolExecutor(_THREADS, "mql-http") as threads:
            asyncio.get_running_loop().set_default_executor(threads)
            looking = asyncio.create_task(door.running.look_after())
            yield
            looking.cancel()
            await door.running.close()
            await asyncio.to_thread(door.clients.close)

    app = Starlette(
        routes=ROUTES,
        middleware=[Middleware(Guard, door=door)],
        exception_handlers={Refusal: refusal_of, HTTPException: _not_there},
        lifespan=lifespan,
    )
    app.state.door = door
    return app


def _not_there(_request: Request, error: Exception) -> Response:
    """What the router refuses, in the shape of all refusals."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    return response_of(refuse(error.status_code, error.detail, headers))
