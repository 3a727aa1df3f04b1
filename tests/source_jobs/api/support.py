"""A server over real sockets, and readers of its answers."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

from source_jobs.api.auth.token_file import TokenFile
from source_jobs.api.auth.tokens import Scope, Token, digest
from source_jobs.api.server import HttpServer, Upstream
from source_jobs.api.settings import Settings
from source_jobs.job import SourceJob

LIMIT_S = 15.0


@contextmanager
def serving(job: SourceJob, **settings: object) -> Iterator[HttpServer]:
    with HttpServer(Upstream(job.clients_address), Settings(port=0, **settings)) as server:  # type: ignore[arg-type]
        yield server


def add_token(path: Path, name: str, *scopes: str, **more: object) -> str:
    """Make a token in a file; its secret."""
    secret = f"mql_{name}"
    token = Token(name, digest(secret), scopes=tuple(map(Scope, scopes)), **more)  # type: ignore[arg-type]
    TokenFile(path).change(lambda book: book.with_token(token))
    return secret


@dataclass
class Answer:
    """A response, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, object]:
        return self.json["error"]  # type: ignore[return-value]


@dataclass
class Event:
    """A server-sent event."""

    name: str
    id: int | None
    data: dict[str, object]


@dataclass
class Asker:
    """Sends requests to a server."""

    url: str
    token: str | None = None
    context: ssl.SSLContext | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    limit_s: float = LIMIT_S

    def open(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        host = self.url.partition("://")[2]
        connection = (
            http.client.HTTPSConnection(host, timeout=self.limit_s, context=self.context)
            if self.url.startswith("https")
            else http.client.HTTPConnection(host, timeout=self.limit_s)
        )
        sent = {key.replace("_", "-"): value for key, value in headers.items()} | dict(self.headers)
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        text = body if isinstance(body, bytes) or body is None else json.dumps(body)
        connection.request(method, path, text, sent)
        return connection, connection.getresponse()

    def __call__(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        connection, response = self.open(method, path, body, **headers)
        try:
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self("GET", path, **headers)

    def ask(self, query: str, **more: object) -> str:
        """Start a query; its id."""
        answer = self("POST", "/api/queries", {"query": query, **more})
        assert answer.status == 201, answer.body
        return str(answer.json["id"])

    def stream(self, query: str, **more: object) -> Answer:
        accept = str(more.pop("accept", "*/*"))
        return self.get(
            f"/api/stream?{urlencode({'q': query, **more}, quote_via=quote)}", Accept=accept
        )

    @contextmanager
    def events(self, identity: str, **headers: str) -> Iterator[Iterator[Event]]:
        """The events of a query, as they come."""
        connection, response = self.open("GET", f"/api/queries/{identity}/events", **headers)
        assert response.status == 200, response.read()
        try:
            yield read_events(response)
        finally:
            response.close()
            connection.close()


def read_events(response: http.client.HTTPResponse) -> Iterator[Event]:
    found: dict[str, str] = {}
    for line in response:
        text = line.decode().rstrip("\n")
        if text:
            name, _, value = text.partition(": ")
            found[name] = value
        elif found.get("data"):
            identity = int(found["id"]) if "id" in found else None
            yield Event(found["event"], identity, json.loads(found["data"]))
            found = {}
        else:
            found = {}
