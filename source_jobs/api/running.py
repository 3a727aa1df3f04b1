"""The queries that run for callers over HTTP: started, found, counted, ended, forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mql.errors import MQLError, QueryError
from source_jobs.api.access import require_streams
from source_jobs.api.bodies import Ask
from source_jobs.api.clients import Clients
from source_jobs.api.errors import from_source_job, refuse, wrong_query
from source_jobs.api.feed import Feed
from source_jobs.api.settings import Limits
from source_jobs.api.tokens import Caller, Scope
from source_jobs.questions import Question, read_question

_ROUND_S = 1.0
_PATIENCE_S = 5.0
"""How long a query may take to begin: a busy source job is better than a refusal."""

Noted = Callable[[str, Feed], None]


@dataclass(slots=True)
class Running:
    """All feeds by id. `note` is told of each that has `started` or `ended`."""

    clients: Clients
    limits: Limits
    note: Noted
    _feeds: dict[str, Feed] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _starting: dict[str, int] = field(default_factory=dict)

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

    async def start(self, caller: Caller, ask: Ask, peer: str) -> Feed:
        """Run a query. Raises Refusal."""
        question = plan_for(caller, ask)
        self._check_room(caller)
        self._starting[caller.name] = self._starting.get(caller.name, 0) + 1
        try:
            feed = await self._subscribe(caller, question, ask, peer)
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

    def find(self, caller: Caller, identity: str) -> Feed:
        """A query that the caller may see. Raises Refusal."""
        feed = self._feeds.get(identity)
        if feed is None or not self.may_see(caller, feed):
            raise refuse(404, "there is no such query, or no longer")
        return feed

    def may_see(self, caller: Caller, feed: Feed) -> bool:
        """Everybody sees their own queries, `admin` all."""
        return caller.may(Scope.ADMIN) or feed.caller.name == caller.name

    def check_readers(self) -> None:
        """Raise Refusal if there are as many readers as there may be."""
        if self.readers >= self.limits.readers:
            raise refuse(503, f"{self.limits.readers:,} streams are open, as many as there may be")

    async def look_after(self) -> None:
        """End what nobody reads, and forget what is over; runs until it is cancelled."""
        while True:
            await asyncio.sleep(_ROUND_S)
            for feed in list(self._feeds.values()):
                if feed.unread_s < self.limits.idle_s:
                    continue
                if feed.closing is None:
                    feed.cancel(f"nobody read it for {self.limits.idle_s:.0f} s")
                else:
                    del self._feeds[feed.id]

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

    def _check_room(self, caller: Caller) -> None:
        alive = self.alive
        starting = self._starting.get(caller.name, 0)
        own = starting + sum(feed.caller.name == caller.name for feed in alive)
        if own >= caller.queries:
            reason = f"{own} queries of {caller.name!r} run, as many as it may ask at once"
            raise refuse(429, reason, {"retry-after": "5"})
        if len(alive) + sum(self._starting.values()) >= self.limits.queries:
            raise refuse(503, f"{self.limits.queries:,} queries run, as many as there may be")

    async def _subscribe(self, caller: Caller, question: Question, ask: Ask, peer: str) -> Feed:
        client = await asyncio.to_thread(self.clients.take, caller.name)
        try:
            subscription = await asyncio.to_thread(
                client.subscribe,
                ask.query,
                time=ask.time or None,
                lateness_ms=ask.lateness_ms,
                group=ask.group or None,
                ttl_ms=ask.ttl_ms,
                timeout_s=_PATIENCE_S,
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
            question,
            subscription,
            self.limits,
            peer=peer,
            group=ask.group or "",
        )

    def _ended(self, feed: Feed) -> None:
        self.clients.give_back(feed.caller.name)
        self.note("ended", feed)


def plan_for(caller: Caller, ask: Ask) -> Question:
    """The plan of a query that the caller may ask. Raises Refusal."""
    try:
        question = read_question(ask.query, ask.time or "", ask.lateness_ms)
    except QueryError as error:
        raise wrong_query(error) from None
    require_streams(caller, question.streams)
    return question
