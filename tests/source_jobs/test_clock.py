"""The source job's clock, while the wall clock does what it likes."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from source_jobs.clock import PACE, Clock

HOUR_US = 3_600_000_000


class Hands:
    """A wall clock that can be set, and time that goes on."""

    def __init__(self) -> None:
        self.steady_us, self.ahead_us = 5_000_000, 1_700_000_000_000_000
        self.clock = Clock(
            lambda: (self.steady_us + self.ahead_us) * 1000, lambda: self.steady_us * 1000
        )

    def pass_us(self, passed_us: int) -> int:
        """Let time pass; by how much the clock went on."""
        before = self.clock.now_us()
        self.steady_us += passed_us
        return self.clock.now_us() - before

    @property
    def away_us(self) -> int:
        return self.steady_us + self.ahead_us - self.clock.now_us()


def test_it_is_the_wall_clock_as_long_as_nobody_sets_that() -> None:
    hands = Hands()
    assert [hands.pass_us(n) for n in (1, 1_000, 7_000_000)] == [1, 1_000, 7_000_000]
    assert hands.away_us == 0


@given(
    st.integers(-HOUR_US, HOUR_US),
    st.lists(st.integers(1, 2_000_000), min_size=1, max_size=30),
)
def test_it_never_goes_back_nor_jumps(set_by_us: int, pauses: list[int]) -> None:
    hands = Hands()
    hands.ahead_us += set_by_us
    hands.clock.now_us()
    for pause in pauses:
        assert abs(hands.pass_us(pause) - pause) <= pause / PACE + 1_000_000 / PACE + 1
    assert abs(hands.away_us) <= abs(set_by_us)


@pytest.mark.parametrize("step_us", [150, 100_000])
@pytest.mark.parametrize("set_by_us", [-2_000_000, 2_000_000])
def test_it_follows_a_wall_clock_that_was_set(set_by_us: int, step_us: int) -> None:
    hands = Hands()
    hands.ahead_us += set_by_us
    for _ in range(10_000_000 // step_us):  # ten seconds, however often it is read
        hands.pass_us(step_us)
    followed_us = abs(set_by_us) - abs(hands.away_us)
    assert followed_us == pytest.approx(10_000_000 / PACE, rel=0.02)


def test_it_tells_once_that_the_wall_clock_was_set(caplog: pytest.LogCaptureFixture) -> None:
    hands = Hands()
    hands.ahead_us -= HOUR_US
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            hands.pass_us(1_000)
    (record,) = caplog.records
    assert "the wall clock was set by -3600.0 s" in record.getMessage()
