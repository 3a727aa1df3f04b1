"""What clients say, and what follows from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import assert_never

from mql.errors import QueryError, UnnamedStreamError
from mql.wire.codec import ProtocolError
from mql.wire.messages import (
    PROTOCOL,
    Alive,
    Answering,
    Ask,
    Cancel,
    ClientMessage,
    Connect,
    Connected,
    Credit,
    Leave,
    Rejected,
    Show,
    Shown,
    Unknown,
)
from source_jobs.arrivals import Arrivals
from source_jobs.protocol.agents import Agents
from source_jobs.protocol.catalogue import among_streams, warnings_about
from source_jobs.protocol.delivery import Subscriber
from source_jobs.protocol.introspection import Shows
from source_jobs.protocol.outbox import Outbox
from source_jobs.protocol.pages import Page
from source_jobs.protocol.profile_requests import Looking
from source_jobs.protocol.rate_limit import Rate
from source_jobs.protocol.registry import Queries
from source_jobs.protocol.sessions import Session, Sessions
from source_jobs.protocol.shared_query import NO_GROUP, Running, Sharing
from source_jobs.protocol.turns import Turns
from source_jobs.protocol.work.aside import Aside
from source_jobs.query.live_query import Question, read_question
from source_jobs.settings import Settings
from source_jobs.shares import Shares

_LONGEST_MS = 7 * 86_400_000
_LONGEST_NAME = 1_000
_ALIVE_US = 20_000
"""An `alive` that follows another one sooner is not answered."""
_WORD = re.compile(r"\w+|[^\w\s]")
_WORDS = 250
"""A text counts as one, and once more for each so many words and signs: planning these takes about
10 ms.
"""
_WORD_US, _AHEAD_US = 120, 1_000_000
"""Planning may take a third of the time, at 40 µs a word, after a third of a second at once: all
else goes on meanwhile.
"""
_PLANNED_AT_ONCE, _REST_US = 8, 1_000
"""So many short ones are planned before others have their turn."""
_SHORT = 500
"""Characters of a text that takes a few milliseconds. The longest takes most of a second: it is
planned beside, one at a time.
"""
_SHARE = "one key may have no more than are still free of"
_KNOWS_MAX = 100
"""Patterns of the streams whose names a client may be told; together they have at most twice as
many signs `*`.
"""


@dataclass(slots=True)
class _Opening:
    """An answer that begins when agents have said what they have seen, or after a while."""

    subscriber: Subscriber
    question: Question
    knows: tuple[str, ...]
    until_us: int


@dataclass(slots=True)
class _Showing:
    """A request to show the streams, which waits likewise."""

    peer: bytes
    show: Show
    until_us: int


@dataclass(frozen=True, slots=True)
class _Planning:
    """A long text that is planned beside, and the request that it is for."""

    session: Session
    wish: Ask | Show


@dataclass(slots=True)
class ClientSide:
    """Takes the messages of clients."""

    settings: Settings
    agents: Agents
    sessions: Sessions
    queries: Queries
    outbox: Outbox
    shows: Shows
    looking: Looking
    room: Shares
    arrivals: Arrivals
    rate: Rate
    """That of all clients' new queries."""
    planner: Aside[Question]
    """Plans long texts."""
    _planning: _Planning | None = None
    _turns: Turns = field(default_factory=Turns)
    _resting_until_us: int = 0
    """Others have their turn before more is planned."""
    _planned_until_us: int = 0
    """When planning has taken no more than its share of the time, if nothing more is planned."""
    _openings: list[_Opening] = field(default_factory=list)
    _showings: list[_Showing] = field(default_factory=list)

    def take(self, peer: bytes, message: ClientMessage, now_us: int, key: bytes) -> None:
        """Take a message that came by a connection of a key. Raises ProtocolError."""
        if isinstance(message, Connect):
            self._connect(peer, message, now_us, key)
            return
        session = self.sessions.of(peer, key)
        if session is None:
            self.outbox.to_client(peer, Unknown())
            return
        session.heard_us = now_us
        match message:
            case Ask():
                self._ask(session, message, now_us)
            case Leave(request):
                self._leave(session, request, now_us // 1000)
            case Alive() if now_us < session.answered_us + _ALIVE_US:
                pass  # nothing piles up for who never reads
            case Alive():
                session.answered_us = now_us
                feeds, waiting = self.agents.feeds(self.settings.name), len(session.asks)
                alive = Alive(now_us, message.sent_us, now_us, feeds, waiting)
                self.outbox.to_client(peer, alive)
            case Show():
                self._show(session, message, now_us)
            case Cancel():
                self._cancel(session, message, now_us // 1000)
            case Credit(size):
                if size < 0:
                    raise ProtocolError("a negative credit")
                session.grant(size)
            case _:
                assert_never(message)

    def close(self, peer: bytes, now_us: int) -> None:
        """A client is gone, and with it what it has asked."""
        session = self.sessions.get(peer)
        if session is not None:
            self._note(session, "is gone", now_us)
            self._close(peer, now_us // 1000)

    def _note(self, session: Session, what: str, now_us: int) -> None:
        self.arrivals.note("client", session.user or session.client, what, now_us)

    def _close(self, peer: bytes, now_ms: int) -> None:
        session = self.sessions.close(peer)
        if session is not None:
            for subscriber in session.subscribers.values():
                self._let_go(subscriber, now_ms)

    @property
    def due_us(self) -> int | None:
        """When something that waits for agents goes on without them."""
        dues = [opening.until_us for opening in self._openings]
        dues += [showing.until_us for showing in self._showings]
        least_us = max(self.rate.due_us, self._resting_until_us, self._planned_until_us - _AHEAD_US)
        dues += [
            max(s.rate.due_us, least_us)
            for s in self.sessions
            if s.asks and not self._waits_for_planner(s)
        ]
        return min(dues, default=None)

    def open_answers(self, now_us: int) -> None:
        """Begin the answers, and show the streams, for which agents have said what they saw."""
        openings, self._openings = self._openings, []
        for opening in openings:
            question = opening.question
            if now_us < opening.until_us and self.looking.is_waiting(question.streams):
                self._openings.append(opening)
                continue
            warnings = warnings_about(question, self.agents, opening.knows)
            self._open(opening.subscriber, warnings)
        showings, self._showings = self._showings, []
        for showing in showings:
            if now_us < showing.until_us and self.looking.is_waiting(None):
                self._showings.append(showing)
            else:
                session = self.sessions.get(showing.peer)
                if session is not None:
                    shown = self.shows.streams(showing.show, self.agents)
                    self._send_shown(session, showing.show.request, shown)

    def _connect(self, peer: bytes, message: Connect, now_us: int, key: bytes) -> None:
        if message.protocol != PROTOCOL or message.credit < 0:
            raise ProtocolError(f"protocol {message.protocol}, credit {message.credit}")
        rate = Rate(self.settings.new_at_once, self.settings.new_per_s)
        is_new = True
        for known in dict.fromkeys([*self.sessions.same_client(message.client, key), peer]):
            session = self.sessions.get(known)
            rate = rate if session is None else session.rate
            is_new = is_new and session is None
            self._close(known, now_us // 1000)
        if not self.sessions.has_room(key):
            reason = f"this source job has {self.settings.clients:,} clients, as many as it takes"
            if len(self.sessions) < self.settings.clients:
                reason = f"{_SHARE} clients: {self.settings.clients - len(self.sessions):,}"
            self.outbox.to_client(peer, Rejected(0, reason))
            return
        session = self.sessions.open(peer, message, now_us, key, rate)
        if is_new:
            self._note(session, "is here", now_us)
        settings = self.settings
        named = settings.name, settings.version, settings.shown or settings.name
        feeds = self.agents.feeds(settings.name)
        connected = Connected(PROTOCOL, *named, now_us, message.sent_us, now_us, feeds)
        self.outbox.to_client(peer, connected)

    def _ask(self, session: Session, ask: Ask, now_us: int) -> None:
        reason = self._refusal(session, ask)
        asked = ask.query, ask.time, ask.lateness_ms, _sharing(session, ask), ask.ttl_ms
        if reason:
            self._reject(session, ask.request, reason)
        elif (running := self.queries.shared(*asked)) is not None:
            self._begin(session, ask, lambda: running.execution.question, now_us)
        else:
            session.asks[ask.request] = ask
            self._resting_until_us = 0  # each message has a turn of its own
            self.begin_waiting(now_us)

    def begin_waiting(self, now_us: int) -> None:
        """Begin the queries that wait, as far as they may now, and no more than take short."""
        self._take_planned(now_us)
        left = _PLANNED_AT_ONCE if now_us >= self._resting_until_us else 0
        while left > 0 and self._may_plan(now_us):
            session = self._turns.next(s for s in self.sessions if self._may_begin(s, now_us))
            if session is None:
                return
            request, ask = next(iter(session.asks.items()))
            left -= self._pay(session, ask.query, now_us)
            read = partial(read_question, ask.query, ask.time, ask.lateness_ms)
            if len(ask.query) > _SHORT:
                self._plan_beside(session, ask, read, now_us)
            else:
                del session.asks[request]
                self._begin(session, ask, read, now_us)
        self._resting_until_us = max(self._resting_until_us, now_us + _REST_US)

    def _may_begin(self, session: Session, now_us: int) -> bool:
        may = bool(session.asks) and session.rate.allows(now_us)
        return may and not self._waits_for_planner(session)

    def _waits_for_planner(self, session: Session) -> bool:
        """Whether what a client wants next is planned, or waits for what is."""
        if self._planning is None:
            return False
        ask = next(iter(session.asks.values()))
        return self._planning.wish is ask or len(ask.query) > _SHORT

    def _plan_beside(
        self, session: Session, wish: Ask | Show, read: Callable[[], Question], now_us: int
    ) -> None:
        self._planning = _Planning(session, wish)
        self.planner.begin(read)
        self._take_planned(now_us)

    def _take_planned(self, now_us: int) -> None:
        """Go on with what was planned beside, unless who wanted it is gone, or left it."""
        planning = self._planning
        outcome = None if planning is None else self.planner.take()
        if planning is None or outcome is None:
            return
        self._planning = None
        session, wish = planning.session, planning.wish
        if self.sessions.get(session.peer) is not session:
            return
        if isinstance(wish, Show):
            self._explain(session, wish, outcome.get)
        elif session.asks.get(wish.request) is wish:
            del session.asks[wish.request]
            self._begin(session, wish, outcome.get, now_us)

    def _pay(self, session: Session, text: str, now_us: int) -> int:
        """Take what planning a text costs from the rates; it costs as much as it has words."""
        words = len(_WORD.findall(text))
        cost = 1 + words // _WORDS
        session.rate.take(now_us, cost)
        self.rate.take(now_us, cost)
        self._planned_until_us = max(self._planned_until_us, now_us) + words * _WORD_US
        return cost

    def _may_plan(self, now_us: int) -> bool:
        return now_us >= max(self.rate.due_us, self._planned_until_us - _AHEAD_US)

    def _begin(self, session: Session, ask: Ask, read: Callable[[], Question], now_us: int) -> None:
        try:
            question = read()
            if len(question.streams) > self.settings.streams_per_query:
                most = f"one query may ask {self.settings.streams_per_query} streams"
                self._reject(session, ask.request, f"{most}, and this one {len(question.streams)}")
                return
            asked = question, _sharing(session, ask), ask.ttl_ms
            running = self.queries.start(*asked, now_us // 1000, session.number, session.key)
        except Exception as error:  # noqa: BLE001 - a query that we cannot plan harms nobody
            self._reject_query(session, ask.request, error, ask.knows)
            return
        if running is None:
            number, limit = len(self.queries), self.settings.queries
            most = f"{number:,} queries run, as many as this source job takes"
            if session.key and number < limit:
                most = f"{_SHARE} queries, {limit - number:,}, nor longer ones"
            self._reject(session, ask.request, most)
            return
        self._subscribe(session, ask, running, now_us)

    def _refusal(self, session: Session, ask: Ask) -> str:
        settings = self.settings
        if ask.request in session.subscribers or ask.request in session.asks:
            return f"request {ask.request} is being answered"
        if len(ask.query.encode()) > settings.query_bytes:
            return f"the query is longer than {settings.query_bytes:,} bytes"
        asked = self.queries.text_bytes(s.query for s in session.subscribers.values())
        asked += sum(len(waiting.query.encode()) for waiting in session.asks.values())
        if asked + len(ask.query.encode()) > settings.text_bytes_per_client:
            return (
                f"what one client asks may have {settings.text_bytes_per_client:,} bytes together"
            )
        if len(session.subscribers) + len(session.asks) >= settings.queries_per_client:
            return f"one client may ask {settings.queries_per_client:,} queries at once"
        if max(len(ask.time), len(ask.group)) > _LONGEST_NAME:
            return f"a name is longer than {_LONGEST_NAME:,} characters"
        if len(ask.knows) > _KNOWS_MAX or max(map(len, ask.knows), default=0) > _LONGEST_NAME:
            return f"what is known are more than {_KNOWS_MAX} names, or too long ones"
        if sum(pattern.count("*") for pattern in ask.knows) > 2 * _KNOWS_MAX:
            return f"what is known has more than {2 * _KNOWS_MAX} signs `*`"
        if not (0 <= ask.lateness_ms <= _LONGEST_MS and ask.ttl_ms >= 0):
            return "the lateness is at most a week, and no time is negative"
        return ""

    def _subscribe(self, session: Session, ask: Ask, running: Running, now_us: int) -> None:
        execution, now_ms = running.execution, now_us // 1000
        subscriber = Subscriber(
            peer=session.peer,
            request=ask.request,
            query=execution.number,
            group=ask.group,
            start_ms=now_ms,
            ends_ms=now_ms + ask.ttl_ms if ask.ttl_ms else None,
            since=execution.ledger.totals,
            queue_bytes=self.settings.queue_bytes,
            room=self.room,
            owner=session.owner,
            answering=Answering(ask.request, execution.number, now_ms),
        )
        session.subscribers[ask.request] = subscriber
        running.audience.members.append(subscriber)
        self.queries.touch(running)
        question = execution.question
        self.looking.begin(question.streams, now_us)
        until_us = now_us + self.settings.look_ms * 1000
        self._openings.append(_Opening(subscriber, question, ask.knows, until_us))
        self.open_answers(now_us)

    def _open(self, subscriber: Subscriber, warnings: tuple[str, ...]) -> None:
        answering, subscriber.answering = subscriber.answering, None
        session = self.sessions.get(subscriber.peer)
        if answering is not None and session and subscriber in session.subscribers.values():
            request, query, start_ms = answering.request, answering.query, answering.start_ms
            message = Answering(request, query, start_ms, warnings)
            self.outbox.to_client(subscriber.peer, message)

    def _leave(self, session: Session, request: int, now_ms: int) -> None:
        session.asks.pop(request, None)
        subscriber = session.subscribers.pop(request, None)
        if subscriber is not None:
            self._let_go(subscriber, now_ms)

    def _let_go(self, subscriber: Subscriber, now_ms: int) -> None:
        self.queries.leave(subscriber, now_ms)
        subscriber.drop()

    def _show(self, session: Session, show: Show, now_us: int) -> None:
        shown: Page | None = None
        if session.credit <= 0:
            reason = "this client has not read what it was sent before"
            self._reject(session, show.request, reason)
            return
        match show.what:
            case "agents":
                shown = self.shows.agents(show, self.agents, self.queries, now_us)
            case "queries":
                shown = self.shows.queries(show, self.queries, self.sessions)
            case "metrics":
                shown = Page(self.shows.metrics(self.agents, self.queries, self.sessions))
            case "explain":
                self._plan_to_explain(session, show, now_us)
            case "streams":
                self.looking.begin(None, now_us)
                until_us = now_us + self.settings.look_ms * 1000
                self._showings.append(_Showing(session.peer, show, until_us))
                self.open_answers(now_us)
            case what:
                self._reject(session, show.request, f"there is no {what[:50]!r} to show")
        if shown is not None:
            self._send_shown(session, show.request, shown)

    def _plan_to_explain(self, session: Session, show: Show, now_us: int) -> None:
        is_short = len(show.query) <= _SHORT
        may_plan = session.rate.allows(now_us) and self._may_plan(now_us)
        if len(show.query.encode()) > self.settings.query_bytes:
            self._reject(session, show.request, "the query is too long")
        elif not may_plan or not (is_short or self._planning is None):
            self._reject(session, show.request, "too many new queries are asked; try again")
        else:
            self._pay(session, show.query, now_us)
            read = partial(read_question, show.query)
            if is_short:
                self._explain(session, show, read)
            else:
                self._plan_beside(session, show, read, now_us)

    def _explain(self, session: Session, show: Show, read: Callable[[], Question]) -> None:
        try:
            question = read()
        except Exception as error:  # noqa: BLE001 - as above
            self._reject_query(session, show.request, error)
            return
        explained = self.shows.explain(question, self.agents, self.queries)
        self._send_shown(session, show.request, Page(explained))

    def _cancel(self, session: Session, cancel: Cancel, now_ms: int) -> None:
        running = self.queries.get(cancel.query)
        if running is None:
            self._reject(session, cancel.request, f"no query {cancel.query} is running")
            return
        subscribers = len(running.audience.members)
        self.queries.end(running, f"cancelled by {session.user or 'somebody'}", now_ms)
        shown = self.shows.cancelled(cancel.query, subscribers)
        self.outbox.to_client(session.peer, Shown(cancel.request), shown)

    def _send_shown(self, session: Session, request: int, shown: Page) -> None:
        """Send JSON. It takes credit as rows do: nothing piles up for who never reads."""
        session.spend(len(shown.body))
        self.outbox.to_client(session.peer, Shown(request, shown.after), shown.body)

    def _reject(self, session: Session, request: int, reason: str) -> None:
        self.outbox.to_client(session.peer, Rejected(request, reason))

    def _reject_query(
        self, session: Session, request: int, error: Exception, knows: Sequence[str] = ()
    ) -> None:
        if isinstance(error, UnnamedStreamError):
            error = among_streams(error, self.agents, knows)
        if not isinstance(error, QueryError):
            reason = f"internal error: {type(error).__name__}: {error}"
            self._reject(session, request, reason[:_LONGEST_NAME])
            return
        place = (
            error.line,
            error.column,
            error.span.start,
            error.span.end,
            error.hint[:_LONGEST_NAME],
        )
        message = Rejected(request, error.reason[:_LONGEST_NAME], *place, is_query=True)
        self.outbox.to_client(session.peer, message)


def _sharing(session: Session, ask: Ask) -> Sharing:
    """With whom a client asks to share the rows."""
    return (ask.group, session.key) if ask.group else NO_GROUP
