"""A source job's output as another one's events: asks there, and publishes each row here.

agent = Agent(service="errors", source_jobs=["tcp://127.0.0.1:7766"])
with JobSource("tcp://other:7767", query, "errors", agent):
    ...
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import ValidationError

from mql.errors import MQLError
from mql.host.host_log import log_apart
from mql.host.native_threads import Event, Thread
from source_jobs.client import HttpClient, SourceJobError, connect
from source_jobs.client.subscription import Subscription
from source_jobs.query.live_query import read_question
from source_jobs.sources.relay import Relay, Relaying, Row, Teller, WithoutTime

_LOOK_S = 0.25
"""So often it is looked whether the other source job is there, and what is upstream of it."""
_LEARN_S = 5.0
"""So often it is asked over HTTP what is upstream of it."""

_log = logging.getLogger("source_jobs")


class JobSource:
    """Publishes the rows of a query as events of a stream, from when it is made until `close`.

    `publish` is an agent, or its `publish`. Events keep the time that they had at the other source
    job: rows of windows of time, which have `_window_start` and `_window_end`, that of the last ms
    of their window. What that job lacks, those who ask further on lack too, by the same names.

    Any other function is called as `publish(stream, row)` when a row comes, and `lose(stream,
    number)` for what is known to be missing, at least 1 where nobody knows how much.

    It waits for a source job that is not there, and comes back to one that was away. `ended` is
    called when no more rows will come. One that would feed a job from itself ends with a
    CircleError, as its `error`, before it publishes anything if that is known by then.

    Raises QueryError if the query is wrong, ValueError if the address or a key is none, or if the
    stream is another answer already.
    """

    def __init__(
        self,
        address: str,
        query: str,
        stream: str,
        publish: Relaying | Callable[[str, Row], object],
        lose: Callable[[str, int], object] | None = None,
        *,
        key: str | Path | None = None,
        server_key: str | Path | None = None,
        ended: Callable[[JobSource], object] | None = None,
    ) -> None:
        question = read_question(query)
        self.stream = stream
        self.error: MQLError | None = None
        self._query = query
        self._when_ended = ended
        self._answer: Subscription | None = None
        self._closing = Event()
        self._learn_s = 0.0
        self._refused = ""
        self._client = connect(address, key=key, server_key=server_key, timeout_s=None)
        try:
            self._relay = _relay(publish, lose, stream, address)
        except BaseException:
            self._client.close()
            raise
        self._teller = Teller(address, question, self._relay)
        self.taken = self._teller.taken
        self._thread = Thread(self._run, "mql-job-source")
        self._thread.start()

    @property
    def ended(self) -> str | None:
        """Why no more rows come (by the other source job's words), or None."""
        if self.error is not None:
            return str(self.error)
        if self._answer is None:
            return "closed" if self._closing.is_set() else None
        return self._answer.ended

    @property
    def started(self) -> bool:
        """Whether it has asked."""
        return self._answer is not None

    def close(self) -> None:
        """Stop, and wait until the rows that have come are published."""
        self._closing.set()
        answer = self._answer
        if answer is not None:
            answer.close()
        if not self._thread.is_current():
            self._thread.join()
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        try:
            while not (self._closing.is_set() or self._may_ask()):
                self._closing.wait(_LOOK_S / 10)
            if not self._closing.is_set():
                self._follow()
        except MQLError as error:
            self.error = error
        if self._answer is not None:
            self._answer.close()
        self._relay.end()
        if not self._closing.is_set():
            why = self.ended
            log_apart(_log, logging.WARNING, "the source of %s has ended: %s", self.stream, why)
            if self._when_ended is not None:
                self._when_ended(self)

    def _may_ask(self) -> bool:
        """Whether it is known by now that there is no circle. Raises CircleError if there is."""
        client = self._client
        self._note_refusal()
        if isinstance(self._relay, WithoutTime):
            return True  # nobody tells where the rows go
        if isinstance(client, HttpClient):
            with suppress(SourceJobError):
                client.wait_connected(0)
        if not (client.connected and self._relay.jobs()):
            return False
        self._look()
        return True

    def _follow(self) -> None:
        """Publish what comes, until nothing more does. Raises MQLError."""
        answer = self._answer = self._client.subscribe(self._query, timeout_s=None)
        if self._closing.is_set():
            answer.close()
        while answer.ended is None:
            window = answer.get(_LOOK_S)
            self._note_refusal()
            self._look()
            if window is not None:
                self._teller.take(window, answer.start_ms or 0)

    def _note_refusal(self) -> None:
        """Log once that the other source job does not let us in with our key."""
        refused, before = self._client.refused, self._refused
        if refused and not before:
            log_apart(_log, logging.WARNING, "the source of %s waits: %s", self.stream, refused)
        self._refused = refused

    def _look(self) -> None:
        """See what the client knows of the other source job. Raises CircleError."""
        client, now_s = self._client, time.monotonic()
        if isinstance(client, HttpClient) and client.connected and now_s >= self._learn_s:
            self._learn_s = now_s + _LEARN_S
            with suppress(SourceJobError, ValidationError):
                client.look()
        self._teller.look(client)


def _relay(
    publish: Relaying | Callable[[str, Row], object],
    lose: Callable[[str, int], object] | None,
    stream: str,
    name: str,
) -> Relay:
    agent = getattr(publish, "__self__", publish)
    if isinstance(agent, Relaying):
        return agent.relay(stream, name)
    if not callable(publish):
        raise TypeError("rows go to an agent, or to a function of a stream and a row")
    return WithoutTime(stream, publish, lose)
