"""A look at an event of a stream: over with the first event, whatever the agent's thread does."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable
from time import monotonic
from types import FrameType

import pytest

from mql.wire.messages import Catalogue, Look, StreamSeen
from publish_agent.capture import event_buffer as intake
from publish_agent.capture import profile_tap as peek_module
from publish_agent.capture.event_buffer import Status
from publish_agent.capture.profile_tap import Peek
from publish_agent.drain.profiles.profile_taps import _PATIENT_LOOKS
from publish_agent.protocol.profile_schedule import PEEK_SPAN_US, PEEK_US
from publish_agent.screen.taker import Taker
from publish_agent.stream import Stream
from tests.publish_agent.support import ALL, Bench

pytestmark = pytest.mark.usefixtures("both_ways")

BURST = 500


def looks_of(publish: Callable[[], object]) -> int:
    """How many events went through a look, of those that are published by this."""
    looks = 0

    def note(frame: FrameType, event: str, _: object) -> None:
        nonlocal looks
        code = frame.f_code
        is_look = code.co_filename == peek_module.__file__ and code.co_qualname == "Peek.tap"
        looks += event == "call" and is_look

    sys.setprofile(note)
    try:
        publish()
    finally:
        sys.setprofile(None)
    return looks


def burst(bench: Bench, event: object = None) -> None:
    bench.publish(*[{"a": 1} if event is None else event] * BURST)


def seen(bench: Bench) -> StreamSeen:
    bench.give(Look())
    catalogue = bench.job.of(Catalogue)[-1]
    assert isinstance(catalogue, Catalogue)
    return catalogue.streams[0]


def sleep(bench: Bench, for_us: int) -> None:
    """Let time pass, with the agent awake whenever it wants to be."""
    until_us = bench.now_us + for_us
    while bench.now_us < until_us:
        wake_us = min(bench.state.next_wake_us(), until_us)
        bench.tick(max(wake_us - bench.now_us, 0))


@pytest.mark.parametrize("queries", [[], [f"{ALL} where a == 2"]], ids=["idle", "with a query"])
def test_a_burst_pays_for_one_event(queries: list[str]) -> None:
    bench = Bench()
    for number, query in enumerate(queries):
        bench.subscribe(number, query)
    for _ in range(3):
        sleep(bench, PEEK_US - 300_000)
        assert looks_of(lambda: burst(bench)) <= 1
        assert looks_of(lambda: burst(bench)) == 0
        sleep(bench, 300_000)
    assert [field.path for field in seen(bench).fields] == ["a"]


@pytest.mark.parametrize("queries", [[], [f"{ALL} where a == 2"]], ids=["idle", "with a query"])
def test_the_rate_counts_all_of_a_burst(queries: list[str]) -> None:
    bench = Bench()
    for number, query in enumerate(queries):
        bench.subscribe(number, query)
    for _ in range(30):
        burst(bench)
        sleep(bench, 500_000)
    assert 950 < seen(bench).rate < 1_050


def test_the_rate_of_a_slow_stream_is_no_multiple_of_the_looks() -> None:
    bench = Bench()
    for _ in range(30):
        bench.publish({"a": 1})
        sleep(bench, 2_000_000)
    assert 0.4 < seen(bench).rate < 0.6


def test_what_came_while_no_source_job_was_there_is_not_the_present_rate() -> None:
    bench = Bench()
    sleep(bench, 1_000_000)
    bench.state.disconnect(bench.job.link, bench.now_us)
    for _ in range(100):
        burst(bench)
        bench.now_us += 1_000_000
    bench.job = bench.connect()
    sleep(bench, 2_000_000)
    assert seen(bench).rate == 0


def looked_often(bench: Bench) -> None:
    for _ in range(_PATIENT_LOOKS + 2):
        bench.publish({"a": 1})
        sleep(bench, PEEK_US)


def test_the_first_looks_wait_for_their_event_and_later_ones_do_not() -> None:
    bench = Bench()
    sleep(bench, 10 * PEEK_US)
    assert looks_of(lambda: burst(bench)) == 1
    looked_often(bench)
    sleep(bench, 10 * PEEK_US + PEEK_SPAN_US + 5_000)
    assert bench.streams["s"].peek is None
    assert looks_of(lambda: burst(bench)) == 0


def test_a_late_agent_does_not_make_a_look_longer() -> None:
    bench = Bench()
    looked_often(bench)
    while bench.streams["s"].peek is None:
        bench.tick(1_000)
    bench.now_us += PEEK_SPAN_US + 1
    burst(bench, {"late": 1})
    sleep(bench, 3 * PEEK_US)
    assert "late" not in {field.path for field in seen(bench).fields}
    while bench.streams["s"].peek is None:
        bench.tick(1_000)
    bench.now_us += PEEK_SPAN_US - 1
    burst(bench, {"in time": 1})
    sleep(bench, PEEK_US)
    assert "e['in time']" in {field.path for field in seen(bench).fields}


def test_an_event_that_publishes_while_it_is_looked_at_is_looked_at_alone() -> None:
    bench = Bench()

    class Publishing:
        def __str__(self) -> str:
            bench.publish({"b": 1})
            return "x"

    assert looks_of(lambda: bench.publish({"a": Publishing()})) == 0
    bench.tick()
    assert looks_of(lambda: bench.publish({"a": Publishing()})) == 1
    assert bench.statuses == {Status.SKIPPED: bench.statuses.total()}


class Accepting:
    """Takes all events."""

    def __init__(self) -> None:
        self.accepted = intake.Counter(Status.ACCEPTED)

    def accept(self, _: object, /) -> Status:
        return self.accepted.add()


def test_threads_count_each_event_while_looks_begin_and_end_by_themselves() -> None:
    stream = Stream("s")
    counts: Counter[Status] = Counter()
    counted: list[Counter[Status]] = []
    until = monotonic() + 1.5
    interval = sys.getswitchinterval()

    def run() -> None:
        mine: Counter[Status] = Counter()
        publish = stream.publish
        while monotonic() < until:
            mine[publish({"a": 1})] += 1
        counted.append(mine)

    accepting = Accepting()
    threads = [threading.Thread(target=run) for _ in range(4)]
    looks = []
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        while monotonic() < until:
            for taker in (None, Taker(accepting.accept, lambda _: None)):
                stream.peek = Peek(stream.publish, stream.settle, lambda _: b"{}", lambda: 0, None)
                looks.append(stream.peek)
                stream.taker = taker
                stream.peek = stream.peek if len(looks) % 3 else None
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    for each in counted:
        counts += each
    assert len(counted) == len(threads), "nothing was raised"
    assert stream.skipped() == counts[Status.SKIPPED]
    assert accepting.accepted.total() == counts[Status.ACCEPTED]
    assert any(look.ended for look in looks)
    stream.taker = None
    before = stream.skipped()
    assert looks_of(lambda: [stream.publish({}) for _ in range(10)]) <= 1
    assert stream.skipped() == before + 10
