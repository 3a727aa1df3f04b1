"""What all routes share: the settings, who may come in, the queries that run, and the counts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from source_jobs.api.access import Access
from source_jobs.api.clients import Clients
from source_jobs.api.errors import refuse
from source_jobs.api.feed import Feed
from source_jobs.api.limits import RateLimiter
from source_jobs.api.logs import audit_query
from source_jobs.api.metrics import Asked, Metrics, SourceJobCollector
from source_jobs.api.running import Running
from source_jobs.api.settings import Settings
from source_jobs.api.token_file import TokenFile
from source_jobs.api.tokens import Caller, TokenBook
from source_jobs.client.client import Client

SERVER = "server"
"""The name under which the server itself asks what there is."""


@dataclass(slots=True)
class Door:
    """One server's state; made before its event loop runs."""

    settings: Settings
    clients: Clients
    limiter: RateLimiter = field(default_factory=RateLimiter)
    access: Access = field(init=False)
    running: Running = field(init=False)
    metrics: Metrics = field(init=False)
    client: Client = field(init=False)
    _tokens: TokenFile | None = field(init=False)

    def __post_init__(self) -> None:
        """Connect, and make the parts that know each other. Raises ValueError, SourceJobError."""
        path = self.settings.tokens
        self._tokens = None if path is None else TokenFile(path)
        if self._tokens is not None:
            self._tokens.load()
        self.access = Access(self.settings)
        self.running = Running(self.clients, self.settings.limits, audit_query)
        self.metrics = Metrics(lambda: len(self.running.alive), lambda: self.running.readers)
        self.client = self.clients.take(SERVER)
        self.metrics.registry.register(SourceJobCollector(self._ask))

    def tokens(self) -> TokenBook:
        """The tokens as of now."""
        return TokenBook() if self._tokens is None else self._tokens.current()

    def admit(self, connection: HTTPConnection) -> Caller:
        """Who asks. Raises Refusal without a good token, and for those who come too often."""
        now_ms = time.time_ns() // 1_000_000
        caller = self.access.caller(connection.headers, self.tokens, now_ms)
        wait_s = self.limiter.wait_s(caller.name, caller.per_minute, time.monotonic())
        if wait_s:
            reason = f"{caller.name!r} may send {caller.per_minute:,} requests a minute"
            raise refuse(429, reason, {"retry-after": str(int(wait_s) + 1)})
        return caller

    def visible(self, caller: Caller) -> list[Feed]:
        """The queries over HTTP that a caller may see."""
        return [feed for feed in self.running if self.running.may_see(caller, feed)]

    def _ask(self) -> Asked:
        return Asked(self.client.metrics(), self.client.agents(), self.client.streams())


def door_of(connection: HTTPConnection) -> Door:
    """The server's state."""
    door = connection.app.state.door
    assert isinstance(door, Door)
    return door


def peer_of(connection: HTTPConnection) -> str:
    """The address that a request comes from."""
    return connection.client.host if connection.client else ""
