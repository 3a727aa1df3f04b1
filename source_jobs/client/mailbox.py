"""Passes things from one thread to readers in others, in greenlets, and in event loops."""

from __future__ import annotations

import asyncio
import contextlib
from _queue import Empty, SimpleQueue
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic
from typing import Generic, NoReturn, TypeVar

from mql.host.greenlets import is_patched, wait_readable
from mql.host.native_threads import Thread, is_own
from mql.host.system import socketpair

_T = TypeVar("_T")


class Mailbox(Generic[_T]):
    """A queue without an end, which its writer has to bound. `put` never waits."""

    def __init__(self) -> None:
        self._items: SimpleQueue[_T] = SimpleQueue()
        self._waiting: list[Callable[[], object]] = []

    def put(self, item: _T) -> None:
        """Add an item; also from a signal handler."""
        self._items.put(item)
        for wake in list(self._waiting):
            with contextlib.suppress(RuntimeError, OSError):  # it has ended, or is awake anyway
                wake()

    def get(self, timeout_s: float | None = None) -> _T:
        """Take an item; wait for one, while other greenlets go on. Raises TimeoutError."""
        if waits_among_greenlets():
            return self._get_in_greenlet(timeout_s)
        try:
            return self._items.get(timeout=timeout_s)
        except Empty:
            raise TimeoutError from None

    async def wait(self) -> _T:
        """Take an item; wait for one without holding up the event loop."""
        event = asyncio.Event()
        with self._woken(partial(asyncio.get_running_loop().call_soon_threadsafe, event.set)):
            while True:
                event.clear()
                with contextlib.suppress(Empty):
                    return self._items.get_nowait()
                await event.wait()

    def _get_in_greenlet(self, timeout_s: float | None) -> _T:
        with contextlib.suppress(Empty):
            return self._items.get_nowait()
        end_s = None if timeout_s is None else monotonic() + timeout_s
        reader, writer = socketpair()
        writer.setblocking(False)
        woken = self._woken(partial(writer.send, b"\0"))
        with contextlib.closing(reader), contextlib.closing(writer), woken:
            while True:
                with contextlib.suppress(Empty):
                    return self._items.get_nowait()
                left_s = None if end_s is None else max(0.0, end_s - monotonic())
                wait_readable(reader.fileno(), left_s)
                reader.recv(4_096)

    @contextlib.contextmanager
    def _woken(self, wake: Callable[[], object]) -> Iterator[None]:
        """Meanwhile something is called whenever an item has come."""
        self._waiting.append(wake)
        try:
            yield
        finally:
            self._waiting.remove(wake)


def waits_among_greenlets() -> bool:
    """Whether who waits here is a greenlet of the host's."""
    return is_patched() and not is_own()


def call_apart(call: Callable[[], _T]) -> _T:
    """Call something that waits for the network; in a thread of its own, where this is a greenlet.

    It must not be written in C++: the thread is left where it waits when the process exits.
    """
    if not waits_among_greenlets():
        return call()
    mailbox: Mailbox[Callable[[], _T]] = Mailbox()

    def run() -> None:
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - it is raised where it belongs
            mailbox.put(_raising(error))
        else:
            mailbox.put(lambda: result)

    Thread(run, "mql-call", is_left=True).start()
    return mailbox.get()()


def _raising(error: Exception) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise error

    return fail
