"""No window says *exact* and lacks an event: of a busy service, or of one slow to publish."""

from __future__ import annotations

import pytest

from tests.faults.busy import Case, measure, problems_of

pytestmark = pytest.mark.timeout(120)


def test_windows_of_a_service_that_leaves_the_agent_no_time_are_right_if_they_say_exact() -> None:
    outcome = measure(Case(busy=4, rate=1_000), 4.5)
    assert not problems_of(outcome)
    assert len(outcome.windows) >= 3
    assert outcome.published > 1_000, "something was measured"
    assert outcome.edge_share < 0.2, "most events are surely of one window"


def test_windows_wait_for_events_that_take_long_to_publish() -> None:
    outcome = measure(Case(rate=50, slow_ms=120), 3.5)
    assert not problems_of(outcome)
    known = [window.known for window in outcome.windows]
    assert len(known) >= 2
    if outcome.longest_ms < 240:  # a machine that is very busy may let it take longer
        assert [(each.late, each.tally.under_way) for each in known] == [(0, 0)] * len(known)
        assert outcome.exact == len(known)


def test_windows_that_wait_no_longer_say_so() -> None:
    outcome = measure(Case(rate=50, slow_ms=600), 3.5)
    assert not problems_of(outcome)
    known = [window.known for window in outcome.windows]
    assert any(each.tally.under_way for each in known)
    assert any(each.late for each in known), "what was under way came at last"
