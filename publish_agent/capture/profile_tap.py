"""A look at one event of a stream, on the thread that publishes it."""

from __future__ import annotations

from collections.abc import Callable

from mql.host.interruption import pass_on
from publish_agent.capture.event_buffer import Status
from publish_agent.capture.event_target import EventTarget


class Peek:
    """Takes one event to learn from: the first that comes, unless that is too late.

    The first event also ends it, at once and on its own thread: the stream goes back to its taker,
    and no further event pays for it. It may be that of several threads at the same moment.
    """

    __slots__ = ("_clock_ns", "_encode", "_publish", "_settle", "_until_ns", "ended", "example")

    def __init__(
        self,
        publish: EventTarget,
        settle: Callable[[], None],
        encode: Callable[[object], bytes],
        clock_ns: Callable[[], int],
        span_ns: int | None,
    ) -> None:
        self._publish = publish
        self._settle = settle
        self._encode = encode
        self._clock_ns = clock_ns
        self._until_ns = None if span_ns is None else clock_ns() + span_ns
        self.example: bytes | None = None
        self.ended = False

    def tap(self, event: object) -> Status:
        """Hand an event on, and learn from it if it is the first. Never raises.

        It is handed on first: to learn may take long, and its time is when it was published.
        """
        is_wanted = self._end()
        status = self._publish(event)
        if is_wanted:
            self._learn(event)
        return status

    def look(self, event: object) -> None:
        """Learn from an event, if it is the first. Never raises."""
        if self._end():
            self._learn(event)

    def _end(self) -> bool:
        """Let the stream go back to its taker; whether to learn from the event that came."""
        is_first, self.ended = not self.ended, True
        self._settle()
        return is_first and (self._until_ns is None or self._clock_ns() <= self._until_ns)

    def _learn(self, event: object) -> None:
        try:
            self.example = self._encode(event)
        except BaseException as error:  # noqa: BLE001 - whatever the caller's objects raise
            pass_on(error)
            self.example = b""
