"""By how much a source job's clock is ahead, from the times in messages that went to and fro.

A message cannot come before it was sent. So each one bounds the offset from one side, and the
tightest bounds of the last messages, from whichever of them, hold the true offset between them.
A busy interpreter delays most answers, and seldom all.
"""

from __future__ import annotations

from collections import deque

_SAMPLES_MAX = 32
_SAME_US = 2_000
"""Clocks that may be less apart count as the same, where that is as good an answer."""
_OFFSET_MAX_US = 2**52
_ECHO_MAX_US = 10_000_000
"""An echo that took longer says nothing."""
_DRIFT_PPM, _SLEW_PPM = 500, 5_500
"""By how much two clocks drift apart; and while the source job's follows one that was set."""
_STILL_US = 1_000
"""A better estimate that is no further away than this moves nothing: times go on evenly."""

_UNKNOWN_US = _OFFSET_MAX_US

_Sample = tuple[int, int, int]
"""When it was begun by our clock, and the least and the greatest offset that it allows, in µs."""


class ClockOffset:
    """The offset, in µs, and how far it may be wrong.

    It is the middle of what the last samples allow together. If they allow nothing together, a
    clock was set between them, and the newest one is right.
    """

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=_SAMPLES_MAX)
        self._drift_ppm = _DRIFT_PPM
        self.value_us = 0

    @property
    def value_ms(self) -> int:
        """The offset in whole ms."""
        return self.value_us // 1000

    def uncertainty_us(self, now_us: int) -> int:
        """How far the offset may be from the true one; a great deal before the first sample."""
        if not self._samples:
            return _UNKNOWN_US
        least_us, most_us = self._bounds(now_us)
        return max(most_us - self.value_us, self.value_us - least_us, 0)

    def add(
        self,
        sent_us: int,
        received_us: int,
        answered_us: int,
        now_us: int,
        *,
        slews: bool = False,
    ) -> bool:
        """Learn from a message sent at `sent_us`, received and answered there, come back now.

        False if that cannot be: then nothing is learned. The other clock `slews` while it follows
        one that was set.
        """
        least_us, most_us = answered_us - now_us, received_us - sent_us
        if not 0 <= now_us - sent_us <= _ECHO_MAX_US or not received_us <= answered_us:
            return False
        if abs(least_us) > _OFFSET_MAX_US or abs(most_us) > _OFFSET_MAX_US:
            return False
        sample = sent_us, min(least_us, most_us), max(least_us, most_us)
        self._drift_ppm = _SLEW_PPM if slews else _DRIFT_PPM
        self._samples.append(sample)
        least_us, most_us = self._bounds(now_us)
        if least_us > most_us:
            self._samples.clear()
            self._samples.append(sample)
            _, least_us, most_us = sample
        self._move(least_us, most_us)
        return True

    def forget(self) -> None:
        """Begin again: a clock was set."""
        self._samples.clear()

    def _bounds(self, now_us: int) -> tuple[int, int]:
        """The least and the greatest offset that all samples allow, as far as clocks drift."""
        drifts = [
            (abs(now_us - at_us) * self._drift_ppm // 1_000_000, least_us, most_us)
            for at_us, least_us, most_us in self._samples
        ]
        least = max(least_us - drift_us for drift_us, least_us, _ in drifts)
        return least, min(most_us + drift_us for drift_us, _, most_us in drifts)

    def _move(self, least_us: int, most_us: int) -> None:
        """Take the middle, unless a rounder value, or the one before, is nearly as good."""
        middle_us, half_us = (least_us + most_us) // 2, (most_us - least_us) // 2
        if abs(middle_us) < _SAME_US and least_us <= _SAME_US and most_us >= -_SAME_US:
            self.value_us = 0
        elif abs(self.value_us - middle_us) > max(_STILL_US, half_us // 2):
            self.value_us = middle_us
