"""Uniform numbers from a seed, many at once.

`numpy.random` would do, and weighs three megabytes in each service. These are SplitMix64's (Steele,
Lea, Flood 2014): a hash of a count.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mql.columnar.layout import Doubles, Ints

_Words = npt.NDArray[np.uint64]

_GAMMA = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
_DOUBLE_BITS = 53


class Dice:
    """Throws that follow from a seed; any two seeds give throws that have nothing in common."""

    def __init__(self, seed: int) -> None:
        first = np.array([(seed ^ (seed >> 64)) & _MASK], np.uint64)
        self._state = int(_mixed(first)[0])

    def random(self, size: int) -> Doubles:
        """So many numbers of [0, 1)."""
        steps = np.arange(1, size + 1, dtype=np.uint64) * np.uint64(_GAMMA)
        numbers = _mixed(steps + np.uint64(self._state))
        self._state = (self._state + size * _GAMMA) & _MASK
        return (numbers >> np.uint64(64 - _DOUBLE_BITS)).astype(np.float64) * 2.0**-_DOUBLE_BITS

    def gaps(self, chance: float, size: int) -> Ints:
        """So many times: how often is thrown until what has a chance (below 1) has come."""
        tries = np.log1p(-self.random(size)) / np.log1p(-chance)
        return np.floor(tries).astype(np.int64) + 1


def _mixed(numbers: _Words) -> _Words:
    """Each number hashed, so that close ones have nothing in common."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
