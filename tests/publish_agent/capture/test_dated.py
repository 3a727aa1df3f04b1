"""Events that another source job told of keep their times, and nothing is claimed early."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mql.columnar.layout import TIME
from mql.ledger import Tally
from mql.wire.messages import Batch, Heartbeat, Part
from mql.wire.upstream import FEEDS_MAX, Feed, Told
from publish_agent import Agent
from publish_agent.capture.dated_events import Dated
from publish_agent.capture.event_buffer import Room, Status
from publish_agent.capture.outcome import Outcome
from publish_agent.capture.upstream_answer import Upstream
from publish_agent.drain.generation import Drain, Generation
from publish_agent.settings import Settings
from publish_agent.stream import DatedEntry
from tests.publish_agent.support import ALL, START_US, Bench

START_MS = START_US // 1000
NAME = "tcp://b:7767"


def relaying(bench: Bench) -> Upstream:
    stream = bench.streams["s"]
    stream.upstream = Upstream(DatedEntry(stream), NAME, lambda: None, frozenset, 0)
    return stream.upstream


def parts(bench: Bench, query: int = 1) -> list[Part]:
    batches = [message for message in bench.job.messages if isinstance(message, Batch)]
    return [part for batch in batches for part in batch.parts if part.query == query]


def told_of(bench: Bench) -> list[Told]:
    return [told for part in parts(bench) for told in part.told]


def test_an_event_keeps_its_time_and_counts_in_its_slot() -> None:
    bench = Bench()
    upstream = relaying(bench)
    bench.subscribe(1, "select a from s where a > 1")
    first_ms = bench.now_us // 1000 + 10
    bench.tick(3_000_000)
    for second in range(3):
        for a in (1, 2):
            upstream.publish({"a": a}, first_ms + second * 1000)
    upstream.tell(Told(0, first_ms + 3_000, 1, 1))
    bench.settle()
    assert [row[TIME] for row in bench.got().rows] == [first_ms + s * 1000 for s in range(3)]
    slots = {tally.slot_ms: (tally.shipped, tally.filtered_out) for tally in bench.got().tallies}
    assert slots == {START_MS // 1000 * 1000 + s * 1000: (1, 1) for s in range(3)}


@pytest.mark.parametrize(
    ("text", "states"), [(ALL, False), ("select count(*) as n from s window 1", True)]
)
def test_the_watermark_is_that_of_the_upstream(text: str, states: bool) -> None:  # noqa: FBT001
    bench = Bench()
    upstream = relaying(bench)
    bench.subscribe(1, text, states=states)
    bench.settle()
    began_ms = bench.got().watermark_ms
    bench.settle()
    assert bench.got().watermark_ms == began_ms > START_MS
    upstream.publish({"a": 1}, began_ms + 5)
    upstream.tell(Told(0, began_ms + 200, 2, 2))
    bench.tick()
    assert bench.got().watermark_ms == began_ms + 200
    assert parts(bench)[-1].upstream == NAME
    assert told_of(bench) == [Told(0, began_ms + 200, 2, 2)]
    bench.settle()
    assert bench.got().watermark_ms == began_ms + 200
    bench.goodbye()
    assert bench.got().watermark_ms == began_ms + 200


def test_a_query_has_the_events_from_when_on_it_runs() -> None:
    bench = Bench()
    upstream = relaying(bench)
    bench.subscribe(1, ALL)
    now_ms = bench.now_us // 1000
    upstream.publish({"a": "before"}, now_ms - 500)
    upstream.lose(7, now_ms - 500)
    upstream.publish({"a": "after"}, now_ms + 5)
    upstream.lose(3, now_ms + 5)
    bench.tick(20_000)
    bench.settle()
    assert bench.got().events == [{"a": "after"}]
    assert bench.got().total == Tally(0, shipped=1, upstream=3)


def test_a_query_that_missed_rows_of_later_times_says_so() -> None:
    bench = Bench()
    upstream = relaying(bench)
    upstream.publish({"a": 1}, START_MS + 5_000)  # its clock is ahead, and nobody knows
    bench.subscribe(1, ALL)
    bench.tick()
    (missed,) = told_of(bench)
    assert missed.missing == (NAME,)
    assert missed.end_ms == START_MS + 5_001


def test_nothing_is_told_before_the_rows_that_came_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    upstream = relaying(bench)
    bench.subscribe(1, ALL)
    drain, now_ms = Generation.drain_dated, bench.now_us // 1000 + 5

    def slow(self: Generation, ahead_of: Callable[[int], int]) -> Drain:
        drained = drain(self, ahead_of)
        upstream.publish({"a": 1}, now_ms)  # the other thread goes on meanwhile
        upstream.tell(Told(0, now_ms + 1, 1, 1))
        return drained

    monkeypatch.setattr(Generation, "drain_dated", slow)
    bench.tick(20_000)
    assert not told_of(bench)
    monkeypatch.undo()
    bench.tick(20_000)
    assert bench.got().events == [{"a": 1}]
    assert told_of(bench) == [Told(0, now_ms + 1, 1, 1)]


def test_rows_of_windows_are_moved_by_whole_windows() -> None:
    bench = Bench()
    upstream = relaying(bench)
    bench.subscribe(1, ALL)
    upstream.step_ms = 1_000
    for clock_ms, moved_ms in ((5, 0), (-400, 0), (600, -1_000), (-3_600_000, 3_600_000)):
        upstream.clock_ms = clock_ms
        assert upstream.ahead_ms(7, 0) == moved_ms
    upstream.step_ms = 1
    upstream.clock_ms = 100
    assert upstream.ahead_ms(7, 0) == -100
    upstream.clock_ms = 109
    assert upstream.ahead_ms(7, 0) == -100, "no row leaves its window by what clocks drift"


def test_what_is_due_and_what_is_upstream_is_told() -> None:
    bench = Bench()
    upstream = relaying(bench)
    bench.subscribe(1, ALL)
    upstream.due_ms, upstream.wait_ms = START_MS + 9_000, 1_500
    upstream.tell(Told(0, START_MS, 1, 1))
    bench.tick()
    assert not told_of(bench), "the query did not run then"
    upstream.tell(Told(START_MS, bench.now_us // 1000 + 5, 1, 1))
    bench.tick()
    assert len(told_of(bench)) == 1
    assert (parts(bench)[-1].due_ms, parts(bench)[-1].wait_ms) == (START_MS + 9_000, 1_500)
    upstream.feeds = tuple(Feed(str(i), "x") for i in range(FEEDS_MAX + 1))
    before = len(parts(bench))
    upstream.fall_silent()
    bench.tick()
    assert len(parts(bench)) == before + 1
    assert parts(bench)[-1].due_ms == 0
    bench.settle()
    (*_, beat) = (m for m in bench.job.messages if isinstance(m, Heartbeat))
    assert len(beat.feeds) == FEEDS_MAX


def test_events_that_cannot_be_kept_are_counted_by_their_times() -> None:
    bench = Bench(Settings(service="checkout", buffer_events=2))
    upstream = relaying(bench)
    bench.subscribe(1, ALL)
    first_ms = bench.now_us // 1000 + 1
    bench.tick(4_000_000)
    odd: dict[str, object] = {}
    odd["odd"] = odd
    statuses = [upstream.publish(e, first_ms + 2_000) for e in (odd, {"a": 1}, {"a": 2}, {"a": 3})]
    assert statuses == [Status.DROPPED_UNREADABLE, *[Status.ACCEPTED] * 2, Status.DROPPED_BUFFER]
    bench.settle()
    slot_ms = (first_ms + 2_000) // 1000 * 1000
    assert bench.got().tallies == [Tally(slot_ms, shipped=2, buffer=1, failed=1)]


def test_losses_that_wait_are_bounded_and_their_sum_is_right() -> None:
    dated = Dated(lambda _: (), lambda _: b"", Room(1 << 20), 10)
    for number in range(5_000):
        dated.lose(number * 100, Outcome.UPSTREAM, 2)
    dated.lose(500_000, Outcome.BUFFER, 1)
    rows, losses = dated.take()
    assert rows is None
    assert len(losses) <= 1_000
    assert sum(number for _, _, number in losses) == 10_001


def test_nobody_who_asks_is_nobody_to_keep_for() -> None:
    bench = Bench()
    upstream = relaying(bench)
    for second in range(5_000):
        assert upstream.publish({"a": 1}, second) is Status.SKIPPED
        upstream.lose(1, second)
        upstream.tell(Told(second, second + 1, second, 0))
    assert len(upstream.take()) <= 1_000


def test_a_stream_is_one_answer() -> None:
    agent = Agent(service="a", source_jobs=["tcp://127.0.0.1:9"])
    agent.relay("s", NAME)
    with pytest.raises(ValueError, match="another answer already"):
        agent.relay("s", NAME)
    agent.close()
