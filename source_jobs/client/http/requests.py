"""Requests to a source job's HTTP server, and what their refusals mean. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mql.errors import MQLError, QueryError, Span
from mql.host.native_modules import native_module
from source_jobs.client.actions import AwayError, SourceJobError

if TYPE_CHECKING:
    import http.client
    import ssl

_client, _ssl = native_module("http.client"), native_module("ssl")
_NOT_FOUND = 404
_UNAVAILABLE = 503
_AWAY = "source job"
"""The kind of a refusal that says that the server's source job does not answer."""

_GOOD = range(200, 300)
_MOST_ERROR = 1 << 20

TROUBLE: tuple[type[OSError], type[http.client.HTTPException]] = (OSError, _client.HTTPException)
"""What a connection that fails may raise."""


class GoneError(SourceJobError):
    """The server does not know what was asked for, or no longer."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Makes requests. `base` is where the server is, `token` what lets us in."""

    base: str
    token: str | None
    context: ssl.SSLContext | None

    def open(
        self,
        method: str,
        path: str,
        timeout_s: float,
        *,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """A request's connection and response. Raises MQLError where it is refused, and TROUBLE."""
        url = urlsplit(self.base)
        assert url.hostname is not None
        connection: http.client.HTTPConnection
        if self.context is None:
            connection = _client.HTTPConnection(url.hostname, url.port, timeout=timeout_s)
        else:
            connection = _client.HTTPSConnection(
                url.hostname, url.port, timeout=timeout_s, context=self.context
            )
        sent = dict(headers or {})
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            text = None if body is None else json.dumps(body).encode()
            connection.request(method, f"{url.path.rstrip('/')}{path}", text, sent)
            response = connection.getresponse()
            _check(response, _text_of(body))
        except BaseException:
            connection.close()
            raise
        return connection, response

    def look(self, path: str, timeout_s: float) -> None:
        """Ask for something, and leave the answer. Raises what `open` does."""
        connection, _ = self.open("GET", path, timeout_s)
        connection.close()

    def json(self, method: str, path: str, timeout_s: float, body: object = None) -> object:
        """What a request is answered. Raises MQLError, also where nobody answers."""
        try:
            connection, response = self.open(method, path, timeout_s, body=body)
            try:
                return json.loads(response.read() or b"null")
            finally:
                connection.close()
        except (*TROUBLE, ValueError) as error:
            raise AwayError(f"no source job at {self.base}: {_reason(error)}") from None


def make_calls(address: str, token: str | None, ca: str | Path | None) -> Calls:
    """Calls to an `http://` or `https://` address. Raises ValueError if it is none."""
    url = urlsplit(address)
    if not url.hostname or url.query or url.fragment or url.username:
        raise ValueError(f"{address!r} is no address such as https://host:7768")
    if token is not None and not (token.isascii() and token.isprintable()):
        raise ValueError("the token holds what no token does")
    try:
        _ = url.port
        context = None
        if url.scheme == "https":
            context = _ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (ValueError, OSError) as error:
        raise ValueError(f"{address!r} cannot be used: {error}") from None
    return Calls(address.rstrip("/"), token, context)


def _check(response: http.client.HTTPResponse, text: str) -> None:
    """Raise MQLError for a refusal."""
    if response.status not in _GOOD:
        raise _refusal(response, text)


def _refusal(response: http.client.HTTPResponse, text: str) -> MQLError:
    """What a refusal means."""
    kind = ""
    try:
        error = json.loads(response.read(_MOST_ERROR))["error"]
        message, kind = str(error["message"]), str(error.get("kind", ""))
        if kind == "query":
            start, end = int(error["start"]), int(error["end"])
            if 0 <= start <= len(text):
                span = Span(start, min(max(start, end), len(text)))
                return QueryError(message, text, span, str(error.get("hint", "")))
    except (*TROUBLE, ValueError, KeyError, TypeError):
        message = f"{response.status} {response.reason}"
    if response.status == _UNAVAILABLE and kind == _AWAY:
        return AwayError(message)
    return GoneError(message) if response.status == _NOT_FOUND else SourceJobError(message)


def _text_of(body: object) -> str:
    return str(body.get("query", "")) if isinstance(body, dict) else ""


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
