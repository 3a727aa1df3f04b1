"""Those who get an answer: each with a bounded queue, fed as far as its client grants credit.

A subscriber that does not take its rows loses them, and is told how many, in the ledger that it
gets next. Nobody waits for it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import msgspec
import pyarrow as pa

from mql.ledger import Completeness
from mql.wire.messages import Answer, Answering, Ended
from source_jobs.protocol.outbox import Outbox
from source_jobs.query.answer_pieces import Piece
from source_jobs.query.ledger import Totals
from source_jobs.shares import Shares

_LONGEST_QUEUE = 10_000
_PIECE_BYTES = 1_000
"""What a piece takes beside its rows."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    message: Answer | Ended
    payload: pa.Buffer | None = None
    rows: int = 0

    @property
    def size(self) -> int:
        return 0 if self.payload is None else int(self.payload.size)


@dataclass(slots=True)
class Subscriber:
    """One request of a client for an answer, whose `owner` is its key, or its peer without keys.

    Of the `room` of all it may have no more than its owner may still take.

    Nothing is sent before `answering` is. `ends_ms` is when its time to live is over; `since` is
    what the query had counted before it came.
    """

    peer: bytes
    request: int
    query: int
    group: str
    start_ms: int
    ends_ms: int | None
    since: Totals
    queue_bytes: int
    room: Shares
    owner: bytes
    answering: Answering | None = None
    is_over: bool = False
    _queue: deque[_Waiting] = field(default_factory=deque)
    _queued_bytes: int = 0
    _sequence: int = 0
    _lost: int = 0
    lost_total: int = 0

    @property
    def queued_bytes(self) -> int:
        """How much is waiting for it."""
        return self._queued_bytes

    @property
    def weight(self) -> int:
        """Its share of the room, in bytes."""
        return self._queued_bytes + _PIECE_BYTES * len(self._queue)

    @property
    def _left(self) -> int:
        return self.room.left(self.owner)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is waiting for it."""
        return not self._queue and self.answering is None

    def offer(self, piece: Piece, payload: pa.Buffer | None) -> None:
        """Queue a piece; where there is no room its rows are given up, and counted."""
        rows, size = piece.num_rows, 0 if payload is None else int(payload.size)
        if self._queued_bytes + size > min(self.queue_bytes, self._left):
            self.give_up(rows)
            payload, rows, size = None, 0, 0
            if piece.completeness is None and not piece.closes:
                return
        if len(self._queue) >= _LONGEST_QUEUE or self._left < _PIECE_BYTES:
            self.give_up(rows)
            return
        completeness = piece.completeness
        if completeness is not None and not piece.closes and completeness.start_ms < self.start_ms:
            # A second in which it came to a query that ran: it has not got the rows before.
            completeness = _since(completeness, self.start_ms)
        if completeness is not None and self._lost:
            completeness = msgspec.structs.replace(completeness, subscriber=self._lost)
            self._lost = 0
        answer = Answer(
            self.request,
            0,
            piece.closes,
            piece.start_ms,
            piece.end_ms,
            completeness,
            0 if completeness is None else piece.wait_ms,
        )
        self._queue.append(_Waiting(answer, payload, rows))
        self._queued_bytes += size
        self.room.take(self.owner, size + _PIECE_BYTES)

    def drop(self) -> None:
        """Let go of all that waits: it is gone."""
        if self._queue:
            self.room.give(self.owner, self.weight)
        self._queue.clear()
        self._queued_bytes = 0

    def end(self, ended: Ended) -> None:
        """Queue the end of the answer."""
        self.is_over = True
        self._queue.append(_Waiting(ended))
        self.room.take(self.owner, _PIECE_BYTES)

    def validate(self) -> None:
        """Check what always holds; for tests."""
        assert self._queued_bytes == sum(waiting.size for waiting in self._queue)
        assert self._queued_bytes <= self.queue_bytes
        assert len(self._queue) <= _LONGEST_QUEUE + 1
        assert 0 <= self._lost <= self.lost_total

    def give_up(self, rows: int) -> None:
        """Count rows that it does not get."""
        self._lost += rows
        self.lost_total += rows

    def send_next(self, credit: int, outbox: Outbox) -> int | None:
        """Send what is first in the queue, if the credit allows; returns its size, or None."""
        if not self._queue or self.answering is not None:
            return None
        first = self._queue[0]
        if first.size and credit <= 0:
            return None
        self._queue.popleft()
        self._queued_bytes -= first.size
        self.room.give(self.owner, first.size + _PIECE_BYTES)
        message = first.message
        if isinstance(message, Answer):
            self._sequence += 1
            message = msgspec.structs.replace(message, sequence=self._sequence)
        payload = None if first.payload is None else memoryview(first.payload)
        outbox.to_client(self.peer, message, payload, request=self.request, rows=first.rows)
        return first.size


def _since(known: Completeness, start_ms: int) -> Completeness:
    """What is known of a span of time, for who came in the middle of it."""
    span_ms = known.end_ms - known.start_ms
    covered_ms = span_ms if known.covered_ms is None else known.covered_ms
    covered_ms = min(covered_ms, max(known.end_ms - start_ms, 0))
    return msgspec.structs.replace(known, partial=True, covered_ms=covered_ms)


@dataclass(slots=True)
class Audience:
    """The subscribers of one execution: each gets all, or, as a group, they share the rows."""

    shared: bool
    members: list[Subscriber] = field(default_factory=list)
    _taking: Subscriber | None = None

    def hear(self, piece: Piece, payload: pa.Buffer | None) -> None:
        """Give a piece to those who should have it."""
        if not self.shared or piece.num_rows == 0:
            for member in self.members:
                member.offer(piece, payload)
        elif self.members:
            self._taker().offer(piece, payload)
            if piece.closes or piece.end_ms is None:
                self._taking = None

    def _taker(self) -> Subscriber:
        """Whose turn it is: a window stays with one; else the least busy, in turns."""
        if self._taking is None or self._taking not in self.members:
            self._taking = min(self.members, key=lambda member: member.queued_bytes)
            self.members.remove(self._taking)
            self.members.append(self._taking)
        return self._taking
