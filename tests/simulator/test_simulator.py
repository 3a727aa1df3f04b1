"""The live system holds under faults, and the simulator that says so can find bugs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulator.defects import DEFECTS
from tests.simulator.search import first_found, search
from tests.simulator.shrink import only, replay, shrink
from tests.simulator.workload import scenario
from tests.simulator.world import run

SEEDS = int(os.environ.get("MQL_SEEDS", "2000"))
FOUND_WITHIN = 500

pytestmark = [pytest.mark.timeout(1800), pytest.mark.alone]


def test_all_that_is_promised_holds_under_every_seed() -> None:
    failures = [found for some in search(range(SEEDS), jobs=2) for found in some]
    assert not failures, "\n".join(f"seed {found.seed}: {found.text}" for found in failures)


@pytest.mark.parametrize("number", range(len(DEFECTS)), ids=lambda n: DEFECTS[n].what)
def test_each_defect_is_found(number: int) -> None:
    assert first_found(range(FOUND_WITHIN), number) is not None


def test_a_seed_runs_in_the_same_way_each_time_and_in_every_process() -> None:
    seeds = range(12)
    here = [run(scenario(seed))[0].digest for seed in seeds]
    assert [run(scenario(seed))[0].digest for seed in seeds] == here
    assert len(set(here)) == len(here)
    code = (
        "from tests.simulator.workload import scenario\n"
        "from tests.simulator.world import run\n"
        f"print(*[run(scenario(seed))[0].digest for seed in {seeds!r}])"
    )
    environment = os.environ | {"PYTHONHASHSEED": "4711"}
    other = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert other.stdout.split() == here


def test_a_failure_is_shrunk_to_a_short_replay() -> None:
    number = next(n for n, defect in enumerate(DEFECTS) if "first agent" in defect.what)
    found = first_found(range(FOUND_WITHIN), number)
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
