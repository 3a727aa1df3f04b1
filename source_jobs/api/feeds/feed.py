"""One running query: takes its answer from the source job, and keeps it for its readers.

It takes what comes as fast as it comes, so the source job never waits for a reader; readers take
from the replay at their own pace, and are told of what was gone before they came to it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence

from mql.errors import MQLError
from mql.ledger import Completeness
from source_jobs.api.auth.tokens import Caller
from source_jobs.api.feeds.events import Beat, Closing, Lost, Numbered, Opening, Piece, Said
from source_jobs.api.feeds.replay import Cursor, Replay
from source_jobs.api.planning.outline import Outline
from source_jobs.api.settings import Limits
from source_jobs.client.subscription import Subscription
from source_jobs.client.window import LiveWindow
from source_jobs.shares import Room

_log = logging.getLogger("source_jobs")

_AT_ONCE = 64
"""Pieces that a reader gets in one go."""

_EMPTY_BYTES = 3_000
"""What a piece takes besides its rows, about."""

_COPIES = 3
"""A batch is kept as it came, and, for most readers, once more as JSON, which is longer."""


class Feed:
    """A query that somebody asked over HTTP, from its start until it is forgotten."""

    def __init__(
        self,
        identity: str,
        caller: Caller,
        outline: Outline,
        subscription: Subscription,
        limits: Limits,
        room: Room,
        *,
        peer: str = "",
        group: str = "",
    ) -> None:
        self.id = identity
        self.caller = caller
        self.outline = outline
        self.peer = peer
        self.group = group
        self.once = False
        """Whether it is for one reader, and over when that has gone."""
        self.created_ms = time.time_ns() // 1_000_000
        self.readers_of: Counter[str] = Counter()
        """Streams that are open, by the identity of who reads."""
        self.was_read = False
        self.closing: Closing | None = None
        self.latest: Completeness | None = None
        self.replay: Replay[Piece] = Replay(
            limits.replay_pieces, limits.replay_bytes, limits.replay_s, room
        )
        self._heartbeat_s = limits.heartbeat_s
        self._subscription = subscription
        self._reason: str | None = None
        self._left_s = time.monotonic()
        self._changed = asyncio.Event()
        self._callers: dict[str, Caller] = {caller.identity: caller}
        self._shut_out: dict[str, str] = {}

    @property
    def readers(self) -> int:
        """Streams that are open."""
        return self.readers_of.total()

    @property
    def opening(self) -> Opening:
        """What each reader hears first."""
        return Opening(
            self.id,
            self._subscription.query_id or 0,
            self.outline.text,
            self._subscription.start_ms or self.created_ms,
            self._subscription.warnings,
            self.outline.columns,
            self.outline.windowed,
        )

    @property
    def unread_s(self) -> float:
        """For how long nobody has read it."""
        return 0.0 if self.readers else time.monotonic() - self._left_s

    async def follow(self, ended: Callable[[Feed], None]) -> None:
        """Take the answer to its end."""
        failed = False
        try:
            async for window in self._subscription:
                self._take(window)
                await asyncio.sleep(0)  # others have their turn, however much has come
            reason = self._reason or self._subscription.ended or "closed"
        except MQLError as error:
            reason, failed = str(error), True
        except asyncio.CancelledError:
            reason = "the server ends"
        except Exception:  # noqa: BLE001 - its readers must hear of an end
            _log.exception("an answer could not be taken further")
            reason, failed = "an internal error", True
        finally:
            self._subscription.close()
        total = self._subscription.total
        self.closing = Closing(reason, failed, total, self.replay.number + 1)
        self._left_s = time.monotonic()  # who wants to know why has some time from now on
        self._wake()
        ended(self)

    def cancel(self, reason: str) -> None:
        """End the query."""
        self._reason = self._reason or reason
        self._subscription.close()

    @property
    def callers(self) -> list[Caller]:
        """Who asked it, and who has read it."""
        return list(self._callers.values())

    def shut_out(self, caller: Caller, reason: str) -> None:
        """End what a caller reads; if the query is the caller's own, end that too."""
        self._callers.pop(caller.identity, None)
        self._shut_out[caller.identity] = reason
        if caller.identity == self.caller.identity:
            self.cancel(reason)
        self._wake()

    async def read(self, cursor: Cursor, caller: Caller) -> AsyncGenerator[Sequence[Said]]:
        """What a reader is told, from a cursor on, until the end; a beat where there is nothing."""
        self._callers[caller.identity] = caller
        self._shut_out.pop(caller.identity, None)
        self.readers_of[caller.identity] += 1
        self.was_read = True
        try:
            yield (self.opening,)
            while True:
                changed = self._changed
                reason = self._shut_out.get(caller.identity)
                if reason is not None:
                    yield (Closing(reason, True, None, self.replay.number + 1),)
                    return
                missed, entries = self.replay.after(cursor, _AT_ONCE)
                if entries:
                    lost = [] if missed is None else [Lost(missed.pieces, missed.rows)]
                    yield [*lost, *(Numbered(entry.number, entry.item) for entry in entries)]
                    cursor = Cursor(entries[-1].number, entries[-1].rows_until)
                elif self.closing is not None:
                    yield (self.closing,)
                    return
                elif not await _happens(changed, self._heartbeat_s):
                    yield (Beat(),)
        finally:
            self.readers_of -= Counter([caller.identity])
            self._left_s = time.monotonic()

    def _take(self, window: LiveWindow) -> None:
        batch = window.batch
        size = _EMPTY_BYTES + (0 if batch is None else _COPIES * batch.nbytes)
        missed = window.gap.pieces if window.gap is not None else 0
        self.latest = window.completeness or self.latest
        self.replay.add(Piece(window), size, window.num_rows, time.monotonic(), missed=missed)
        self._wake()

    def _wake(self) -> None:
        """Let all readers look."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


async def _happens(event: asyncio.Event, within_s: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), within_s)
    except TimeoutError:
        return False
    return True
