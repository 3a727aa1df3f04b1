"""The simulator finds planted defects, and shrinks what it found.

In a file of its own: files are what workers share among them, and this takes as long as all seeds.
"""

from __future__ import annotations

import pytest

from tests.simulator.defects import DEFECTS
from tests.simulator.search import first_found
from tests.simulator.shrink import only, replay, shrink
from tests.simulator.workload import scenario
from tests.simulator.world import run

FOUND_WITHIN = 500
FOUND_BY = {
    "events that find the buffer full are not counted": 239,
    "looking at a counter is counted now and then": 3,
    "a large drain loses its first event": 15,
    "of several slots the first is not told": 11,
    "credit for what could not be sent does not come back": 14,
    "a watermark does not wait for calls that are under way": 170,
    "calls that are waited for no longer are not told": 180,
    "gaps in the sequence are not counted": 4,
    "a gap is held against no window": 23,
    "a window closes when the first agent has come to its end": 12,
    "missing agents are not named": 3,
    "an agent that joins in a window is not missing": 3,
    "a query is said to have run in all of its first window": 4,
    "who is silent for three seconds is expected no more": 150,
    "rows of an agent that returns count twice": 9,
    "who is gone is not named": 110,
    "an answer is exact with nobody expected": 15,
    "rows that come late are not counted": 102,
    "the newest rows come first": 6,
    "what is counted after its window has closed is lost": 13,
    "rows given up are not told": 83,
    "each of a group gets all rows": 37,
    "silent clients are never gone": 36,
    "rows that a client gave up are not told": 197,
}
"""Seeds that find a defect soon, looked at first; if one does not any more, all are."""

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("number", range(len(DEFECTS)), ids=lambda n: DEFECTS[n].what)
def test_each_defect_is_found(number: int) -> None:
    first = FOUND_BY.get(DEFECTS[number].what, 0)
    assert first < FOUND_WITHIN
    assert first_found([first, *range(FOUND_WITHIN)], number) is not None


def test_each_known_seed_is_of_a_defect() -> None:
    assert set(FOUND_BY) <= {defect.what for defect in DEFECTS}


def test_a_failure_is_shrunk_to_a_short_replay() -> None:
    number = next(n for n, defect in enumerate(DEFECTS) if "first agent" in defect.what)
    found = first_found([FOUND_BY[DEFECTS[number].what], *range(FOUND_WITHIN)], number)
    assert found
    with DEFECTS[number].on():
        whole = scenario(found.seed)
        small, failure = shrink(whole, found.kind)
        assert failure.kind == found.kind
        assert len(small.actions) < len(whole.actions) / 3
        numbers = {action.number for action in small.actions}
        _, again = run(only(whole, numbers))
    assert str(again) == str(failure)
    assert f"--seed {found.seed} --only" in replay(small, failure)
