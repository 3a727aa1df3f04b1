"""How often something may be done: some at once, and after that so many a second."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Rate:
    """A bucket that holds `at_once`, and is filled with `per_s` a second; times in µs."""

    at_once: int
    per_s: int
    _full_us: int = 0
    """When it will be full again, if nothing is taken."""

    @property
    def due_us(self) -> int:
        """When the next one may be taken."""
        return self._full_us - (self.at_once - 1) * self._pause_us

    def allows(self, now_us: int) -> bool:
        """Whether one may be taken now."""
        return now_us >= self.due_us

    def take(self, now_us: int, number: int = 1) -> None:
        """Take some; of more than there are the next one waits for all."""
        self._full_us = max(self._full_us, now_us) + number * self._pause_us

    @property
    def _pause_us(self) -> int:
        return 1_000_000 // self.per_s
