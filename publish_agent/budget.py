"""What an agent may cost its host, and what it does when it costs more: it looks at less.

Over its budget it first drains less often, so that each drain pays off, and then keeps only one
event of `weight`, at random; the counts are scaled by that. A tenth of a second far over the
budget is enough to tighten. To loosen takes longer, and longer still where that has proved to be
too soon. Costs and the time are arguments.
"""

from __future__ import annotations

from math import ceil

from mql.wire.messages import MAX_WEIGHT
from publish_agent.settings import Settings

LOOK_US = 100_000
"""So long costs are added up before they are judged."""
UNHURRIED_US = 100_000
"""The pause between drains of an agent that is over its budget."""

_AIM = 0.75
"""The share of the budget that is aimed at."""
_FAR = 2.0
"""With more than this share it is tightened at once, with less if it stays."""
_MOST_AT_ONCE = 8.0
_BESIDE = 2.5
"""So many times what keeping an event takes on its caller's thread are all of its costs, about."""
_DRAIN_SHARE = 4.0
"""By so much, at most, less frequent drains are taken to help."""
_HURRY_BELOW = 0.15
"""With less than this share drains may become frequent again, which is most of a small cost."""
_WORTH = 0.8
"""The weight is made less if it can be less than this share of itself."""
_CALM, _MOST_CALM = 5, 300
"""Looks without tightening before it is loosened: at first, and where that was too soon before."""
_SOON = 20
"""Looks after loosening within which having to tighten means that it was too soon."""
_LONGEST_US = 2_000_000
"""After a longer time than this the agent has slept, or the clock was set."""


class Share:
    """What was spent of one limit, as a share of it, and what of that the events alone cost.

    Both are smoothed: a look counts for a third.
    """

    __slots__ = ("all", "events", "now")

    def __init__(self) -> None:
        self.now = self.all = self.events = 0.0

    def add(self, all_: float, events: float) -> None:
        """Take what the last look found."""
        self.now = all_
        self.all += (all_ - self.all) / 3
        self.events += (min(events, all_) - self.events) / 3

    def forget(self) -> None:
        """What comes now is not as it was."""
        self.all, self.events = min(self.all, _AIM), min(self.events, _AIM)

    @property
    def spare(self) -> float:
        """By which factor the weight may shrink at most, if only what events cost follows it."""
        left = _AIM - max(self.all, self.now) + self.events
        return self.events / left if left > self.events else 1.0


class Budget:
    """Turns what the agent costs into how often it drains, and which share of events it keeps."""

    def __init__(self, settings: Settings) -> None:
        self._limit_cpu = settings.cpu_share
        self._limit_bytes = settings.bytes_per_s
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
        self._cpu, self._bytes, self._held = Share(), Share(), Share()
        self._allowed_bytes = settings.bytes_per_s
        self._since_us = self._refilled_us = 0
        self._cpu_before_ns = self._keep_ns = self._drop_ns = self._sent_bytes = 0
        self._most_held = 0
        self._calm, self._calm_needed, self._looks_since_loose = 0, _CALM, _SOON

    def spend(self, keep_ns: int, drop_ns: int) -> None:
        """Note what callers' threads spent on events that are kept, and on others."""
        self._keep_ns += keep_ns
        self._drop_ns += drop_ns

    def hold(self, held_bytes: int) -> None:
        """Note what the intakes hold."""
        self._most_held = max(self._most_held, held_bytes)

    def allows(self, size: int) -> bool:
        """Whether so many bytes may be sent now; then they count as sent."""
        self._sent_bytes += size
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
        if 0 < span_us <= _LONGEST_US:
            spent_ns = cpu_ns - self._cpu_before_ns + self._keep_ns + self._drop_ns
            self._measure(span_us, spent_ns)
            self._judge()
        self._since_us, self._cpu_before_ns = now_us, cpu_ns
        self._keep_ns = self._drop_ns = self._sent_bytes = self._most_held = 0

    def _refill(self, now_us: int) -> None:
        passed_us = min(max(now_us - self._refilled_us, 0), 1_000_000)
        self._refilled_us = now_us
        more = passed_us * self._limit_bytes // 1_000_000
        self._allowed_bytes = min(self._allowed_bytes + more, self._limit_bytes)

    def _measure(self, span_us: int, spent_ns: int) -> None:
        cores = 1 / (span_us * 1000)
        self.cpu_share += (spent_ns * cores - self.cpu_share) / 8
        events_ns = self._keep_ns * _BESIDE
        self._cpu.add(spent_ns * cores / self._limit_cpu, events_ns * cores / self._limit_cpu)
        sent = self._sent_bytes * 1e6 / (span_us * self._limit_bytes)
        self._bytes.add(sent, sent)
        held = self._most_held / self.buffer_bytes
        self._held.add(held, held)

    def _judge(self) -> None:
        shares = self._cpu, self._bytes, self._held
        self._looks_since_loose += 1
        self._calm += 1
        over = [s for s in shares if s.now > _FAR or s.all > 1]
        if over:
            self._tighten(max(max(s.now, s.all) for s in over) / _AIM)
            for share in shares:
                share.forget()
        elif self._calm >= self._calm_needed:
            self._loosen(max(share.spare for share in shares))

    def _tighten(self, factor: float) -> None:
        too_soon = self._looks_since_loose < _SOON
        self._calm_needed = min(self._calm_needed * 2, _MOST_CALM) if too_soon else _CALM
        self._calm = 0
        if not self.pause_us:
            self.pause_us = UNHURRIED_US
            factor /= _DRAIN_SHARE
        if factor > 1:
            factor = min(factor, _MOST_AT_ONCE)
            self.weight = min(ceil(self.weight * factor), MAX_WEIGHT)

    def _loosen(self, factor: float) -> None:
        before = self.weight, self.pause_us
        if self.weight > 1:
            if factor < _WORTH or self.weight * factor <= 1:
                self.weight = max(ceil(self.weight * factor), self.weight // 2)
        elif self._cpu.all < _HURRY_BELOW:
            self.pause_us = 0
        if before != (self.weight, self.pause_us):
            self._calm = self._looks_since_loose = 0
