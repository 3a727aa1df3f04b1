"""Passes things from one thread to readers in others, and in event loops."""

from __future__ import annotations

import asyncio
import contextlib
import queue
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Mailbox(Generic[_T]):
    """A queue without an end, which its writer has to bound. `put` never waits."""

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[_T] = queue.SimpleQueue()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def put(self, item: _T) -> None:
        """Add an item; also from a signal handler."""
        self._items.put(item)
        for loop, event in list(self._waiting):
            with contextlib.suppress(RuntimeError):  # that loop has ended
                loop.call_soon_threadsafe(event.set)

    def get(self, timeout_s: float | None = None) -> _T:
        """Take an item; wait for one. Raises TimeoutError."""
        try:
            return self._items.get(timeout=timeout_s)
        except queue.Empty:
            raise TimeoutError from None

    async def wait(self) -> _T:
        """Take an item; wait for one without holding up the event loop."""
        waiting = asyncio.get_running_loop(), asyncio.Event()
        self._waiting.append(waiting)
        try:
            while True:
                waiting[1].clear()
                with contextlib.suppress(queue.Empty):
                    return self._items.get_nowait()
                await waiting[1].wait()
        finally:
            self._waiting.remove(waiting)
