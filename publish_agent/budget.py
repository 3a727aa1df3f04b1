"""What an agent may cost its host, and what it does when it costs more: it looks at less.

Over its budget it first drains less often, so that each drain pays off, and then keeps only one
event of `weight`, at random; the counts are scaled by that. A tenth of a second over the budget is
enough to tighten. To loosen takes longer, and longer still where that has proved to be too soon.
Costs and the time are arguments.
"""

from __future__ import annotations

from math import ceil

from mql.wire.messages import MAX_WEIGHT
from publish_agent.settings import Settings

LOOK_US = 100_000
"""So long costs are added up before they are judged."""
UNHURRIED_US = 50_000
"""The pause between drains of an agent that is over its budget."""

_AIM = 0.75
"""The share of the budget that is aimed at."""
_LOW = 0.5
"""With less than this share it may be loosened."""
_FAR = 2.0
"""With more than this share it is tightened at once, with less if it stays."""
_DRAIN_SHARE = 4
"""By so much, at most, less frequent drains are taken to help."""
_HURRY_BELOW = 0.2
"""With less than this share drains may become frequent again, which is most of a small cost."""
_CALM, _MOST_CALM = 5, 300
"""Looks below `_LOW` before it is loosened: at first, and where that was too soon before."""
_SOON = 20
"""Looks after loosening within which having to tighten means that it was too soon."""
_LONGEST_US = 2_000_000
"""After a longer time than this the agent has slept, or the clock was set."""


class Budget:
    """Turns what the agent costs into how often it drains, and which share of events it keeps."""

    def __init__(self, settings: Settings) -> None:
        self._cpu_share = settings.cpu_share
        self._bytes_per_s = settings.bytes_per_s
        self.buffer_bytes = min(settings.buffer_bytes, settings.memory // 4)
        """What the intakes may hold as text. As columns and as payloads it is as much again."""
        self.state_bytes = settings.memory // 4
        """What states may hold before they are sent."""
        self.weight = 1
        """Each event that is kept stands for so many."""
        self.pause_us = 0
        """The least pause between drains."""
        self.cpu_share = 0.0
        """What the agent took lately, in cores."""
        self._allowed_bytes = settings.bytes_per_s
        self._since_us = self._refilled_us = 0
        self._cpu_before_ns = self._inline_ns = self._bytes = 0
        self._held = 0.0
        self._smooth = 0.0
        self._calm, self._calm_needed, self._looks_since_loose = 0, _CALM, _SOON

    def spend(self, inline_ns: int) -> None:
        """Note what callers' threads spent on events."""
        self._inline_ns += inline_ns

    def hold(self, held_bytes: int) -> None:
        """Note what the intakes hold."""
        self._held = max(self._held, held_bytes / self.buffer_bytes)

    def allows(self, size: int) -> bool:
        """Whether so many bytes may be sent now; then they count as sent."""
        self._bytes += size
        if size > self._allowed_bytes:
            return False
        self._allowed_bytes -= size
        return True

    def look(self, now_us: int, cpu_ns: int) -> None:
        """Judge what has been spent; `cpu_ns` is what the agent's own thread ever took."""
        self._refill(now_us)
        span_us = now_us - self._since_us
        if 0 <= span_us < LOOK_US:
            return
        spent_ns = cpu_ns - self._cpu_before_ns + self._inline_ns
        share = max(
            spent_ns / (span_us * 1000 * self._cpu_share),
            self._bytes * 1e6 / (span_us * self._bytes_per_s),
            self._held,
        )
        slept = not 0 < span_us <= _LONGEST_US
        self._since_us, self._cpu_before_ns = now_us, cpu_ns
        self._inline_ns = self._bytes = 0
        self._held = 0.0
        if not slept:
            self.cpu_share += (spent_ns / (span_us * 1000) - self.cpu_share) / 8
            self._judge(share)

    def _refill(self, now_us: int) -> None:
        passed_us = min(max(now_us - self._refilled_us, 0), 1_000_000)
        self._refilled_us = now_us
        more = passed_us * self._bytes_per_s // 1_000_000
        self._allowed_bytes = min(self._allowed_bytes + more, self._bytes_per_s)

    def _judge(self, share: float) -> None:
        self._smooth += (share - self._smooth) / 2
        self._looks_since_loose += 1
        if share > _FAR or self._smooth > 1:
            self._tighten(max(share, self._smooth) / _AIM)
        elif share < _LOW:
            self._calm += 1
            if self._calm >= self._calm_needed:
                self._loosen(share)
        else:
            self._calm = 0

    def _tighten(self, factor: float) -> None:
        too_soon = self._looks_since_loose < _SOON
        self._calm_needed = min(self._calm_needed * 2, _MOST_CALM) if too_soon else _CALM
        self._calm, self._smooth = 0, _AIM
        if not self.pause_us:
            self.pause_us = UNHURRIED_US
            factor /= _DRAIN_SHARE
        if factor > 1:
            self.weight = min(ceil(self.weight * factor), MAX_WEIGHT)

    def _loosen(self, share: float) -> None:
        """By what is surely not too much, if all costs were those of events."""
        before = self.weight, self.pause_us
        if self.weight > 1:
            enough = ceil(self.weight * share / _AIM)
            self.weight = max(1, min(enough, self.weight - 1), self.weight // 2)
        elif share < _HURRY_BELOW:
            self.pause_us = 0
        if before != (self.weight, self.pause_us):
            self._calm = self._looks_since_loose = 0
