"""A helper does one thing at a time beside its owner, also where there is no thread to be had."""

from __future__ import annotations

import threading
import time

import pytest

from source_jobs.helper import Helper
from source_jobs.job import SourceJob
from tests.hostile.peers import ANY_PORT
from tests.live.support import until


def test_work_is_done_beside_and_its_outcome_taken_once() -> None:
    helper: Helper[int] = Helper("helper")
    goes_on, threads = threading.Event(), []

    def work() -> int:
        threads.append(threading.current_thread())
        goes_on.wait(10)
        return 3

    helper.begin(work)
    assert helper.is_busy
    assert helper.take() is None
    goes_on.set()
    until(lambda: bool(helper._outcomes))
    outcome = helper.take()
    assert outcome is not None
    assert (outcome.get(), helper.is_busy, helper.take()) == (3, False, None)
    assert threads[0] is not threading.current_thread()
    helper.close()
    assert not threads[0].is_alive()
    helper.close()


def test_what_work_raises_is_raised_by_its_outcome() -> None:
    helper: Helper[int] = Helper("helper")
    helper.begin(lambda: 1 // 0)
    until(lambda: bool(helper._outcomes))
    outcome = helper.take()
    assert outcome is not None
    with pytest.raises(ZeroDivisionError):
        outcome.get()
    helper.close()


def test_where_no_thread_can_be_had_work_is_done_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    helper: Helper[int] = Helper("helper")
    helper.begin(lambda: 4)
    assert helper.is_busy
    outcome = helper.take()
    assert outcome is not None
    assert (outcome.get(), helper.is_busy) == (4, False)
    helper.close()


def test_a_source_job_that_stops_ends_its_helpers() -> None:
    with SourceJob(ANY_PORT, ANY_PORT) as job:
        job._worker.begin(lambda: (time.sleep(0.2), 0))
        helpers = [t for t in threading.enumerate() if t.name == "source job worker"]
        assert helpers
    assert not any(thread.is_alive() for thread in helpers)
