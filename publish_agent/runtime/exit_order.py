"""What an agent's thread uses is there until it has ended, also in C's `exit`.

That tears down first what was made last, and Arrow makes much of its own at its first use: by the
drains that follow on a new query.
"""

from __future__ import annotations

from mql.host.last_signal import come_first_at_exit

_STEPS, _BATCHES = (2, 64), (1, 8)
"""So many steps after a query was accepted, and batches, drains have made what they use."""


class ExitOrder:
    """Has `exit` wait for the thread before it tears down what the last queries have made."""

    def __init__(self) -> None:
        self._accepted = 0
        self._steps = 0
        self._batches = 0

    def note(self, accepted: int, batches: int) -> None:
        """A step is over, with so many batches; so many queries have been accepted so far."""
        if accepted != self._accepted:
            self._accepted, self._steps, self._batches = accepted, 0, 0
        if accepted and self._steps < _STEPS[-1]:
            self._steps += 1
            if self._steps in _STEPS:
                come_first_at_exit()
        if batches and self._batches < _BATCHES[-1]:
            before, self._batches = self._batches, self._batches + batches
            if any(before < number <= self._batches for number in _BATCHES):
                come_first_at_exit()
