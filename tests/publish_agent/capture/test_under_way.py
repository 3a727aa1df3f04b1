"""A watermark waits for the calls of `publish` that are under way, and no longer than 250 ms."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable

import pytest

from mql.ledger import Completeness, Exactness, Tally
from mql.values.json_coercion import INT64_MAX
from publish_agent.capture.event_buffer import Status
from publish_agent.capture.native.binding import EPOCHS
from publish_agent.capture.under_way import WAIT_MAX_NS, Look, Overdue, UnderWay
from publish_agent.drain import old_generations
from publish_agent.screen.taker import Taker
from publish_agent.stream import Stream
from tests.publish_agent.support import ALL, START_US, Bench

pytestmark = pytest.mark.usefixtures("both_ways")

BY_VALUE = "select count(*) as n, a from s window 1 group by a"
START_MS = START_US // 1000


class Slow:
    """A value whose text takes time: meanwhile something else happens, and once only."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self._meanwhile = meanwhile

    def __str__(self) -> str:
        meanwhile, self._meanwhile = self._meanwhile, lambda: None
        meanwhile()
        return "slow"


def slow(bench: Bench, span_ms: int, stream: str = "s") -> int:
    """Publish an event that takes so long, while the agent wakes when it wants to.

    Gives the watermark of just before it is there.
    """
    told_ms = 0

    def meanwhile() -> None:
        nonlocal told_ms
        wait(bench, span_ms)
        told_ms = bench.got().watermark_ms

    bench.publish({"a": Slow(meanwhile)}, stream=stream)
    return told_ms


def wait(bench: Bench, span_ms: int) -> None:
    """Let the agent wake when it wants to."""
    until_us = bench.now_us + span_ms * 1000
    while bench.now_us < until_us:
        wake_us = bench.state.next_wake_us()
        bench.tick(min(max(wake_us - bench.now_us, 1_000), until_us - bench.now_us))


def asked(text: str, *, states: bool = False) -> Bench:
    bench = Bench()
    bench.subscribe(1, text, states=states)
    wait(bench, 1_500)  # its look at an event comes first
    bench.publish({"a": 0})
    wait(bench, 3_000 - (bench.now_us - START_US) // 1000)
    return bench


@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize("span_ms", [40, 120, 240])
@pytest.mark.parametrize("before_ms", [2, 15, 60, 119, 235])
def test_a_watermark_waits_for_what_is_under_way(
    before_ms: int, span_ms: int, *, states: bool
) -> None:
    bench = asked(BY_VALUE, states=states)
    wait(bench, 1_000 - before_ms)
    end_ms = START_MS + 4_000
    assert slow(bench, span_ms) <= end_ms - before_ms, "the event is of that time"
    got = bench.got()
    wait(bench, max(before_ms - span_ms, 0) + 20)
    assert got.watermark_ms >= end_ms, "it has come, and nothing else is waited for"
    bench.settle()
    assert got.total.under_way == 0
    tally = next(tally for tally in got.tallies if tally.slot_ms == end_ms - 1_000 and tally.seen)
    assert tally.shipped == 1, "it counts when it was published"


@pytest.mark.parametrize("states", [False, True])
def test_beyond_250_ms_it_goes_on_and_says_of_which_slot_something_is_missing(
    *, states: bool
) -> None:
    bench = asked(BY_VALUE, states=states)
    bench.job.by_arrival = False
    wait(bench, 950)
    end_ms, told_ms = START_MS + 4_000, []

    def meanwhile() -> None:
        for _ in range(200):
            bench.tick(2_000)
            if bench.got().watermark_ms >= end_ms:
                told_ms.append(bench.now_us // 1000)

    bench.publish({"a": Slow(meanwhile)})
    assert 250 <= told_ms[0] - (end_ms - 50) <= 270, "it waited, and then for no longer"
    known = [(t.slot_ms, t.under_way) for t in bench.got().tallies if t.under_way]
    assert known == [(end_ms - 1_000, 1)]
    bench.settle()
    assert bench.got().total.under_way == 1, "it is told once"
    late = [t for t in bench.got().tallies if t.shipped and t.slot_ms == end_ms - 1_000]
    assert len(late) == 1, "and what it published comes at last"


@pytest.mark.parametrize("time", ["", "at"])
def test_by_events_own_times_it_is_told_before_its_slot_ends(time: str) -> None:
    """A window by those may end before the slot does, and would call itself exact."""
    bench = Bench()
    bench.job.by_arrival = False
    bench.subscribe(1, BY_VALUE, time=time)
    wait(bench, 1_500)
    bench.publish({"a": 0, "at": START_MS})
    wait(bench, 3_000 - (bench.now_us - START_US) // 1000)
    wait(bench, 100)
    told: list[int] = []

    def meanwhile() -> None:
        wait(bench, 500)
        told.append(bench.got().total.under_way)

    bench.publish({"a": Slow(meanwhile), "at": START_MS})
    assert told == [1 if time else 0]


@pytest.mark.parametrize("text", [ALL, BY_VALUE])
def test_what_comes_to_an_intake_that_has_been_replaced_is_not_passed(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old intakes are looked at in turn, but for those that who is waited for may write into."""
    monkeypatch.setattr(old_generations, "_IN_TURN", 1)
    bench = asked(text)
    takers: list[Taker | None] = []

    def meanwhile() -> None:
        for number in range(2, 14):
            other = f"select count(*), a from s where a > {number} and b < 3 window 1 group by a"
            bench.subscribe(number, other, tick=False)
            for _ in range(4):
                bench.tick(4_000)
            takers.append(bench.streams["s"].taker)
        assert len(set(takers)) == len(takers)
        assert takers[1] is not None
        takers[1].target({"a": 1})  # as another call that began before

    before = bench.got().total.shipped
    bench.publish({"a": Slow(meanwhile)})
    generations = bench.state.queries.streams[0]._old.generations
    assert sum(generation.drains >= old_generations._YOUNG for generation in generations) > 5
    bench.tick(1_000)
    assert bench.got().total.shipped == before + 2
    assert all(generation.is_idle for generation in generations)
    wait(bench, 2_000)
    assert bench.got().total.shipped == before + 2
    assert bench.got().total.under_way == 0


def test_a_span_that_lies_on_an_edge_counts_in_both_slots() -> None:
    bench = asked(BY_VALUE)
    bench.job.by_arrival = False
    wait(bench, 985)
    bench.now_us += 20_000  # nobody has looked when the slot has ended
    slow(bench, 400)
    bench.settle()
    edge_ms = START_MS + 4_000
    known = [(t.slot_ms, t.under_way) for t in bench.got().tallies if t.under_way]
    assert known == [(edge_ms - 1_000, 1), (edge_ms, 1)]


def test_one_that_never_returns_holds_up_one_window_and_no_other() -> None:
    bench = asked(BY_VALUE)
    exact = 0

    def meanwhile() -> None:
        nonlocal exact
        for _ in range(40):
            bench.publish({"a": 1})
            slow(bench, 10)
            wait(bench, 90)
            exact = bench.got().watermark_ms
        assert bench.now_us // 1000 - exact < 1_130, "the watermark is where it would be"
        assert bench.got().total.under_way <= 2

    bench.job.by_arrival = False
    bench.publish({"a": Slow(meanwhile)})


def test_a_stream_that_is_not_asked_for_is_not_waited_for() -> None:
    bench = Bench(streams="s t")
    bench.subscribe(1, BY_VALUE)
    wait(bench, 3_000)
    slow(bench, 900, stream="t")
    assert bench.now_us // 1000 - bench.got().watermark_ms < 1_130
    assert bench.got().total.under_way == 0


def test_what_began_before_anybody_asked_is_not_waited_for() -> None:
    bench = Bench()
    wait(bench, 3_000)
    assert not any(bench.streams["s"].publisher.under_way())

    def ask() -> None:
        bench.subscribe(1, BY_VALUE)
        wait(bench, 500)

    bench.publish({"a": Slow(ask)})
    bench.subscribe(1, BY_VALUE)
    wait(bench, 1_500)
    assert bench.now_us // 1000 - bench.got().watermark_ms < 1_130
    assert bench.got().total.under_way == 0


def test_the_last_words_tell_of_what_will_not_come_any_more() -> None:
    bench = asked(BY_VALUE)
    wait(bench, 500)
    bench.publish({"a": Slow(bench.goodbye)})
    assert bench.got().total.under_way == 1


class UnkindError(BaseException):
    """What a value raises that wants to end the service."""


def boom() -> None:
    raise UnkindError


def test_whatever_a_call_does_it_is_no_longer_under_way_once_it_has_returned() -> None:
    bench = asked(ALL)
    stream = bench.streams["s"]
    depths: list[int] = []

    def nested() -> None:
        depths.append(sum(stream.publisher.under_way()))
        if len(depths) < 5:
            stream.publish({"a": Slow(nested)})

    def handled(*_: object) -> None:
        stream.publish({"a": Slow(nested)})
        raise KeyboardInterrupt

    assert stream.publish({"a": Slow(nested)}) is Status.ACCEPTED
    assert depths == [1, 2, 3, 4, 5]
    assert stream.publish({"a": Slow(boom)}) in (Status.ACCEPTED, Status.DROPPED_UNREADABLE)
    before = signal.signal(signal.SIGUSR1, handled)
    try:
        with pytest.raises(KeyboardInterrupt):
            stream.publish({"a": Slow(lambda: os.kill(os.getpid(), signal.SIGUSR1))})
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not any(stream.publisher.under_way())


def test_each_thread_is_under_way_by_itself() -> None:
    bench = asked(ALL)
    publisher = bench.streams["s"].publisher
    inside, leave = threading.Barrier(9), threading.Event()

    def meanwhile() -> None:
        inside.wait(10)
        leave.wait(10)

    events = [{"a": Slow(meanwhile)} for _ in range(8)]
    threads = [threading.Thread(target=bench.publish, args=(event,)) for event in events]
    for thread in threads:
        thread.start()
    inside.wait(10)
    assert sum(publisher.under_way()) == 8
    leave.set()
    for thread in threads:
        thread.join(10)
    assert not any(publisher.under_way())


def test_greenlets_switch_while_they_publish_and_may_never_come_back() -> None:
    greenlet = pytest.importorskip("greenlet").greenlet
    bench = asked(ALL)
    publisher, hub = bench.streams["s"].publisher, greenlet.getcurrent()
    inside = [greenlet(bench.publish) for _ in range(3)]
    for each in inside:
        each.switch({"a": Slow(hub.switch)})
    assert sum(publisher.under_way()) == 3
    inside[1].switch()
    assert sum(publisher.under_way()) == 2
    inside[0].throw()  # it is killed there
    assert sum(publisher.under_way()) == 1
    inside[2].switch()
    assert not any(publisher.under_way())
    bench.settle()
    assert bench.got().total.under_way == 0


def test_a_child_that_was_forked_while_its_parent_published_is_sure_of_its_own() -> None:
    bench = asked(ALL)
    stream, children = bench.streams["s"], []

    def fork() -> None:
        children.append(os.fork())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads may run: not here
        stream.publish({"a": Slow(fork)})
    if children == [0]:
        os._exit(int(any(stream.publisher.under_way())))
    assert os.waitpid(children[0], 0)[1] == 0
    assert not any(stream.publisher.under_way())


def test_a_child_waits_for_nothing_that_was_under_way_in_its_parent() -> None:
    stream = Stream("s")
    moment = 0
    parent = UnderWay(stream.publisher, lambda: moment)
    children: list[Look] = []

    def fork(_: object) -> Status:  # what a child does, in one process: it makes its agent anew
        child = UnderWay(stream.publisher, lambda: moment)
        children.append(child.look())
        return Status.ACCEPTED

    stream.publisher.exchange(fork, True)
    stream.publish({})
    assert children == [Look(None, ())]
    assert parent.look() == Look(None, ())
    assert not any(stream.publisher.under_way())


def test_an_epoch_that_is_forgotten_is_not_mixed_up_with_the_one_in_its_place() -> None:
    stream = Stream("s")
    counts: list[int] = []

    def hold(event: object) -> Status:
        if event:
            for _ in range(2 * EPOCHS):
                stream.publisher.begin_epoch()
            counts.append(sum(stream.publisher.under_way()))
            stream.publisher.exchange(again, True)
            stream.publish({})
            counts.append(sum(stream.publisher.under_way()))
        return Status.ACCEPTED

    def again(_: object) -> Status:
        counts.append(sum(stream.publisher.under_way()))
        return Status.ACCEPTED

    stream.publisher.exchange(hold, True)
    stream.publish({"a": 1})
    assert counts == [0, 1, 0]
    assert not any(stream.publisher.under_way())


def test_looks_end_epochs_and_these_are_waited_for_by_when_they_ended() -> None:
    stream, now_ns = Stream("s"), 0
    under_way = UnderWay(stream.publisher, lambda: now_ns)
    looks: list[Look] = []

    def hold(_: object) -> Status:
        nonlocal now_ns
        for at_ns in (40_000_000, 42_000_000, 60_000_000, 40_000_000 + WAIT_MAX_NS, INT64_MAX):
            now_ns = at_ns
            looks.append(under_way.look())
        return Status.ACCEPTED

    now_ns = 10_000_000
    assert under_way.look() == Look(None, ())
    stream.publisher.exchange(hold, True)
    stream.publish({})
    waits = Look(10_000_000, ())
    overdue = Look(None, (Overdue(1, 10_000_000, 40_000_000),))
    assert looks == [waits, waits, waits, overdue, Look(None, ())]


def test_a_window_in_which_something_is_under_way_is_a_lower_bound() -> None:
    known = Completeness(0, 1_000, 1, 1, tally=Tally(0, shipped=3, under_way=1))
    assert known.exactness is Exactness.LOWER_BOUND
    assert (known.lost, known.share, known.tally.seen) == (1, 0.75, 3)
    assert (known.tally + known.tally).under_way == 2
