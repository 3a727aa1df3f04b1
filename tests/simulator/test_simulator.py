"""The live system holds under faults, in the same way each time."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulator.search import search
from tests.simulator.workload import scenario
from tests.simulator.world import run

SEEDS = int(os.environ.get("MQL_SEEDS", "300"))
"""As many as find each planted defect (`test_defects.py`); `make simulate` has more."""

pytestmark = pytest.mark.timeout(1800)


def test_all_that_is_promised_holds_under_every_seed() -> None:
    failures = [found for some in search(range(SEEDS)) for found in some]
    assert not failures, "\n".join(f"seed {found.seed}: {found.text}" for found in failures)


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
