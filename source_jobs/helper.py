"""A thread that does what would hold up the source job's own, one thing after another.

Python gives the interpreter to the other thread every few milliseconds, so that neither waits long.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

from source_jobs.protocol.work.aside import Done

T = TypeVar("T")


class Helper(Generic[T]):
    """An `Aside` with a thread, which begins with the first work and ends with `close`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: SimpleQueue[Callable[[], T] | None] = SimpleQueue()
        self._outcomes: list[Done[T]] = []
        self._thread: threading.Thread | None = None
        self.is_busy = False
        """Whether something was begun whose outcome nobody has taken."""

    def begin(self, work: Callable[[], T]) -> None:
        """Have it done; only where nothing else is."""
        assert not self.is_busy
        self.is_busy = True
        if self._thread is None and not self._start():
            self._outcomes.append(Done.of(work))
        else:
            self._work.put(work)

    def _start(self) -> bool:
        """Whether there is a thread; where the system has none left the work is done in place."""
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._thread = thread
        return True

    def take(self) -> Done[T] | None:
        """The outcome, if it is there."""
        if not self._outcomes:
            return None
        self.is_busy = False
        return self._outcomes.pop()

    def close(self) -> None:
        """Do nothing more, and wait until that which was begun is done."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._work.put(None)
            thread.join()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            self._outcomes.append(Done.of(work))
            del work
