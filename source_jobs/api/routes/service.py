"""Routes about the server itself: health, readiness, metrics, the page and its parts."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from functools import cache
from importlib.resources import files

from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response

from source_jobs.api.context import door_of
from source_jobs.api.errors import refuse
from source_jobs.api.routes.openapi import document
from source_jobs.api.telemetry.metrics import Scrape

_PAGE = files("source_jobs.api") / "page"
_NONCE = "{nonce}"
_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "html": "text/html; charset=utf-8",
    "webmanifest": "application/manifest+json",
    "txt": "text/plain; charset=utf-8",
    "md": "text/plain; charset=utf-8",
}


async def healthz(_request: Request) -> Response:
    """The server runs."""
    return Response("ok\n", media_type="text/plain")


async def readyz(request: Request) -> Response:
    """The source job answers, so queries can be asked."""
    client = door_of(request).client
    if not client.connected:
        why = f": {client.refused}" if client.refused else ""
        return Response(f"no source job{why}\n", 503, media_type="text/plain")
    return Response("ok\n", media_type="text/plain")


async def metrics(request: Request) -> Response:
    """All metrics, as Prometheus wants them. Where tokens are asked for, any of them will do."""
    door = door_of(request)
    caller = door.admit(request)
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    scrape = Scrape(door.metrics.registry, door.source, caller.may_read)
    text = await asyncio.to_thread(encode, scrape)
    return Response(text, headers={"content-type": media_type, "cache-control": "no-store"})


async def openapi(_request: Request) -> Response:
    """What this API is, for programs."""
    return Response(document(), media_type="application/json")


async def page(_request: Request) -> Response:
    """The page. Styles that its editor makes carry a nonce; nothing else inline is let in."""
    nonce = secrets.token_urlsafe(16)
    text = _asset("index.html").decode().replace(_NONCE, nonce)
    policy = (
        "default-src 'none'; script-src 'self'; "
        f"style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; connect-src 'self'; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {"content-security-policy": policy, "cache-control": "no-store"}
    return Response(text, headers=headers, media_type=_TYPES["html"])


async def asset(request: Request) -> Response:
    """One of the page's files."""
    name = request.path_params["name"]
    if name not in _names():
        raise refuse(404, "there is no such file")
    body, suffix = _asset(name), name.rpartition(".")[2]
    headers = {"cache-control": "no-cache", "etag": _tag(name)}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=_TYPES[suffix])


@cache
def _names() -> frozenset[str]:
    """All files of the page: what a request names is looked for here, never on the disk."""
    found: set[str] = set()
    folders = [("", _PAGE)]
    while folders:
        before, folder = folders.pop()
        for each in folder.iterdir():
            name = f"{before}{each.name}"
            if each.is_dir():
                folders.append((f"{name}/", each))
            elif name.rpartition(".")[2] in _TYPES:
                found.add(name)
    return frozenset(found)


@cache
def _asset(name: str) -> bytes:
    return _PAGE.joinpath(*name.split("/")).read_bytes()


@cache
def _tag(name: str) -> str:
    return f'"{hashlib.sha256(_asset(name)).hexdigest()[:32]}"'
