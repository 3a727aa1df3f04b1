"""What requests may hold in their bodies, and how bodies are read."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import Request

from source_jobs.api.errors import refuse

_WEEK_MS = 7 * 86_400_000
_NAME = 1_000

Milliseconds = Annotated[int, Meta(ge=0, le=_WEEK_MS)]
Name = Annotated[str, Meta(max_length=_NAME)]
_T = TypeVar("_T", bound=msgspec.Struct)


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A query to run. `ttl_ms` ends it; `time` is the property that holds an event's time."""

    query: str
    ttl_ms: Annotated[int, Meta(ge=1, le=_WEEK_MS)] | None = None
    group: Name | None = None
    time: Name | None = None
    lateness_ms: Milliseconds = 0


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A query to look at, which does not run."""

    query: str


async def read_body(request: Request, kind: type[_T], most_bytes: int) -> _T:
    """The body as a value. Raises Refusal if it is too long, no JSON, or no such value.

    Only `application/json` is taken: a page of another site cannot send that unasked.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise refuse(415, "the body is application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise refuse(413, f"the body is longer than {most_bytes:,} bytes")
    try:
        return msgspec.json.decode(bytes(body), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise refuse(400, f"the body does not fit: {error}") from None
