"""What an agent may spend on planning: on queries that begin, and on the screens of all of them.

It is a share of its own, half of the agent's, so that queries that come and go neither cost the
host more nor take anything from those that run. A burst of subscriptions is planned at once; time
pays for them, oldest first, and others wait until there is room among those that are not paid.
Costs and the time are arguments.
"""

from __future__ import annotations

from collections import deque

SHARE = 0.5
"""The part of the agent's share of a core that planning has beside it."""
AT_ONCE = 200
"""Subscriptions that are planned before any is paid for."""
PLANNED_NS_MAX = 500_000_000
"""Processor time that is spent on planning before any is paid for,"""
BUILT_NS_MAX = 750_000_000
"""and with that on screens: those who have been planned get theirs while others wait."""


class Planning:
    """The account of what planning has cost, and what time has paid of it."""

    def __init__(self, cpu_share: float) -> None:
        self._share = cpu_share * SHARE
        self._now_us = 0
        self._spent_ns = 0
        self._paid_ns = 0.0
        self._unpaid: deque[int] = deque()
        """For each subscription that is not paid for, how much will have been when it is."""
        self._taken_ns = 0
        self.is_crowded = False
        """Whether subscriptions wait."""

    def pay(self, now_us: int) -> None:
        """Let time pass."""
        passed_ns = max(now_us - self._now_us, 0) * 1_000
        self._now_us = now_us
        self._paid_ns = min(self._paid_ns + passed_ns * self._share, self._spent_ns)
        while self._unpaid and self._unpaid[0] <= self._paid_ns:
            self._unpaid.popleft()

    def plan(self, cpu_ns: int) -> None:
        """Note what a subscription took."""
        self.build(cpu_ns)
        if self._spent_ns > self._paid_ns:
            self._unpaid.append(self._spent_ns)

    def build(self, cpu_ns: int) -> None:
        """Note what the screens of a stream took."""
        self._spent_ns += cpu_ns

    def load(self, cpu_ns: int) -> None:
        """Note what an import took: it comes once, so no subscription waits for its payment."""
        self._spent_ns += cpu_ns
        self._paid_ns += cpu_ns

    @property
    def may_plan(self) -> bool:
        """Whether one more subscription may be planned now."""
        return self.plan_us() <= self._now_us

    @property
    def may_build(self) -> bool:
        """Whether a stream's screens may be made now."""
        return self.build_us() <= self._now_us

    def plan_us(self) -> int:
        """When the next subscription may be planned."""
        until_ns = self._spent_ns - PLANNED_NS_MAX
        if len(self._unpaid) >= AT_ONCE:
            until_ns = max(until_ns, self._unpaid[-AT_ONCE])
        return self._paid_by_us(until_ns)

    def build_us(self) -> int:
        """When the next screens may be made."""
        return self._paid_by_us(self._spent_ns - BUILT_NS_MAX)

    @property
    def spent_ns(self) -> int:
        """All that planning has ever cost."""
        return self._spent_ns

    def take_spent_ns(self) -> int:
        """What has been spent since this was asked last."""
        spent_ns, self._taken_ns = self._spent_ns - self._taken_ns, self._spent_ns
        return spent_ns

    def validate(self) -> None:
        """Check what always holds; for tests."""
        assert 0 <= self._paid_ns <= self._spent_ns
        assert len(self._unpaid) <= AT_ONCE

    def _paid_by_us(self, until_ns: int) -> int:
        left_ns = until_ns - self._paid_ns
        return self._now_us if left_ns <= 0 else self._now_us + int(left_ns / self._share / 1e3) + 1
