"""Callers that wait until all that they have published has come to whoever asks."""

from __future__ import annotations

import contextlib
from _socket import SHUT_RDWR, socket
from collections import deque
from collections.abc import Callable

from mql.host import greenlets
from mql.host.native_threads import Event
from mql.host.system import socketpair
from publish_agent.protocol.agent_state import AgentState, Send


class Flush:
    """One wait, of one thread or greenlet."""

    def __init__(self) -> None:
        self.since_us = 0
        """When it was begun; what was published is older than that."""
        self.is_over = False
        """Whether its caller has to wait no longer."""
        self._event = Event()
        self._ends: tuple[socket, socket] | None = None
        """Where greenlets stand for threads: the loop of a greenlet waits for a descriptor."""
        if greenlets.is_patched():
            with contextlib.suppress(OSError):  # short of descriptors: all greenlets wait
                self._ends = socketpair()

    def come(self) -> None:
        """All has come. On the agent's thread."""
        self.is_over = True
        self._event.set()
        ends = self._ends
        if ends is not None:
            with contextlib.suppress(OSError):  # its time was over just now
                ends[0].shutdown(SHUT_RDWR)

    def wait(self, timeout_s: float) -> bool:
        """Wait for that; whether it is so."""
        try:
            if self._ends is None:
                return self._event.wait(timeout_s)
            with contextlib.suppress(TimeoutError):
                greenlets.wait_readable(self._ends[1].fileno(), timeout_s)
            return self._event.is_set()
        finally:
            self.is_over = True
            self._close()

    def _close(self) -> None:
        ends, self._ends = self._ends, None
        for end in ends or ():
            end.close()


class Flushes:
    """All that wait. Added to by any thread, and served by the agent's."""

    def __init__(self) -> None:
        self._new: deque[Flush] = deque()
        self._begun: list[Flush] = []

    def add(self) -> Flush:
        """One more that waits."""
        flush = Flush()
        self._new.append(flush)
        return flush

    def serve(self, state: AgentState, now_us: Callable[[], int]) -> list[Send]:
        """Have all sent for those that are new, and let those go on whose events have come."""
        sends: list[Send] = []
        while self._new:
            flush = self._new.popleft()
            flush.since_us = now_us()
            sends += state.flush(flush.since_us)
            self._begun.append(flush)
        for flush in self._begun:
            if state.has_come(flush.since_us):
                flush.come()
        self._begun = [flush for flush in self._begun if not flush.is_over]
        return sends
