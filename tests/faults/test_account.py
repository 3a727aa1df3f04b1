"""The arithmetic that judges all faults: it has to find what is lost untold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import msgspec
import pytest

from mql.ledger import Completeness, Tally
from publish_agent.capture.event_buffer import Status
from source_jobs.client import Gap, LiveWindow
from tests.faults.account import Account, account, life_of
from tests.faults.fleet import Service
from tests.faults.record import Record
from tests.faults.watch import Seen

START_MS = 1_000_000


@dataclass(frozen=True)
class Window:
    """As much of a window as the arithmetic reads."""

    numbers: tuple[int, ...]
    pid: int
    completeness: Completeness | None
    gap: Gap | None = None

    def rows(self) -> list[dict[str, int]]:
        if not self.numbers:
            return []
        first, last = min(self.numbers), max(self.numbers)
        return [{"n": len(self.numbers), "first": first, "last": last, "pid": self.pid}]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service that has published thirty events, one every 100 ms."""
    record = Record.create(tmp_path / "record", rate=10)
    for number in range(30):
        time_us = (START_MS + number * 100) * 1000
        record.begin(number, time_us)
        record.end(number, time_us, Status.ACCEPTED)
    with subprocess.Popen([sys.executable, "-c", ""], text=True) as popen:
        yield Service(popen, "s", record)


def window(service: Service, second: int, numbers: range | list[int], **known: object) -> Seen:
    """The window of a second, which holds these events."""
    told = Completeness(
        START_MS + second * 1000,
        START_MS + second * 1000 + 1000,
        expected=1,
        reported=1,
        tally=Tally(0, shipped=len(numbers)),
    )
    for name, value in known.items():
        told = replace_in(told, name, value)
    return Seen(0.0, cast("LiveWindow", Window(tuple(numbers), service.pid, told)))


def replace_in(known: Completeness, name: str, value: object) -> Completeness:
    return msgspec.structs.replace(known, **{name: value})


def judged(service: Service, *seen: Seen) -> Account:
    return account([life_of(service, 0, seen)], seen, agents=1)


def test_what_is_all_there_is_exact(service: Service) -> None:
    seen = [window(service, s, range(s * 10, s * 10 + 10)) for s in range(3)]
    told = judged(service, *seen)
    assert told.is_exact
    assert told.is_told


def test_events_that_are_gone_untold_are_found_wherever_they_were(service: Service) -> None:
    whole = [window(service, s, range(s * 10, s * 10 + 10)) for s in range(3)]
    for broken in (
        [whole[0], whole[2]],  # a window that never came
        [whole[0], window(service, 1, range(10, 19)), whole[2]],  # the last event of one
        [whole[0], window(service, 1, [10, 11, 13, 14, 15, 16, 17, 18, 19]), whole[2]],
        whole[:2],  # the end
    ):
        told = judged(service, *broken)
        assert not told.is_exact
        assert not told.is_told, broken


def test_what_is_reported_by_number_is_told(service: Service) -> None:
    lossy = window(service, 1, range(10, 19), tally=Tally(0, shipped=9, buffer=1))
    seen = [window(service, 0, range(10)), lossy, window(service, 2, range(20, 30))]
    told = judged(service, *seen)
    assert (told.absent, told.lost, told.taken) == (1, 1, 0)
    assert told.is_exact
    assert told.is_told


def test_reporting_more_than_was_lost_is_not_right_either(service: Service) -> None:
    seen = [window(service, s, range(s * 10, s * 10 + 10)) for s in range(3)]
    seen[1] = window(service, 1, range(10, 20), late=1)
    assert not judged(service, *seen).is_told


def test_what_a_new_process_published_unseen_is_a_number(service: Service) -> None:
    for unseen, is_right in ((4, True), (3, False), (5, False)):
        begins = window(service, 0, range(4, 10), unseen=unseen)
        seen = [begins, *(window(service, s, range(s * 10, s * 10 + 10)) for s in (1, 2))]
        told = account([life_of(service, None, seen)], seen, agents=1)
        assert (told.published, told.absent, told.lost) == (30, 4, unseen)
        assert told.is_told is is_right


@pytest.mark.parametrize(
    "naming", [{"missing": ("s@host",)}, {"partial": True}, {"expected": 0, "reported": 0}]
)
def test_what_lies_in_a_span_that_names_it_is_told(
    service: Service, naming: dict[str, object]
) -> None:
    named = window(service, 1, range(10, 15), **naming)
    told = judged(service, window(service, 0, range(10)), named, window(service, 2, range(20, 30)))
    assert told.is_told
    assert told.taken == 5
    other = window(service, 1, range(10, 15), missing=("another@host",))
    seen = [window(service, 0, range(10)), other, window(service, 2, range(20, 30))]
    assert not judged(service, *seen).is_told


def test_what_lies_in_a_gap_is_told(service: Service) -> None:
    first, last = window(service, 0, range(10)), window(service, 2, range(20, 30))
    gap = Gap(START_MS + 1000, START_MS + 2000)
    missed = Seen(0.0, cast("LiveWindow", Window((), service.pid, None, gap)))
    assert judged(service, first, missed, last).is_told
    short = replace(gap, to_ms=START_MS + 1500)
    missed = Seen(0.0, cast("LiveWindow", Window((), service.pid, None, short)))
    assert not judged(service, first, missed, last).is_told
