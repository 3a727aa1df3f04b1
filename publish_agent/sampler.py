"""Keeps one event of so many, at random and each by itself, for any number of threads at once.

What is kept has been thrown beforehand, so that a caller pays for one `next`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from math import ceil, sqrt

import numpy as np

LEAST, MOST = 4_096, 65_536
"""Events for which the dice are thrown beforehand. Beyond, the throws are used once more."""


class Sampler:
    """`next(throws)` says, as 0 or 1, whether an event is kept, with the chance 1 / weight."""

    __slots__ = ("size", "throws", "weight")

    def __init__(self, weight: int, random: np.random.Generator, size: int) -> None:
        self.weight = weight
        self.size = min(max(size, LEAST), MOST)
        expected = self.size / weight
        gaps = random.geometric(1 / weight, ceil(expected + 8 * sqrt(expected) + 16))
        kept = np.cumsum(gaps) - 1
        throws = np.zeros(self.size, np.uint8)
        throws[kept[kept < self.size]] = 1
        self.throws: Iterator[int] = chain.from_iterable(repeat(throws.tobytes()))
