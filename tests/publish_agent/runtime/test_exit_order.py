"""C's `exit` waits before it tears down what the drains of a query have made."""

from __future__ import annotations

import pytest

from publish_agent.runtime import exit_order


def test_it_comes_first_again_with_the_first_drains_of_each_query(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times: list[int] = []
    monkeypatch.setattr(exit_order, "come_first_at_exit", lambda: times.append(step))
    order, step = exit_order.ExitOrder(), 0
    for step in range(1, 400):
        accepted = (step > 100) + (step > 200)
        order.note(accepted, batches=int(step in {111, 115, 150}))
    assert times == [102, 111, 164, 202, 264]
