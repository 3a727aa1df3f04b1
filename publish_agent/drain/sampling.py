"""The sample of a generation: which share of its events the intake keeps between two drains."""

from __future__ import annotations

from mql.columnar.dice import Dice
from publish_agent.capture.event_buffer import Intake
from publish_agent.capture.large_values import LargeValues
from publish_agent.capture.sampler import Sampler
from publish_agent.drain.cost.budget import Budget


class Sampling:
    """Has an intake keep the share of its events that the budget allows.

    An event that is `large`, and added up by a query, is kept whatever the dice say.
    """

    def __init__(self, intake: Intake, large: LargeValues, budget: Budget, dice: Dice) -> None:
        self.large = large
        self._intake = intake
        self._budget = budget
        self._dice = dice
        self._weights = 1, 1
        """Of the sampler before the present one, and of this."""
        self._thrown = 0
        """Events that the present sampler has decided about."""

    @property
    def is_on(self) -> bool:
        """Whether not all events are kept."""
        return self._budget.weight > 1

    @property
    def weight(self) -> int:
        """For how many events one of the last drain stood, at the most."""
        return max(self._weights)

    def renew(self, decided: int) -> bool:
        """Sample as the budget allows, with fresh dice; whether `publish` has to do that otherwise.

        `decided` is the number of events that the sampler has decided about since the last time.
        """
        weight, sampler = self._budget.weight, self._intake.sampler
        before = self._weights[1]
        self._weights = before, weight
        self._thrown += decided
        moved = self.large.renew(weight, decided)
        if weight == 1:
            self._intake.sampler = None
        elif sampler is None or weight != before or self._thrown * 2 > sampler.size:
            made = Sampler(weight, self._dice, 4 * decided)
            made.large = self.large.present
            self._intake.sampler = made
            self._thrown = 0
        elif moved:
            sampler.large = self.large.present
        return moved or self._intake.sampler is not sampler
