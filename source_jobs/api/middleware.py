"""Around all routes: whose requests are taken, what every response says, a log line for each.

It is plain ASGI, so that answers that go on pass through as they come.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from source_jobs.api.auth.access import OPEN_PATHS, PROTOCOL
from source_jobs.api.context import Door
from source_jobs.api.errors import Refusal, refuse
from source_jobs.api.telemetry.logs import Seldom, log_request

_log = logging.getLogger("source_jobs")

_ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
_TLS_ONLY = {"strict-transport-security": "max-age=31536000"}
"""A browser that has come by TLS comes by nothing else for a year."""

_SOCKET_STATUS = {"websocket.accept": 101, "websocket.close": 403}
"""What a WebSocket's first message says, as the status that the other side sees."""

_METHODS = "GET, POST, DELETE"
_HEADERS = "authorization, content-type, last-event-id"


class Guard:
    """The outermost application."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door
        self._seldom = Seldom()
        self._always = _ALWAYS if door.settings.certificate is None else _ALWAYS | _TLS_ONLY

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request, or refuse it."""
        take = {"http": self._http, "websocket": self._socket}.get(scope["type"])
        if take is None:
            await self._app(scope, receive, send)
            return
        places = self._door.places
        places.busy += 1
        try:
            if places.busy > places.most and scope["path"] not in OPEN_PATHS:
                await self._turn_away(scope, receive, send)
            else:
                await take(scope, receive, send)
        finally:
            places.busy -= 1

    async def _turn_away(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse because of all the others; counted, and said once a minute."""
        most = self._door.places.most
        if self._seldom.says("full"):
            _log.error("%d requests are being answered, as many as there may be", most)
        self._door.metrics.requests.labels("(full)", "503").inc()
        reason = f"{most:,} requests are being answered, as many as there may be"
        headers = {**self._always, "retry-after": "5", "connection": "close"}
        refusal = response_of(refuse(503, reason, headers))
        if scope["type"] == "http":
            await refusal(scope, receive, send)
        else:
            await WebSocket(scope, receive, send).send_denial_response(refusal)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, started_s = Headers(scope=scope), time.monotonic()
        said = _Said()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                said.status = message["status"]
                said.after_s = time.monotonic() - started_s
                out = MutableHeaders(scope=message)
                out.update(self._always)
                self._allow(headers, out)
            await send(message)

        try:
            self._door.access.check_place(scope["path"], headers)
            if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
                await Response(status_code=204)(scope, receive, answer)
            else:
                await self._app(scope, receive, answer)
        except Refusal as refusal:
            await response_of(refusal)(scope, receive, answer)
        except Exception:
            _log.exception("a request failed")
            if said.status:
                raise
            await response_of(refuse(500, "an internal error"))(scope, receive, answer)
        finally:
            self._note(scope, said)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        said, started_s = _Said(), time.monotonic()

        async def answer(message: Message) -> None:
            if not said.status:
                said.status = _SOCKET_STATUS.get(message["type"]) or int(message.get("status", 0))
                said.after_s = time.monotonic() - started_s
            await send(message)

        try:
            self._door.access.check_place(scope["path"], Headers(scope=scope))
            await self._app(scope, receive, answer)
        except Refusal as refusal:
            await WebSocket(scope, receive, answer).send_denial_response(response_of(refusal))
        finally:
            self._note(scope, said)

    def _allow(self, asked: Mapping[str, str], out: MutableHeaders) -> None:
        """Let a page read the answer whose origin is on the list."""
        origin = asked.get("origin")
        if not self._door.settings.cors:
            return
        out.add_vary_header("origin")
        if origin in self._door.settings.cors:
            assert origin is not None
            out["access-control-allow-origin"] = origin
            out["access-control-allow-methods"] = _METHODS
            out["access-control-allow-headers"] = _HEADERS
            out["cross-origin-resource-policy"] = "cross-origin"

    def _note(self, scope: Scope, said: _Said) -> None:
        route = getattr(scope.get("route"), "path", "(other)")
        self._door.metrics.requests.labels(route, str(said.status)).inc()
        self._door.metrics.seconds.labels(route).observe(said.after_s)
        client = scope.get("client")
        fields: dict[str, object] = {
            "method": scope.get("method", "WEBSOCKET"),
            "path": scope["path"],
            "status": said.status,
            "ms": round(said.after_s * 1000, 1),
            "peer": client[0] if client else "",
        }
        log_request(fields, said.status)


class _Said:
    """How a response began."""

    def __init__(self) -> None:
        self.status = 0
        self.after_s = 0.0


def response_of(refusal: Refusal) -> Response:
    """The response that refuses."""
    return Response(refusal.json(), refusal.status, refusal.headers, "application/json")


def protocol_of(socket: WebSocket) -> str | None:
    """The subprotocol to agree to: ours, if the other side offers it."""
    offered = socket.headers.get("sec-websocket-protocol", "")
    return PROTOCOL if PROTOCOL in [each.strip() for each in offered.split(",")] else None


def refusal_of(_request: Request, error: Exception) -> Response:
    """A refusal that a route raised, as its response."""
    assert isinstance(error, Refusal)
    return response_of(error)
