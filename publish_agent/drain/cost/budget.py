"""What an agent may cost its host, and what it does when it costs more: it looks at less.

Over its budget it first drains less often, so that each drain pays off, and then keeps only one
event of `weight`, at random; the counts are scaled by that. A burst may cost what a second may,
and a look after that it is tightened. To loosen takes longer, and longer still where that has
proved to be too soon. What `planning` costs is no part of this, nor what drains cost however few
events there are: to sample would not help, and events have half of the room whatever else takes
more. Costs and the time are arguments.
"""

from __future__ import annotations

from math import ceil

from mql.wire.messages import MAX_WEIGHT
from publish_agent.drain.cost.drain_costs import DrainCosts, Work
from publish_agent.drain.cost.planning_budget import Planning
from publish_agent.drain.cost.schedule import BUSY_US
from publish_agent.settings import Settings

LOOK_US = 100_000
"""So long costs are added up before they are judged."""
PAUSES_US = (BUSY_US, 30_000, 50_000, 100_000, 200_000, 400_000)
"""The least pauses between drains: as it is well, and where an agent is over its budget."""

_AIM = 0.75
"""The share of the budget that is aimed at where it is tightened."""
_FULL = 0.9
"""The share that may be expected to be spent where it is loosened."""
_LEAST_AIM = 0.2
"""So much of it is left to events, whatever else costs: then sampling would not help."""
_SEEN_US = 1_000_000
"""So much time is seen together, so that a burst may take what a second may."""
_DOUBT = 4.0
"""By so much a longer pause may help more than is expected; else it samples a look later."""
_ENOUGH = 1.1
"""A pause is long enough if a longer one would have so much less left out."""
_HURRY_BELOW = 0.8
"""If no more than this share is expected to be spent then, pauses become shorter again."""
_WORTH = 0.8
"""A change of the weight by less than this is none."""
_CALM, _MOST_CALM = 10, 300
"""Looks without tightening before it is loosened: at first, and where that was too soon before."""
_SOON = 20
"""Looks after loosening within which having to tighten means that it was too soon."""
_DRAINS, _LOOKS = 2, 5
"""After so many drains, or looks, what was done last has taken effect."""
_LONGEST_US = 2_000_000
"""After a longer time than this the agent has slept, or the clock was set."""


class Share:
    """What was spent of one limit, as a share of it.

    `events` is what of it was spent where events are kept and drained, and `each` what follows
    their number, without what drains cost however few there are.
    """

    __slots__ = ("_now", "all", "each", "events")

    def __init__(self) -> None:
        self._now = 0.0, 0.0, 0.0
        self.all = self.events = self.each = 0.0

    def add(self, part: float, all_: float, events: float, each: float) -> None:
        """Take what the last look found, which is such a part of what is seen together."""
        events = min(events, all_)
        each = min(each, events)
        self._now = all_, events, each
        self.all += (all_ - self.all) * part
        self.events += (events - self.events) * part
        self.each += (each - self.each) * part

    def forget(self) -> None:
        """What comes now is not as it was."""
        self.all, self.events, self.each = (
            min(share, _AIM) for share in (self.all, self.events, self.each)
        )

    def expect(self, factor: float) -> None:
        """From now on so many times as many events are kept."""
        more = self.each * (factor - 1)
        self.all, self.events, self.each = self.all + more, self.events + more, self.each + more

    def expected(self, factor: float) -> float:
        """What will be spent with so many times as many drains of as many events."""
        return self.all + (self.events - self.each) * (factor - 1)

    def is_over(self, factor: float) -> bool:
        """Whether events and drains are too much, with so many times as many drains."""
        _, each, fixed = self._latest()
        return self.all > 1 and each + fixed * factor > self._room()

    def excess(self, factor: float = 1.0) -> float:
        """By which factor what events cost has to shrink; 1 if it need not, or is within its limit.

        That is with so many times as many drains.
        """
        if self.all <= 1:
            return 1.0
        _, each, fixed = self._latest()
        room = self._room()
        return max(each / max(room - fixed * factor, room / 2), 1.0)

    def _latest(self) -> tuple[float, float, float]:
        """All, what follows the number of events, and what drains cost without any."""
        all_, events, each = max((self.all, self.events, self.each), self._now)
        return all_, each, events - each

    def _room(self) -> float:
        """What events and drains may take, beside all else."""
        all_, each, fixed = self._latest()
        return max(_AIM - (all_ - each - fixed), _LEAST_AIM)

    @property
    def spare(self) -> float:
        """To which part of itself the weight may shrink."""
        left = max(_FULL - self.all + self.each, self._room() / 2)
        return self.each / left if left > self.each else 1.0


class Budget:
    """Turns what the agent costs into how often it drains, and which share of events it keeps."""

    def __init__(self, settings: Settings) -> None:
        self.planning = Planning(settings.cpu_share)
        self._limit_cpu = settings.cpu_share
        self._limit_bytes = settings.bytes_per_s
        self.buffer_bytes = min(settings.buffer_bytes, settings.memory // 4)
        """What the intakes may hold as text. As columns and as payloads it is as much again."""
        self.state_bytes = settings.memory // 4
        """What states may hold before they are sent."""
        self.weight = 1
        """Each event that is kept stands for so many."""
        self._pause = 0
        self._pause_us = float(BUSY_US)
        """How long pauses were lately, which may be longer than they have to be."""
        self.cpu_share = 0.0
        """What the agent took lately, in cores."""
        self._cpu, self._bytes, self._held = Share(), Share(), Share()
        self._costs = DrainCosts()
        self._fixed = 0.0
        """The share of the limit that drains took lately which they would take without events."""
        self._allowed_bytes = settings.bytes_per_s
        self._since_us = self._refilled_us = 0
        self._cpu_before_ns = 0
        self._inline_ns = self._keep_ns = self._drained_ns = 0
        self._events = 0
        self._work: list[Work] = []
        self._sent_bytes = self._most_held = 0
        self._calm, self._calm_needed, self._looks_since_loose = 0, _CALM, _SOON
        self._looks_since_tight, self._drains_since_tight = _LOOKS, _DRAINS

    @property
    def pause_us(self) -> int:
        """The least pause between drains."""
        return PAUSES_US[self._pause]

    @property
    def queries_excess(self) -> float:
        """How many times as much queries take as they may, whatever is left out; 0 if not known.

        Drains are as seldom as they may be then, and events have half of the room.
        """
        if self._pause < len(PAUSES_US) - 1:
            return 0.0
        return self._fixed / max(_AIM - self._cpu.each, _AIM / 2)

    def spend(self, keep_ns: int, drop_ns: int) -> None:
        """Note what callers' threads spent on events that are kept, and on others."""
        self._inline_ns += keep_ns + drop_ns
        self._keep_ns += keep_ns

    def drained(self, cpu_ns: int, events: int, work: Work) -> None:
        """Note what the agent's own thread took for a drain of so many events."""
        self._drained_ns += cpu_ns
        self._events += events
        self._work.append(work)

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
        self.planning.pay(now_us)
        span_us = now_us - self._since_us
        if 0 <= span_us < LOOK_US:
            return
        planned_ns = self.planning.take_spent_ns()
        if 0 < span_us <= _LONGEST_US:
            self._measure(span_us, cpu_ns - self._cpu_before_ns + self._inline_ns, planned_ns)
            self._judge()
        self._since_us, self._cpu_before_ns = now_us, cpu_ns
        self._inline_ns = self._keep_ns = self._drained_ns = 0
        self._events = 0
        self._work = []
        self._sent_bytes = self._most_held = 0

    def _refill(self, now_us: int) -> None:
        passed_us = min(max(now_us - self._refilled_us, 0), 1_000_000)
        self._refilled_us = now_us
        more = passed_us * self._limit_bytes // 1_000_000
        self._allowed_bytes = min(self._allowed_bytes + more, self._limit_bytes)

    def _measure(self, span_us: int, spent_ns: int, planned_ns: int) -> None:
        cores, part = 1 / (span_us * 1000), min(span_us / _SEEN_US, 1.0)
        self.cpu_share += (spent_ns * cores - self.cpu_share) * part
        fixed_ns = self._costs.fixed_ns(self._work, self._events, self._drained_ns, self._keep_ns)
        self._fixed += (fixed_ns * cores / self._limit_cpu - self._fixed) * part
        events_ns = self._keep_ns + self._drained_ns
        spent = max(spent_ns - planned_ns, 0), events_ns, events_ns - fixed_ns
        self._cpu.add(part, *(ns * cores / self._limit_cpu for ns in spent))
        if self._work:
            self._pause_us += (span_us / len(self._work) - self._pause_us) * part
        sent = self._sent_bytes * 1e6 / (span_us * self._limit_bytes)
        self._bytes.add(part, sent, sent, sent)
        held = self._most_held / self.buffer_bytes
        self._held.add(part, held, held, held)

    def _judge(self) -> None:
        shares = self._cpu, self._bytes, self._held
        self._looks_since_loose += 1
        self._looks_since_tight += 1
        self._drains_since_tight += len(self._work)
        self._calm += 1
        if self._can_tighten():
            if self._takes_effect():
                self._tighten()
                for share in shares:
                    share.forget()
        elif self._calm >= self._calm_needed:
            self._loosen(max(share.spare for share in shares))

    def _can_tighten(self) -> bool:
        """Whether too much is spent, and to drain less often, or to keep less, would help."""
        if self._bytes.all > 1 or self._held.all > 1:
            return True
        return self._cpu.all > 1 and (self._pause < len(PAUSES_US) - 1 or self._cpu.excess() > 1)

    def _takes_effect(self) -> bool:
        """Whether drains have been of events that were kept since it was tightened last."""
        return self._drains_since_tight >= _DRAINS or self._looks_since_tight >= _LOOKS

    def _drains_at(self, pause: int) -> float:
        """So many times as many drains there are with other pauses, at most."""
        before_us = max(self._pause_us, PAUSES_US[self._pause])
        if pause < self._pause:
            return before_us / PAUSES_US[pause]
        return before_us / max(before_us, PAUSES_US[pause])

    def _suffices(self, pause: int, enough: float) -> bool:
        """Whether a pause brings all within the limit, or about as near as any does."""
        drains = self._drains_at(pause)
        if self._cpu.is_over(drains):
            return pause == len(PAUSES_US) - 1 or 1 < self._cpu.excess(drains) <= enough
        return True

    def _tighten(self) -> None:
        too_soon = self._looks_since_loose < _SOON
        self._calm_needed = min(self._calm_needed * 2, _MOST_CALM) if too_soon else _CALM
        self._calm = self._looks_since_tight = self._drains_since_tight = 0
        longer = range(self._pause, len(PAUSES_US))
        enough = _ENOUGH * self._cpu.excess(self._drains_at(longer[-1]))
        pause = next(p for p in longer if self._suffices(p, enough))
        factor = self._cpu.excess(self._drains_at(pause))
        if pause > self._pause:
            factor /= _DOUBT
        factor = max(factor, self._bytes.excess(), self._held.excess())
        self._pause = pause
        if factor * _WORTH > 1:
            self.weight = min(ceil(self.weight * factor), MAX_WEIGHT)

    def _loosen(self, factor: float) -> None:
        before, pause = self.weight, self._pause
        if before > 1:
            if factor < _WORTH or before * factor <= 1:
                self.weight = max(ceil(before * factor), before // 2)
        elif pause and self._cpu.expected(self._drains_at(pause - 1)) < _HURRY_BELOW:
            self._pause -= 1
        if (self.weight, self._pause) != (before, pause):
            self._calm = self._looks_since_loose = 0
            for share in (self._cpu, self._bytes, self._held):
                share.expect(before / self.weight)
