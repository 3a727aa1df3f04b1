"""The taps of a stream, one after the other, and the rate of its events between them."""

from __future__ import annotations

from collections.abc import Callable

from publish_agent.capture.profile_tap import Peek
from publish_agent.drain.profiles.stream_profile import StreamLog
from publish_agent.stream import Stream

_PATIENT_LOOKS = 20
"""The first looks at a stream wait for its event: else a slow one would hardly show its fields."""

_STALE_US = 60_000_000
"""A count that began before says little of how many events come now."""


class ProfileTaps:
    """Looks at one event of a stream now and then, and counts how many come."""

    def __init__(
        self, stream: Stream, encode: Callable[[object], bytes], clock_ns: Callable[[], int]
    ) -> None:
        self.log = StreamLog(stream.name)
        self._stream = stream
        self._encode = encode
        self._clock_ns = clock_ns
        self._peek: Peek | None = None
        self._looks = 0
        self._since_us = self._seen = self._skipped = 0

    def begin(self, now_us: int, span_us: int) -> None:
        """Begin to look at one event, for so long; the first few times for as long as it takes."""
        if now_us - self._since_us > _STALE_US:
            self.begin_count(now_us)
        if self._peek is None:
            stream = self._stream
            span_ns = span_us * 1_000 if self._looks >= _PATIENT_LOOKS else None
            self._peek = Peek(stream.publish, stream.settle, self._encode, self._clock_ns, span_ns)
            stream.peek = self._peek

    def end(self, now_us: int) -> None:
        """End the look, unless it is to wait; and count what came since the last one."""
        span_us, seen = now_us - self._since_us, self._seen - self._skipped
        self.begin_count(now_us)
        if span_us <= _STALE_US:
            self.log.count(seen + self._skipped, max(span_us, 1))
        peek = self._peek
        if peek is None or not (peek.ended or self._looks >= _PATIENT_LOOKS):
            return
        self._stream.peek = self._peek = None
        self._looks += 1
        if peek.example is not None:
            self.log.learn(peek.example)

    def count(self, seen: int) -> None:
        """Count events that came to the intakes; the others `publish` counts."""
        self._seen += seen

    def begin_count(self, now_us: int) -> None:
        """Count from now on."""
        self._since_us, self._seen, self._skipped = now_us, 0, self._stream.skipped()
