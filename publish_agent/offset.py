"""By how much a source job's clock is ahead, from the times in messages that went to and fro."""

from __future__ import annotations

from collections import deque

_KEPT = 8
_LEAST_US = 2_000
"""Clocks that are less apart count as the same: the measure is no better."""
_MOST_US = 2**52
_LONGEST_US = 10_000_000
"""An echo that took longer says nothing."""


class ClockOffset:
    """The offset of the sample with the least round trip of the last eight, in µs.

    The true offset lies within half a round trip of a sample's. If two samples cannot both be
    right, a clock was set between them, and the newer one is.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=_KEPT)
        self.value_us = 0

    @property
    def value_ms(self) -> int:
        """The offset in whole ms."""
        return self.value_us // 1000

    def add(self, sent_us: int, received_us: int, answered_us: int, now_us: int) -> bool:
        """Learn from a message sent at `sent_us`, received and answered there, come back now.

        False if that cannot be: then nothing is learned.
        """
        round_trip = (now_us - sent_us) - (answered_us - received_us)
        offset = ((received_us - sent_us) + (answered_us - now_us)) // 2
        if not 0 <= now_us - sent_us <= _LONGEST_US or not received_us <= answered_us:
            return False
        if abs(offset) > _MOST_US:
            return False
        round_trip = max(round_trip, 0)
        agreeing = (s for s in self._samples if _agree(s, (round_trip, offset)))
        self._samples = deque([*agreeing, (round_trip, offset)], _KEPT)
        best = min(reversed(self._samples), key=lambda sample: sample[0])[1]
        self.value_us = best if abs(best) >= _LEAST_US else 0
        return True

    def forget(self) -> None:
        """Begin anew: a clock was set."""
        self._samples.clear()


def _agree(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether there is an offset that both samples allow, but for what clocks drift apart."""
    return abs(one[1] - other[1]) <= (one[0] + other[0]) // 2 + _LEAST_US
