"""Throws are uniform, follow from the seed, and close seeds have nothing in common."""

from __future__ import annotations

import numpy as np
import pytest

from mql.columnar.dice import Dice

NUMBER = 200_000


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**64 - 1, 2**70 + 3, -1])
def test_throws_are_uniform_and_none_tells_of_the_next(seed: int) -> None:
    thrown = Dice(seed).random(NUMBER)
    assert thrown.min() >= 0
    assert thrown.max() < 1
    shares = np.histogram(thrown, bins=100, range=(0, 1))[0] / NUMBER
    assert np.abs(shares - 0.01).max() < 6 * np.sqrt(0.01 / NUMBER)
    assert abs(np.corrcoef(thrown[:-1], thrown[1:])[0, 1]) < 6 / np.sqrt(NUMBER)


def test_equal_seeds_throw_alike_however_many_at_once_and_others_do_not() -> None:
    dice = Dice(7)
    parts = [dice.random(size) for size in (1, 0, 998, 1)]
    assert np.array_equal(np.concatenate(parts), Dice(7).random(1_000))
    alike = [
        abs(np.corrcoef(Dice(7).random(NUMBER), Dice(8 + n).random(NUMBER))[0, 1]) for n in range(5)
    ]
    assert max(alike) < 6 / np.sqrt(NUMBER)


@pytest.mark.parametrize("weight", [2, 10, 1_000])
def test_gaps_are_those_of_independent_throws(weight: int) -> None:
    gaps = Dice(weight).gaps(1 / weight, NUMBER)
    assert gaps.min() == 1
    error = 6 * weight / np.sqrt(NUMBER)
    assert abs(gaps.mean() - weight) < error
    assert abs((gaps == 1).mean() - 1 / weight) < 6 * np.sqrt(1 / weight / NUMBER)
