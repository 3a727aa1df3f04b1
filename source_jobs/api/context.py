"""What all routes share: the settings, who may come in, the queries that run, and the counts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial

from starlette.requests import HTTPConnection

from source_jobs.api.auth.access import Access
from source_jobs.api.auth.rate_limit import RateLimiter
from source_jobs.api.auth.token_file import TokenFile
from source_jobs.api.auth.tokens import Caller, TokenBook
from source_jobs.api.connections.places import Places
from source_jobs.api.errors import refuse
from source_jobs.api.feeds.audit import audit_query
from source_jobs.api.feeds.clients import Clients
from source_jobs.api.feeds.feed import Feed
from source_jobs.api.feeds.feeds import Running
from source_jobs.api.settings import Settings
from source_jobs.api.telemetry.metrics import Asked, Metrics, SourceJobCollector
from source_jobs.client.client import Client
from source_jobs.client.live_layout import stream_names
from source_jobs.client.paging import all_pages

SERVER = "server"
"""The name under which the server itself asks what there is."""


@dataclass(slots=True)
class Door:
    """One server's state; made before its event loop runs."""

    settings: Settings
    clients: Clients
    places: Places
    limiter: RateLimiter = field(default_factory=RateLimiter)
    access: Access = field(init=False)
    running: Running = field(init=False)
    metrics: Metrics = field(init=False)
    source: SourceJobCollector = field(init=False)
    client: Client = field(init=False)
    _tokens: TokenFile | None = field(init=False)

    def __post_init__(self) -> None:
        """Connect, and make the parts that know each other. Raises ValueError, SourceJobError."""
        path = self.settings.tokens
        self._tokens = None if path is None else TokenFile(path)
        if self._tokens is not None:
            self._tokens.load()
        self.access = Access(self.settings)
        limits = self.settings.limits
        self.running = Running(
            self.clients, limits, audit_query, self._as_of_now, self._stream_names
        )
        self.metrics = Metrics(lambda: len(self.running.alive), lambda: self.running.readers)
        self.client = self.clients.take(SERVER)
        self.source = SourceJobCollector(self._ask)

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

    def _as_of_now(self, caller: Caller) -> Caller | None:
        """What a caller may by now; None for a token that is not good any more."""
        if not caller.identity:
            return caller
        return self.tokens().caller(caller.identity, time.time_ns() // 1_000_000)

    def _stream_names(self) -> list[str]:
        return stream_names(self.client.page)

    def _ask(self) -> Asked:
        agents, streams = (
            all_pages(partial(self.client.page, what, brief=True)) for what in ("agents", "streams")
        )
        return Asked(self.client.metrics(), agents, streams)


def door_of(connection: HTTPConnection) -> Door:
    """The server's state."""
    door = connection.app.state.door
    assert isinstance(door, Door)
    return door


def peer_of(connection: HTTPConnection) -> str:
    """The address that a request comes from."""
    return connection.client.host if connection.client else ""
