"""What clients say, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from mql.errors import QueryError
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
from source_jobs.agents import Agents
from source_jobs.catalogue import warnings_about
from source_jobs.looking import Looking
from source_jobs.outbox import Outbox
from source_jobs.queries import Queries
from source_jobs.questions import Question, read_question
from source_jobs.running import Running
from source_jobs.sessions import Session, Sessions
from source_jobs.settings import Settings
from source_jobs.shows import Shows
from source_jobs.subscribers import Room, Subscriber

_LONGEST_MS = 7 * 86_400_000
_LONGEST_NAME = 1_000


@dataclass(slots=True)
class _Opening:
    """An answer that begins when agents have said what they have seen, or after a while."""

    subscriber: Subscriber
    question: Question
    until_us: int


@dataclass(slots=True)
class _Showing:
    """A request to show the streams, which waits likewise."""

    peer: bytes
    request: int
    until_us: int


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
    room: Room
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
            case Alive():
                self.outbox.to_client(peer, Alive())
            case Show():
                self._show(session, message, now_us)
            case Cancel():
                self._cancel(session, message, now_us // 1000)
            case Credit(size):
                if size < 0:
                    raise ProtocolError("a negative credit")
                session.credit += size
            case _:
                assert_never(message)

    def close(self, peer: bytes, now_ms: int) -> None:
        """A client is gone, and with it what it has asked."""
        session = self.sessions.close(peer)
        if session is not None:
            for subscriber in session.subscribers.values():
                self._let_go(subscriber, now_ms)

    @property
    def due_us(self) -> int | None:
        """When something that waits for agents goes on without them."""
        openings = [opening.until_us for opening in self._openings]
        return min([*openings, *(s.until_us for s in self._showings)], default=None)

    def open_answers(self, now_us: int) -> None:
        """Begin the answers, and show the streams, for which agents have said what they saw."""
        openings, self._openings = self._openings, []
        for opening in openings:
            question = opening.question
            if now_us < opening.until_us and self.looking.is_waiting(question.streams):
                self._openings.append(opening)
                continue
            self._open(opening.subscriber, warnings_about(question, self.agents.present()))
        showings, self._showings = self._showings, []
        for showing in showings:
            if now_us < showing.until_us and self.looking.is_waiting(None):
                self._showings.append(showing)
            else:
                shown = self.shows.streams(self.agents.present())
                session = self.sessions.get(showing.peer)
                if session is not None:
                    self._send_shown(session, showing.request, shown)

    def _connect(self, peer: bytes, message: Connect, now_us: int, key: bytes) -> None:
        if message.protocol != PROTOCOL or message.credit < 0:
            raise ProtocolError(f"protocol {message.protocol}, credit {message.credit}")
        for known in dict.fromkeys([*self.sessions.same_client(message.client, key), peer]):
            self.close(known, now_us // 1000)
        if self.sessions.is_full:
            reason = f"this source job has {self.settings.clients:,} clients, as many as it takes"
            self.outbox.to_client(peer, Rejected(0, reason))
            return
        self.sessions.open(peer, message, now_us, key)
        connected = Connected(PROTOCOL, self.settings.name, self.settings.version)
        self.outbox.to_client(peer, connected)

    def _ask(self, session: Session, ask: Ask, now_us: int) -> None:
        reason = self._refusal(session, ask)
        if reason:
            self._reject(session, ask.request, reason)
            return
        try:
            question = read_question(ask.query, ask.time, ask.lateness_ms)
            if len(question.streams) > self.settings.streams_per_query:
                most = f"one query may ask {self.settings.streams_per_query} streams"
                self._reject(session, ask.request, f"{most}, and this one {len(question.streams)}")
                return
            running = self.queries.start(question, ask.group, ask.ttl_ms, now_us // 1000)
        except Exception as error:  # noqa: BLE001 - a query that we cannot plan harms nobody
            self._reject_query(session, ask.request, error)
            return
        if running is None:
            most = f"{len(self.queries):,} queries run, as many as this source job takes"
            self._reject(session, ask.request, most)
            return
        self._subscribe(session, ask, running, now_us)

    def _refusal(self, session: Session, ask: Ask) -> str:
        settings = self.settings
        if ask.request in session.subscribers:
            return f"request {ask.request} is being answered"
        if len(ask.query.encode()) > settings.query_bytes:
            return f"the query is longer than {settings.query_bytes:,} bytes"
        asked = self.queries.text_bytes(s.query for s in session.subscribers.values())
        if asked + len(ask.query) > settings.text_bytes_per_client:
            return (
                f"what one client asks may have {settings.text_bytes_per_client:,} bytes together"
            )
        if len(session.subscribers) >= settings.queries_per_client:
            return f"one client may ask {settings.queries_per_client:,} queries at once"
        if max(len(ask.time), len(ask.group)) > _LONGEST_NAME:
            return f"a name is longer than {_LONGEST_NAME:,} characters"
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
            answering=Answering(ask.request, execution.number, now_ms),
        )
        session.subscribers[ask.request] = subscriber
        running.audience.members.append(subscriber)
        self.queries.touch(running)
        question = execution.question
        self.looking.begin(question.streams, now_us)
        until_us = now_us + self.settings.look_ms * 1000
        self._openings.append(_Opening(subscriber, question, until_us))
        self.open_answers(now_us)

    def _open(self, subscriber: Subscriber, warnings: tuple[str, ...]) -> None:
        answering, subscriber.answering = subscriber.answering, None
        session = self.sessions.get(subscriber.peer)
        if answering is not None and session and subscriber in session.subscribers.values():
            request, query, start_ms = answering.request, answering.query, answering.start_ms
            message = Answering(request, query, start_ms, warnings)
            self.outbox.to_client(subscriber.peer, message)

    def _leave(self, session: Session, request: int, now_ms: int) -> None:
        subscriber = session.subscribers.pop(request, None)
        if subscriber is not None:
            self._let_go(subscriber, now_ms)

    def _let_go(self, subscriber: Subscriber, now_ms: int) -> None:
        self.queries.leave(subscriber, now_ms)
        subscriber.drop()

    def _show(self, session: Session, show: Show, now_us: int) -> None:
        shown: bytes | None = None
        if session.credit <= 0:
            reason = "this client has not read what it was sent before"
            self._reject(session, show.request, reason)
            return
        match show.what:
            case "agents":
                shown = self.shows.agents(self.agents, self.queries, now_us)
            case "queries":
                shown = self.shows.queries(self.queries, self.sessions)
            case "metrics":
                shown = self.shows.metrics(self.agents, self.queries, self.sessions)
            case "explain":
                shown = self._explain(session, show)
            case "streams":
                self.looking.begin(None, now_us)
                until_us = now_us + self.settings.look_ms * 1000
                self._showings.append(_Showing(session.peer, show.request, until_us))
                self.open_answers(now_us)
            case what:
                self._reject(session, show.request, f"there is no {what[:50]!r} to show")
        if shown is not None:
            self._send_shown(session, show.request, shown)

    def _explain(self, session: Session, show: Show) -> bytes | None:
        if len(show.query.encode()) > self.settings.query_bytes:
            self._reject(session, show.request, "the query is too long")
            return None
        try:
            question = read_question(show.query)
        except Exception as error:  # noqa: BLE001 - as above
            self._reject_query(session, show.request, error)
            return None
        return self.shows.explain(question, self.agents, self.queries)

    def _cancel(self, session: Session, cancel: Cancel, now_ms: int) -> None:
        running = self.queries.get(cancel.query)
        if running is None:
            self._reject(session, cancel.request, f"no query {cancel.query} is running")
            return
        subscribers = len(running.audience.members)
        self.queries.end(running, f"cancelled by {session.user or 'somebody'}", now_ms)
        shown = self.shows.cancelled(cancel.query, subscribers)
        self.outbox.to_client(session.peer, Shown(cancel.request), shown)

    def _send_shown(self, session: Session, request: int, shown: bytes) -> None:
        """Send JSON. It takes credit as rows do: nothing piles up for who never reads."""
        session.credit -= len(shown)
        self.outbox.to_client(session.peer, Shown(request), shown)

    def _reject(self, session: Session, request: int, reason: str) -> None:
        self.outbox.to_client(session.peer, Rejected(request, reason))

    def _reject_query(self, session: Session, request: int, error: Exception) -> None:
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
