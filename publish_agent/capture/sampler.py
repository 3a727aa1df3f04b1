"""Keeps one event of so many, at random and each by itself, for any number of threads at once.

What is kept has been thrown beforehand, so that a caller pays for one `next`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from math import ceil, sqrt
from typing import TYPE_CHECKING

import numpy as np

from mql.columnar.dice import Dice

if TYPE_CHECKING:
    from publish_agent.capture.large_values import Large

LEAST, MOST = 4_096, 65_536
"""Events for which the dice are thrown beforehand. Beyond, the throws are used once more."""


class Sampler:
    """`next(throws)` says, as 0 or 1, whether an event is kept, with the chance 1 / weight.

    What is `large` is kept whatever they say.
    """

    __slots__ = ("large", "size", "throws", "weight", "weights")

    def __init__(self, weight: int, dice: Dice, size: int) -> None:
        self.weight = weight
        self.weights = weight, weight
        self.large: Large | None = None
        self.size = min(max(size, LEAST), MOST)
        expected = self.size / weight
        gaps = dice.gaps(1 / weight, ceil(expected + 8 * sqrt(expected) + 16))
        kept = np.cumsum(gaps) - 1
        throws = np.zeros(self.size, np.uint8)
        throws[kept[kept < self.size]] = 1
        self.throws: Iterator[int] = chain.from_iterable(repeat(throws.tobytes()))
