"""One thing that a client has asked, over all the connections on which it does so."""

from __future__ import annotations

import msgspec

from mql.account import GONE_AT_END, Account
from mql.ledger import Completeness
from mql.wire.codec import ProtocolError
from mql.wire.messages import Answer, Answering, Ask, Ended
from mql.wire.payload import read_batch
from source_jobs.client.actions import Gap, Missed, Piece, Started

WAITING = 10_000
"""So many pieces wait to be read; more are given up, and counted."""

PATIENCE_US = 5_000_000
"""How much later than asked the source job may end a query."""


class Question:
    """A query, up to when its answer is known, and what of it waits to be read.

    `request` is its number on this connection, and `held` the bytes of payload that wait.
    """

    def __init__(self, ask: Ask, now_us: int) -> None:
        self._ask = ask
        self._ends_us = now_us + ask.ttl_ms * 1_000 if ask.ttl_ms else None
        self._asked_ms = 0
        self._until_ms: int | None = None
        self._end_ms: int | None = None
        self._account = Account()
        self._interrupted = False
        self._sequence = 0
        self._missed = self._gaps = 0
        self._given_up = self._given_up_total = 0
        self._waiting = self._largest = 0
        self.request = 0
        self.held = 0

    def asked(self, request: int, now_us: int) -> Ask:
        """The message that asks, with what is left of the time to live."""
        self.request = request
        self._sequence = 0
        self._given_up_total = self._given_up  # what has been told was of the answer before
        ttl_ms = 0 if self._ends_us is None else max(1, (self._ends_us - now_us) // 1_000)
        self._asked_ms = ttl_ms
        return msgspec.structs.replace(self._ask, request=request, ttl_ms=ttl_ms)

    def interrupted(self) -> None:
        """The connection is gone."""
        self._interrupted = self._interrupted or self._until_ms is not None
        self.request = 0

    def started(self, message: Answering) -> Started:
        """The query runs."""
        gap = None
        if self._interrupted and self._until_ms is not None:
            gap = Gap(self._until_ms, max(message.start_ms, self._until_ms))
            self._gaps += 1
            self._account.miss(gap.from_ms, gap.to_ms)
        self._interrupted = False
        self._until_ms = message.start_ms
        if self._asked_ms:
            # It ends so much later there; who is told again that it runs has not asked again.
            self._end_ms, self._asked_ms = message.start_ms + self._asked_ms, 0
        if self._account.start_ms is None:
            self._account.start_ms = message.start_ms
        return Started(message.query, message.start_ms, message.warnings, gap)

    def piece(self, answer: Answer, payload: bytes, share: int) -> Piece | None:
        """What the subscription gets: without its rows, or nothing, if too much waits already."""
        if answer.sequence <= self._sequence:
            return None
        self._missed += answer.sequence - self._sequence - 1
        self._sequence = answer.sequence
        too_many = self._waiting >= WAITING
        if too_many or (self.held and self.held + len(payload) > share):
            self._give_up(payload)
            payload = b""
            if too_many or answer.completeness is None:
                self._missed += 1
                return None
        self.held += len(payload)
        self._largest = max(self._largest, len(payload))
        self._waiting += 1
        self._know(answer)
        missed, self._missed = self._missed, 0
        if missed:
            self._gaps += 1
            self._account.miss()
        answer = self._owned(answer)
        if answer.completeness is not None and self._ends_us is not None:
            self._account.add(answer.completeness)
        return Piece(answer, payload, missed)

    def consumed(self, size: int) -> None:
        """A piece has been read."""
        self._waiting -= 1
        self.held -= size

    def validate(self, credit: int) -> None:
        """Check what always holds, where so many bytes may be under way; for tests."""
        assert 0 <= self._waiting <= WAITING
        assert 0 <= self.held <= max(credit, self._largest)
        assert self.held == 0 or self._waiting
        assert 0 <= self._given_up <= self._given_up_total

    def is_over(self, now_us: int, *, connected: bool) -> bool:
        """Whether the time to live is over and nobody else will say so."""
        return self._ends_us is not None and now_us >= self._ends_us + PATIENCE_US * connected

    def _give_up(self, payload: bytes) -> None:
        rows = _rows_of(payload)
        self._given_up += rows
        self._given_up_total += rows

    def ended(self, message: Ended) -> Ended:
        """The end, with what was given up here in its ledger."""
        subscriber = message.total.subscriber + self._given_up_total
        gaps = max(self._gaps + (self._missed > 0), message.total.gaps)
        total = msgspec.structs.replace(message.total, subscriber=subscriber, gaps=gaps)
        return msgspec.structs.replace(message, total=total)

    def end(self) -> tuple[*tuple[Missed, ...], Ended]:
        """The end as this side knows it, from what has come, and before it what has not."""
        from_ms, to_ms = self._until_ms, self._end_ms
        missed = []
        if from_ms is not None and to_ms is not None and from_ms < to_ms:
            missed.append(Missed(Gap(from_ms, to_ms)))
            self._account.miss(from_ms, to_ms)
        else:
            self._account.miss()  # there may be more, and nobody says so
        known = self._account.total() or Completeness(0, 0, gaps=1)
        given_up = known.subscriber + self._given_up
        total = msgspec.structs.replace(known, subscriber=given_up)
        return (*missed, Ended(self.request, GONE_AT_END, failed=False, total=total))

    def _know(self, answer: Answer) -> None:
        """Note up to when the answer is known."""
        known = answer.completeness.end_ms if answer.completeness else None
        end_ms = answer.end_ms if answer.closes else known
        if end_ms is not None:
            self._until_ms = max(end_ms, self._until_ms or end_ms)

    def _owned(self, answer: Answer) -> Answer:
        """The answer, with what was given up here in its ledger."""
        if not self._given_up or answer.completeness is None:
            return answer
        completeness = msgspec.structs.replace(
            answer.completeness, subscriber=answer.completeness.subscriber + self._given_up
        )
        self._given_up = 0
        return msgspec.structs.replace(answer, completeness=completeness)


def _rows_of(payload: bytes) -> int:
    try:
        return read_batch(payload).num_rows if payload else 0
    except ProtocolError:
        return 0
