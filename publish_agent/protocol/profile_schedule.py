"""When the agent looks at an event of each stream: about once a second, for some milliseconds.

A look is over with the first event, which ends it by itself, or else after its span, also where the
agent's thread wakes late.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from publish_agent.drain.stream_subscriptions import Subscriptions

PEEK_US = 1_000_000
PEEK_SPAN_US = 20_000
MAX_PEEKS = 100
"""Streams that are looked at in a second."""


class Peeks:
    """The looks that are going on, and when the next is due."""

    def __init__(self) -> None:
        self.due_us = 0
        self._next_us = 0
        self._open: Sequence[Subscriptions] = ()

    def begin_anew(self, now_us: int) -> None:
        """The clock was set: what was due later is due now."""
        self.due_us = self._next_us = now_us

    def tick(self, now_us: int, some: Callable[[int], Sequence[Subscriptions]]) -> None:
        """End the looks of this second, or begin those of the next, at `some` streams."""
        if now_us < self.due_us:
            return
        if self._open:
            for stream in self._open:
                stream.taps.end(now_us)
            self._open = ()
            self.due_us = max(self._next_us, now_us)
            return
        self._open = some(MAX_PEEKS)
        self._next_us = now_us + PEEK_US
        for stream in self._open:
            stream.taps.begin(now_us, PEEK_SPAN_US)
        self.due_us = now_us + PEEK_SPAN_US if self._open else self._next_us
