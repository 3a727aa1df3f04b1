"""When an agent wakes next: as seldom as it can, as often as events come."""

from __future__ import annotations

BUSY_US, IDLE_US = 20_000, 50_000
"""Between drains while many events come, and while few or none do."""
_MANY = 1_000
"""Events a second that are many: to send one takes nearly as long as to send twenty."""
PATIENT_US = 100_000
"""Between drains while nobody waits for a row, only for slots to end."""
_LEAST_US = 5_000
"""Between drains whatever happens: where slots end, and buffers fill."""
_MUCH = 0.25
"""No more of a buffer is to be filled between two drains; should four times as many events come,
there still is room for them."""
_SET_BACK_US = 1_000_000
"""A clock that goes back by more has been set."""


class Due:
    """When to drain next, and how late the agent wakes. Times in µs."""

    def __init__(self) -> None:
        self.drain_us = 0
        self.planned_us = 0
        self._drained_us = 0
        self._now_us = 0
        self._lag_us = 0

    def was_set_back(self, now_us: int) -> bool:
        """It is now; whether the clock has been set back since."""
        before, self._now_us = self._now_us, now_us
        if now_us < before - _SET_BACK_US:
            self.drain_us = now_us
            return True
        if self.planned_us:
            self._lag_us = max(self._lag_us, now_us - self.planned_us)
        return False

    def slept_us(self, now_us: int) -> int:
        """How much later than planned it is now."""
        return max(now_us - self.planned_us, 0) if self.planned_us else 0

    def drained(
        self,
        now_us: int,
        slot_end_us: int,
        *,
        kept: int,
        filled: float,
        patient: bool,
        least_us: int,
    ) -> None:
        """The intakes have been drained: there were `kept` events, which `filled` some of a buffer.

        `patient` if nobody waits for a row. The next slot ends at `slot_end_us`. The pause is at
        least `least_us`, but for a buffer that would fill up, and for that end, which waits only
        for a pause that is longer than those of the patient.
        """
        since_us, self._drained_us = max(now_us - self._drained_us, _LEAST_US), now_us
        are_many = kept * 1_000_000 >= since_us * _MANY
        pause_us = PATIENT_US if patient else BUSY_US if are_many else IDLE_US
        pause_us = max(pause_us, least_us)
        if least_us > PATIENT_US:
            slot_end_us = max(slot_end_us, now_us + least_us)
        if filled * pause_us > _MUCH * since_us:
            pause_us = int(_MUCH * since_us / filled)
        self.drain_us = max(now_us + _LEAST_US, min(now_us + pause_us, slot_end_us))

    def lag(self) -> int:
        """How late the agent woke, at worst, since this was asked last."""
        lag, self._lag_us = self._lag_us, 0
        return lag
