"""By how much a source job's clock is ahead of this client's, from messages to and fro."""

from __future__ import annotations

from collections import deque

_KEPT = 16
_LONGEST_US = 10_000_000
"""An echo that took longer says nothing."""
_TIMES_MAX_US = 2**60
_LEEWAY_US = 10_000
"""So much clocks may drift apart, or be slewed, within the samples that are kept."""


class JobClock:
    """The offset that the exchange with the least round trip of the last ones gave.

    `ahead_us` is None before the first one; the true offset is within `uncertain_us` of it.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=_KEPT)
        self.ahead_us: int | None = None
        self.uncertain_us = 0

    def add(self, echo_us: int, received_us: int, sent_us: int, now_us: int) -> None:
        """Learn from a message of `echo_us`, received and answered there, that is answered now."""
        took_us = now_us - echo_us - (sent_us - received_us)
        if not (echo_us and 0 <= took_us <= _LONGEST_US and 0 < received_us <= sent_us):
            return  # an older source job, or no answer to us
        if max(sent_us, echo_us) > _TIMES_MAX_US:
            return
        ahead_us = ((received_us - echo_us) + (sent_us - now_us)) // 2
        if any(
            abs(ahead_us - other) > (took_us + o) // 2 + _LEEWAY_US for o, other in self._samples
        ):
            self._samples.clear()  # a clock was set
        self._samples.append((took_us, ahead_us))
        least_us, self.ahead_us = min(self._samples)
        self.uncertain_us = -(-least_us // 2)

    def forget(self) -> None:
        """Begin again, with another source job."""
        self._samples.clear()
