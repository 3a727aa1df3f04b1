"""What requests may hold in their bodies, and how bodies are read."""

from __future__ import annotations

import asyncio
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import Request

from source_jobs.api.errors import refuse
from source_jobs.api.settings import Limits

_WEEK_MS = 7 * 86_400_000
_NAME = 1_000
_GROUP = 900
"""The name of its caller is put before that of a group."""

Milliseconds = Annotated[int, Meta(ge=0, le=_WEEK_MS)]
Name = Annotated[str, Meta(max_length=_NAME)]
_T = TypeVar("_T", bound=msgspec.Struct)


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A query to run. `ttl_ms` ends it; `time` is the property that holds an event's time."""

    query: str
    ttl_ms: Annotated[int, Meta(ge=1, le=_WEEK_MS)] | None = None
    group: Annotated[str, Meta(max_length=_GROUP)] | None = None
    time: Name | None = None
    lateness_ms: Milliseconds = 0


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A query to look at, which does not run."""

    query: str


async def read_body(request: Request, kind: type[_T], limits: Limits) -> _T:
    """The body as a value. Raises Refusal if it is too long or slow, no JSON, or no such value.

    Only `application/json` is taken: a page of another site cannot send that unasked.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise refuse(415, "the body is application/json")
    try:
        async with asyncio.timeout(limits.request_s):
            body = await _whole(request, limits.body_bytes)
    except TimeoutError:
        closing = {"connection": "close"}
        raise refuse(408, f"the body took longer than {limits.request_s:.0f} s", closing) from None
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise refuse(400, f"the body does not fit: {error}") from None


async def _whole(request: Request, most_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise refuse(413, f"the body is longer than {most_bytes:,} bytes")
    return bytes(body)
