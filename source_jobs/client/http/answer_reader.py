"""A thread that reads one answer over HTTP, over all the connections that it takes."""

from __future__ import annotations

import _socket
import contextlib
import time
from collections.abc import Callable, Iterator
from struct import Struct
from typing import TYPE_CHECKING, Protocol

from mql.errors import MQLError, QueryError
from mql.host.native_threads import Event, Thread, make_lock
from mql.wire.codec import MAX_HEADER, MAX_PAYLOAD, ProtocolError, to_clients
from mql.wire.messages import (
    CLIENT_CREDIT_MAX,
    Answer,
    Answering,
    Ask,
    Ended,
    Rejected,
    ToClient,
)
from source_jobs.client.actions import AwayError, Closed, Missed, Piece, SourceJobError, Started
from source_jobs.client.http.requests import TROUBLE, Calls, GoneError
from source_jobs.client.mailbox import Mailbox
from source_jobs.client.pending_query import Question

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

ACCEPT = "application/vnd.mql.frames"
CREDIT = CLIENT_CREDIT_MAX
"""Bytes of payload that may wait to be read here; more are given up, and counted."""

_LENGTHS = Struct("<II")
_SILENT_S = 20.0
"""The server speaks every few seconds; after so long without a word the connection is dead."""

_CALL_S = 5.0
_RETRY_S = (0.1, 0.2, 0.5, 1.0)


class Note(Protocol):
    """Hears whether the server can be reached."""

    def __call__(self, *, up: bool) -> None:
        """Take the news."""


Delivered = Started | Piece | Missed | Rejected | Ended | Closed


class Following:
    """Asks a query and hands on its answer, until it ends or `close` is called.

    `note` is told whether the server can be reached, whenever that is known.
    """

    def __init__(self, calls: Calls, ask: Ask, note: Note) -> None:
        self._calls = calls
        self._note = note
        self._deliver: Callable[[Delivered], None] = _nobody
        self._text = ask.query
        self._question = Question(ask, _now_us())
        self._lock = make_lock()
        self._identity: str | None = None
        self._number = 0
        self._closing = Event()
        self._connection: HTTPConnection | None = None
        self._gone: Mailbox[None] = Mailbox()
        self._thread = Thread(self._serve, "mql-http-client", is_left=True)

    def ask(self, timeout_s: float) -> None:
        """Ask the query. Raises MQLError."""
        with self._lock:
            asked = self._question.asked(1, _now_us())
        named = {"group": asked.group, "time": asked.time, "ttl_ms": asked.ttl_ms}
        body: dict[str, object] = {key: value for key, value in named.items() if value}
        body |= {"query": asked.query, "lateness_ms": asked.lateness_ms}
        told = self._calls.json("POST", "/api/queries", timeout_s, body)
        if not isinstance(told, dict) or not isinstance(told.get("id"), str):
            raise SourceJobError(f"{self._calls.base} is no source job")
        self._identity, self._number = str(told["id"]), 0

    def start(self, deliver: Callable[[Delivered], None]) -> None:
        """Read from now on, and hand on what comes."""
        self._deliver = deliver
        self._thread.start()

    def consumed(self, size: int) -> None:
        """A piece has been read."""
        with self._lock:
            self._question.consumed(size)

    def close(self) -> None:
        """End the query, unless others want it too. Never waits for the server."""
        self._closing.set()
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(_socket.SHUT_RDWR)

    def join(self, timeout_s: float) -> None:
        """Wait until the thread has said goodbye."""
        if self._thread.is_alive() and not self._thread.is_current():
            with contextlib.suppress(TimeoutError):
                self._gone.get(timeout_s)
                self._thread.join(timeout_s)

    def _serve(self) -> None:
        try:
            self._run()
        finally:
            self._deliver(Closed())  # readers must not wait for more, however it came to this
            self._gone.put(None)

    def _run(self) -> None:
        attempts = 0
        while not self._closing.is_set():
            number = self._number
            try:
                if self._identity is None:
                    self.ask(_CALL_S)
                if self._read():
                    return
            except QueryError as error:
                self._deliver(_rejected(error))
                return
            except GoneError:
                with self._lock:
                    self._question.interrupted()
                self._identity = None
            except SourceJobError as error:
                if self._identity is not None or not isinstance(error, AwayError):
                    self._deliver(Rejected(1, str(error)))
                    return
            except (*TROUBLE, ProtocolError, ValueError):
                self._note(up=False)  # the connection broke: come again
            attempts = 0 if self._number > number else attempts + 1
            if self._over():
                return
            self._closing.wait(_RETRY_S[min(attempts, len(_RETRY_S) - 1)])
        self._deliver(Closed())  # at once: saying goodbye may take a while
        self._leave()

    def _read(self) -> bool:
        """Hand on what comes; whether that was the end. Raises what a connection may."""
        headers = {"Accept": ACCEPT}
        if self._number:
            headers["Last-Event-ID"] = str(self._number)
        path = f"/api/queries/{self._identity}/events"
        connection, response = self._calls.open("GET", path, _SILENT_S, headers=headers)
        self._connection = connection
        self._note(up=True)
        try:
            for place, (message, payload) in enumerate(_messages(response)):
                if self._closing.is_set():
                    return False
                match message:
                    case Answering():
                        self._started(message, is_first=not place)
                    case Answer():
                        self._piece(message, payload)
                    case Ended():
                        with self._lock:
                            ended = self._question.ended(message)
                        self._deliver(ended)
                        return True
        finally:
            self._connection = None
            connection.close()
        return False

    def _started(self, message: Answering, *, is_first: bool) -> None:
        """It runs; said also at the start of each connection, which is no news then."""
        if is_first and self._number:
            return
        with self._lock:
            if not is_first:
                self._question.interrupted()
            started = self._question.started(message)
        self._deliver(started)

    def _piece(self, message: Answer, payload: bytes) -> None:
        self._number = message.sequence
        with self._lock:
            piece = self._question.piece(message, payload, CREDIT)
        if piece is not None:
            self._deliver(piece)

    def _over(self) -> bool:
        """End here what has lived long enough, while nobody answers."""
        with self._lock:
            over = self._question.is_over(_now_us(), connected=False)
            end = self._question.end() if over else []
        for item in end:
            self._deliver(item)
        return over

    def _leave(self) -> None:
        if self._identity is not None:
            with contextlib.suppress(MQLError):
                self._calls.json("DELETE", f"/api/queries/{self._identity}", 1.0)


def _nobody(_item: Delivered) -> None:
    """Whom things go to before there is anybody."""


def _messages(response: HTTPResponse) -> Iterator[tuple[ToClient, bytes]]:
    """The messages of a response, until it ends. Raises ProtocolError."""
    decoder = to_clients()
    while lengths := response.read(_LENGTHS.size):
        if len(lengths) < _LENGTHS.size:
            return
        header_size, payload_size = _LENGTHS.unpack(lengths)
        if header_size > MAX_HEADER or payload_size > MAX_PAYLOAD:
            raise ProtocolError(f"a message of {header_size:,} and {payload_size:,} bytes")
        header, payload = response.read(header_size), response.read(payload_size)
        if len(header) < header_size or len(payload) < payload_size:
            return
        yield decoder.decode([header, payload])


def _rejected(error: QueryError) -> Rejected:
    place = (error.line, error.column, error.span.start, error.span.end, error.hint)
    return Rejected(1, error.reason, *place, is_query=True)


def _now_us() -> int:
    return time.monotonic_ns() // 1_000
