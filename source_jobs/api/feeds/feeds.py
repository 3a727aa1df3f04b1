"""The queries that run for callers over HTTP: started, found, counted, ended, forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mql.errors import MQLError, QueryError, UnnamedStreamError
from mql.language.stream_hint import with_streams
from source_jobs.api.auth.access import require_streams
from source_jobs.api.auth.tokens import Caller, Scope
from source_jobs.api.bodies import Ask
from source_jobs.api.errors import from_source_job, refuse, wrong_query
from source_jobs.api.feeds.clients import Clients
from source_jobs.api.feeds.feed import Feed
from source_jobs.api.planning.outline import Outline
from source_jobs.api.planning.planner import Planner
from source_jobs.api.settings import Limits
from source_jobs.client.actions import SourceJobError
from source_jobs.shares import Room

_ROUND_S = 0.4
"""A token that is revoked loses what it has open within a second."""

_KNOWN_MAX = 100
"""Patterns of streams that a source job takes; who has more is told fewer names."""

_PATIENCE_S = 5.0
"""How long a query may take to begin: a busy source job is better than a refusal."""

Noted = Callable[[str, Feed], None]


@dataclass(slots=True)
class Running:
    """All feeds by id. `note` is told of each that has `started` or `ended`.

    `as_of_now` says what a caller may by now, or None for one who may not come any more, and
    `stream_names` which streams there are, or raises SourceJobError.
    """

    clients: Clients
    limits: Limits
    note: Noted
    as_of_now: Callable[[Caller], Caller | None]
    stream_names: Callable[[], list[str]]
    planner: Planner = field(default_factory=Planner)
    _feeds: dict[str, Feed] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _starting: dict[str, int] = field(default_factory=dict)
    _room: Room = field(init=False)

    def __post_init__(self) -> None:
        """Make room for what is kept of all answers."""
        self._room = Room(self.limits.replays_bytes)

    def __iter__(self) -> Iterator[Feed]:
        return iter(list(self._feeds.values()))

    @property
    def alive(self) -> list[Feed]:
        """Those that have not ended."""
        return [feed for feed in self._feeds.values() if feed.closing is None]

    @property
    def readers(self) -> int:
        """Streams that are open."""
        return sum(feed.readers for feed in self._feeds.values())

    async def start(self, caller: Caller, ask: Ask, peer: str, *, once: bool = False) -> Feed:
        """Run a query, `once` if it is for one reader alone. Raises Refusal."""
        self._check_room(caller)
        outline = await self.outline(caller, ask.query)
        self._check_room(caller)
        self._starting[caller.name] = self._starting.get(caller.name, 0) + 1
        try:
            feed = await self._subscribe(caller, outline, ask, peer)
            feed.once = once
        finally:
            self._starting[caller.name] -= 1
            if not self._starting[caller.name]:
                del self._starting[caller.name]
        self._feeds[feed.id] = feed
        self.note("started", feed)
        task = asyncio.create_task(feed.follow(self._ended))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return feed

    async def outline(self, caller: Caller, text: str) -> Outline:
        """The plan of a query that the caller may ask. Raises Refusal."""
        try:
            outline = await self.planned(caller, text)
        except QueryError as error:
            raise wrong_query(error) from None
        require_streams(caller, outline.streams)
        return outline

    async def planned(self, caller: Caller, text: str) -> Outline:
        """The plan of a query. Raises QueryError, and Refusal for what is too long."""
        try:
            return await self.planner.outline(caller.name, text)
        except UnnamedStreamError as error:
            raise await asyncio.to_thread(self._among_streams, caller, error) from None

    def find(self, caller: Caller, identity: str) -> Feed:
        """A query that the caller may see. Raises Refusal."""
        feed = self._feeds.get(identity)
        if feed is None or not self.may_see(caller, feed):
            raise refuse(404, "there is no such query, or no longer")
        return feed

    def may_see(self, caller: Caller, feed: Feed) -> bool:
        """Everybody sees their own queries, `admin` all."""
        return caller.may(Scope.ADMIN) or feed.caller.name == caller.name

    def check_readers(self, caller: Caller) -> None:
        """Raise Refusal if there are as many readers, or of a token, as there may be."""
        own = sum(feed.readers_of[caller.identity] for feed in self)
        if caller.identity and own >= self.limits.readers_each:
            reason = f"{own} streams of {caller.name!r} are open, as many as it may have at once"
            raise refuse(429, reason, {"retry-after": "5"})
        if self.readers >= self.limits.readers:
            raise refuse(503, f"{self.limits.readers:,} streams are open, as many as there may be")

    async def look_after(self) -> None:
        """End what nobody reads, or may, and forget what is over; runs until it is cancelled."""
        while True:
            await asyncio.sleep(_ROUND_S)
            self._shut_out()
            for feed in self:
                if feed.closing is None and feed.unread_s >= self.limits.idle_s:
                    feed.cancel(f"nobody read it for {self.limits.idle_s:.0f} s")
            self._forget()

    def end(self, reason: str) -> None:
        """End all queries."""
        for feed in self.alive:
            feed.cancel(reason)

    async def close(self) -> None:
        """Wait for nothing more."""
        for task in list(self._tasks):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks)
        await asyncio.to_thread(self.planner.close)

    def _among_streams(self, caller: Caller, error: UnnamedStreamError) -> UnnamedStreamError:
        """The error with the streams that a caller may read, as far as they are known."""
        try:
            return with_streams(error, list(filter(caller.may_read, self.stream_names())))
        except SourceJobError:
            return error

    def _shut_out(self) -> None:
        """Take from callers what they may not read any more."""
        known: dict[str, Caller | None] = {}
        for feed in self:
            for caller in feed.callers:
                if caller.identity not in known:
                    known[caller.identity] = self.as_of_now(caller)
                now = known[caller.identity]
                if now is None:
                    feed.shut_out(caller, f"the token {caller.name!r} is not good any more")
                elif not self._may_read(now, feed):
                    feed.shut_out(caller, f"the token {caller.name!r} may not read this any more")

    def _may_read(self, caller: Caller, feed: Feed) -> bool:
        scoped = caller.may(Scope.QUERY) or caller.may(Scope.TRACE)
        streams = all(map(caller.may_read, feed.outline.streams))
        return scoped and streams and self.may_see(caller, feed)

    def _forget(self) -> None:
        """Forget what is over and nobody comes for; the oldest, where that is much."""
        over = [feed for feed in self if feed.closing is not None and not feed.readers]
        too_many = max(0, len(over) - self.limits.queries)
        for place, feed in enumerate(over):
            is_left = feed.once and feed.was_read
            if place < too_many or is_left or feed.unread_s >= self.limits.idle_s:
                del self._feeds[feed.id]
                feed.replay.clear()

    def _check_room(self, caller: Caller) -> None:
        alive = self.alive
        starting = self._starting.get(caller.name, 0)
        own = starting + sum(feed.caller.name == caller.name for feed in alive)
        if own >= caller.queries:
            reason = f"{own} queries of {caller.name!r} run, as many as it may ask at once"
            raise refuse(429, reason, {"retry-after": "5"})
        if len(alive) + sum(self._starting.values()) >= self.limits.queries:
            raise refuse(503, f"{self.limits.queries:,} queries run, as many as there may be")

    async def _subscribe(self, caller: Caller, outline: Outline, ask: Ask, peer: str) -> Feed:
        client = await asyncio.to_thread(self.clients.take, caller.name)
        try:
            subscription = await asyncio.to_thread(
                client.subscribe,
                ask.query,
                time=ask.time or None,
                lateness_ms=ask.lateness_ms,
                group=group_of(caller, ask.group),
                ttl_ms=ask.ttl_ms,
                timeout_s=_PATIENCE_S,
                layout=outline.layout,
                knows=() if "*" in caller.streams else caller.streams[:_KNOWN_MAX],
            )
        except MQLError as error:
            self.clients.give_back(caller.name)
            raise from_source_job(error) from None
        except BaseException:
            self.clients.give_back(caller.name)
            raise
        identity = secrets.token_urlsafe(9)
        return Feed(
            identity,
            caller,
            outline,
            subscription,
            self.limits,
            self._room,
            peer=peer,
            group=ask.group or "",
        )

    def _ended(self, feed: Feed) -> None:
        self.clients.give_back(feed.caller.name)
        self.note("ended", feed)
        self._forget()


def group_of(caller: Caller, group: str | None) -> str | None:
    """The name by which the source job knows a caller's group: a token's groups are its own."""
    return f"{caller.name}/{group}" if group and caller.identity else group or None
