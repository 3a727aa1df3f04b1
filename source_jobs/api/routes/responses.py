"""What the source job is asked for a route, and JSON as a response."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec
from starlette.responses import Response

from mql.errors import MQLError
from source_jobs.api.errors import from_source_job

_T = TypeVar("_T")


def json_response(
    value: object, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """JSON that nobody keeps."""
    kept = {"cache-control": "no-store", **(headers or {})}
    return Response(msgspec.json.encode(value), status, kept, "application/json")


async def asked(question: Callable[[], _T]) -> _T:
    """Ask the source job, without holding up others. Raises Refusal."""
    try:
        return await asyncio.to_thread(question)
    except MQLError as error:
        raise from_source_job(error) from None
