"""One web application, for servers of ASGI (`asgi`) and of WSGI (`wsgi`): it publishes requests."""

import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from publish_agent import Agent

requests = Agent("web", os.environ["AGENTS"], cpu_share=100.0).stream("requests")


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
    body = _body(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def wsgi(environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "text/plain")])
    return [_body(environ["PATH_INFO"])]


def _body(path: str) -> bytes:
    """`/pid` publishes nothing; any other path is published."""
    if path == "/pid":
        return str(os.getpid()).encode()
    return requests.publish({"path": path}).name.encode()
