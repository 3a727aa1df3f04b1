"""The rest of an agent whose process loads an application for others, and publishes nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from mql.host.native_threads import Event
from publish_agent.capture.event_buffer import Status
from publish_agent.protocol.agent_state import AgentState
from publish_agent.screen.taker import Taker
from publish_agent.stream import Stream

REST_S = 2.0
"""So soon after a fork a process publishes that is no master of others."""


class Rest:
    """When it begins, and how it ends: with an event, a further stream, or the agent."""

    def __init__(self, streams: Mapping[str, Stream]) -> None:
        self._streams = streams
        self._due_s = math.inf
        self._called = Event()
        self.is_on = False

    def note_fork(self) -> None:
        """The process has forked. From any thread."""
        self._due_s = time.monotonic() + REST_S

    def is_due(self) -> bool:
        """Whether it is time to look whether the process publishes; once after a fork."""
        if time.monotonic() <= self._due_s:
            return False
        self._due_s = math.inf
        return True

    def begin_unless_used(self, state: AgentState) -> bool:
        """Begin if nothing has been published, as far as the state has counted."""
        figures = state.figures()
        has_taken = figures.spent.tested > 0 or figures.buffered_bytes > 0
        self.is_on = not (has_taken or self._is_skipping())
        return self.is_on

    def call(self) -> None:
        """End it. From any thread; waits for nothing."""
        self._called.set()

    def wait(self, known: int) -> None:
        """Wait for its end; `known` streams had been adopted."""
        for stream in list(self._streams.values()):
            stream.taker = Taker(self._calling(stream))
        if len(self._streams) <= known and not self._is_skipping():
            self._called.wait()
        self.is_on, self._called = False, Event()

    def _is_skipping(self) -> bool:
        return any(stream.unseen() > 0 for stream in list(self._streams.values()))

    def _calling(self, stream: Stream) -> Callable[[object], Status]:
        def call_and_skip(event: object, /) -> Status:  # noqa: ARG001 - as an `EventTarget`
            self.call()
            return stream.skip()

        return call_and_skip
