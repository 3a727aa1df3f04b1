"""Calls of `publish` that take long: each on a thread of its own, which goes on when it is let.

A value of the event stops that thread where its text is asked for. The world's thread waits while
the other runs, so only one runs at a time, and all happens in the same order each time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from publish_agent.capture.event_buffer import Status

TEXT = "slow"
"""The text of such a value."""


class SlowCall:
    """A call with an event whose `k` takes long; it returns at once where nobody asks for that."""

    def __init__(self, publish: Callable[[object], Status], event: Mapping[str, object]) -> None:
        self.status: Status | None = None
        """The result, once it has returned."""
        self._publish, self._event = publish, {**event, "k": self}
        self._stands, self._goes_on = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._stands.wait()

    def end(self) -> Status:
        """Let it go on until it returns."""
        self._goes_on.set()
        self._thread.join()
        assert self.status is not None
        return self.status

    def __str__(self) -> str:
        self._stands.set()
        self._goes_on.wait()
        return TEXT

    def _run(self) -> None:
        self.status = self._publish(self._event)
        self._stands.set()
