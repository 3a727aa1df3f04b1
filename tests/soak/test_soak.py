"""The harness of the soak: what it would find, and that it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.processes import source_job
from source_jobs.client import connect
from tests.soak.__main__ import soak
from tests.soak.sampling import Sample, look, memory_slope


def samples(grows_kib_a_minute: float) -> list[Sample]:
    """Two minutes of a process that goes up and down, and now and then far up."""
    return [
        Sample(s, 40_000 + grows_kib_a_minute * s / 60 + s % 7 * 50 + (s % 29 == 0) * 9_000, 15, 7)
        for s in range(120)
    ]


def test_a_process_that_grows_is_found_among_noise() -> None:
    assert memory_slope(samples(300)) == pytest.approx(300, abs=15)
    assert memory_slope(samples(0)) == pytest.approx(0, abs=15)


@pytest.mark.timeout(120)
def test_a_few_seconds_of_soak_leave_nothing_behind(tmp_path: Path) -> None:
    soaked = soak(tmp_path, 5 / 60, services=3, rate=40, seed=1, tell=lambda _: None)
    assert soaked.problems(most_kib_a_minute=float("inf")) == []
    assert soaked.ledger.published > 300
    assert soaked.churn.done.total() >= 2
    assert soaked.churn.is_at_rest


def test_a_source_job_that_was_asked_often_is_no_larger() -> None:
    def ask(times: int) -> float:
        for _ in range(times):
            client.subscribe("select count(*) from requests window 1", timeout_s=10).close()
        assert job.process is not None
        return look(job.process.pid, 0).memory_kib

    with source_job() as job, connect(job.clients, timeout_s=30) as client:
        before = ask(150)
        assert ask(300) < before + 1_000, "ten KiB each would be three thousand"
