"""A running query as its reader sees it: an iterator, and an async iterator, of windows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Self

from mql.errors import QueryError, Span
from mql.layout import RowLayout
from mql.ledger import Completeness
from mql.wire.codec import ProtocolError
from mql.wire.messages import Ended, Rejected
from source_jobs.client.actions import Closed, Gap, Missed, Piece, SourceJobError, Started
from source_jobs.client.mailbox import Mailbox
from source_jobs.client.window import LiveWindow, read_piece

Item = Started | Piece | Missed | Rejected | Ended | Closed


class Subscription:
    """The answer of a query while it comes.

    Iterating waits for what comes next, and ends when the query does: by its time to live, its
    `limit`, a cancellation, or `close`. It raises SourceJobError if the query failed there. While
    the source job cannot be reached it waits; the query is then asked again, and an item with a
    `gap` says what was missed. All methods may be called from any thread.
    """

    def __init__(
        self,
        text: str,
        layout: RowLayout,
        *,
        consumed: Callable[[int], None],
        leave: Callable[[], None],
    ) -> None:
        self.query = text
        self.warnings: tuple[str, ...] = ()
        """What the source job said about the query before its answer."""
        self.query_id: int | None = None
        """Its number at the source job, for `mql queries` and `mql cancel`."""
        self.start_ms: int | None = None
        """From when on events are in the answer, by the source job's clock."""
        self.ended: str | None = None
        """Why the answer is over, or None."""
        self.total: Completeness | None = None
        """What all of the answer lacks; known at its end."""
        self._layout = layout
        self._consumed = consumed
        self._leave = leave
        self._mailbox: Mailbox[Item] = Mailbox()
        self._kept: list[LiveWindow] = []

    def get(self, timeout_s: float | None = None) -> LiveWindow | None:
        """What comes next, or None if nothing does in time, or nothing more (see `ended`).

        Raises SourceJobError and QueryError if the query ended with an error.
        """
        while not self._kept:
            if self.ended is not None:
                return None
            try:
                item = self._mailbox.get(timeout_s)
            except TimeoutError:
                return None
            self._take(item)
        return self._kept.pop(0)

    def wait_started(self, timeout_s: float) -> None:
        """Wait until the query runs. Raises TimeoutError, and what `get` raises."""
        while self.query_id is None:
            self._take(self._mailbox.get(timeout_s))
            if self.ended is not None:
                raise SourceJobError(self.ended)

    def close(self) -> None:
        """End the query, unless others want it too."""
        self._leave()
        self._mailbox.put(Closed())

    def deliver(self, item: Item) -> None:
        """Take what has come; never waits."""
        self._mailbox.put(item)

    def __iter__(self) -> Iterator[LiveWindow]:
        """Wait for windows until the end."""
        while (window := self.get()) is not None:
            yield window

    async def __aiter__(self) -> AsyncIterator[LiveWindow]:
        """Wait for windows until the end, without holding up the event loop."""
        while True:
            while self._kept:
                yield self._kept.pop(0)
            if self.ended is not None:
                return
            self._take(await self._mailbox.wait())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _take(self, item: Item) -> None:
        """Note what an item says; windows are kept. Raises at an end with an error."""
        match item:
            case Started():
                self.query_id, self.start_ms = item.query, item.start_ms
                if item.gap is None:
                    self.warnings = item.warnings
                else:
                    self._kept.append(LiveWindow(self._layout, None, gap=item.gap))
            case Piece():
                self._take_piece(item)
            case Missed(gap):
                self._kept.append(LiveWindow(self._layout, None, gap=gap))
            case Rejected() | Ended() | Closed():
                self._end(item)

    def _take_piece(self, piece: Piece) -> None:
        try:
            self._kept.append(read_piece(self._layout, piece))
        except ProtocolError:
            # The place of what cannot be read is known, and that is all.
            gap = Gap(piece.answer.start_ms, piece.answer.end_ms, piece.missed + 1)
            self._kept.append(LiveWindow(self._layout, None, gap=gap))
        self._consumed(len(piece.payload))

    def _end(self, item: Rejected | Ended | Closed) -> None:
        self._mailbox.put(item)  # for other readers, and for those who come back
        match item:
            case Closed():
                self.ended = self.ended or "closed"
            case Ended():
                self.ended, self.total = item.reason, item.total
                if item.failed:
                    raise SourceJobError(f"the query ended: {item.reason}")
            case Rejected():
                self.ended = item.reason
                raise error_of(item, self.query)


def error_of(rejected: Rejected, text: str) -> QueryError | SourceJobError:
    """The error that a refusal stands for."""
    if not rejected.is_query or not 0 <= rejected.start <= len(text):
        return SourceJobError(rejected.reason)
    span = Span(rejected.start, min(max(rejected.end, rejected.start), len(text)))
    return QueryError(rejected.reason, text, span, rejected.hint)
