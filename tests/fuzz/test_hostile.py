"""Hostile events end no process, and what once did is found. `make fuzz` goes on for longer."""

from __future__ import annotations

import pytest

from tests.fuzz.hostile import run

pytestmark = pytest.mark.timeout(180)


def test_hostile_events_end_no_process() -> None:
    ended = run(20, seed=7)
    assert ended.code == 0, ended
    assert ended.rounds > 1


@pytest.mark.parametrize("kind", ["dateutil", "property"])
def test_that_msgspec_walks_through_events_as_they_are_would_be_found(kind: str) -> None:
    ended = run(60, 1, "--planted", "--only", kind, "--rounds", "30")  # ten seconds, if not alone
    assert ended.crashed, ended
