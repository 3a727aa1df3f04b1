"""What an agent says and hears: hello, heartbeats, clocks, refusals, and nonsense."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mql.wire.codec import encode
from mql.wire.messages import (
    PROTOCOL,
    Accept,
    Batch,
    Beat,
    Catalogue,
    Credit,
    Heartbeat,
    Hello,
    Look,
    Message,
    StreamSeen,
    Subscribe,
    Unknown,
    Unsubscribe,
    Welcome,
)
from mql.wire.names import STREAMS_MAX
from publish_agent.capture.event_buffer import Status
from publish_agent.protocol.agent_state import Send
from publish_agent.protocol.clock_offset import ClockOffset
from publish_agent.settings import Settings
from publish_agent.stream import Stream
from tests.publish_agent.support import ALL, LINK, Bench


def heartbeats(bench: Bench) -> list[Heartbeat]:
    return [m for m in bench.job.messages if isinstance(m, Heartbeat)]


def test_a_query_that_is_asked_after_the_clock_was_set_back_begins_at_once() -> None:
    bench = Bench()
    bench.subscribe(1, ALL)
    bench.now_us -= 60_000_000
    bench.subscribe(2, ALL)
    assert (2, 0) in bench.job.queries


def test_hello_says_who_the_agent_is() -> None:
    bench = Bench(Settings(service="pay", host="h", version="1.2", tags={"zone": "z"}))
    (hello,) = bench.job.of(Hello)
    assert isinstance(hello, Hello)
    assert (hello.service, hello.host, hello.version, hello.pid) == ("pay", "h", "1.2", 42)
    assert (hello.tags, hello.streams, hello.protocol) == ({"zone": "z"}, ("s",), PROTOCOL)


def test_hello_is_said_every_second_until_there_is_a_welcome() -> None:
    bench = Bench()
    bench.state.disconnect(LINK, bench.now_us)
    bench.job.take(bench.state.connect(LINK, bench.now_us))
    before = len(bench.job.of(Hello))
    for _ in range(30):
        bench.tick(100_000)
    assert len(bench.job.of(Hello)) == before + 3


def test_unknown_is_answered_with_a_hello() -> None:
    bench = Bench()
    bench.tick(500_000)
    bench.give(Unknown())
    bench.tick(0)
    assert len(bench.job.of(Hello)) == 2


def test_a_source_job_that_does_not_answer_heartbeats_is_greeted_anew() -> None:
    bench = Bench()
    bench.job.answers = False
    for _ in range(9):
        bench.tick(500_000)
    assert len(bench.job.of(Hello)) >= 2


def test_queries_of_a_source_job_that_stays_away_end() -> None:
    bench = Bench()
    bench.subscribe(1, ALL)
    bench.state.disconnect(LINK, bench.now_us)
    bench.tick(9_000_000)
    assert bench.streams["s"].publish({}) is Status.ACCEPTED
    bench.tick(2_000_000)
    bench.tick()
    assert bench.streams["s"].taker is None


def test_a_heartbeat_comes_every_second_and_says_what_queries_cost() -> None:
    bench = Bench()
    bench.subscribe(1, f"{ALL} where user == 'a'")
    bench.publish({"user": "a"}, {"user": "b"})
    for _ in range(20):
        bench.tick(100_000)
    assert 2 <= len(heartbeats(bench)) <= 4
    (cost,) = heartbeats(bench)[-1].costs
    assert (cost.tested, cost.candidates, cost.shipped) == (2, 1, 1)
    assert cost.sent_bytes == bench.job.payload_bytes
    assert cost.screen == "index on user"


def test_a_heartbeat_that_finds_no_room_is_soon_tried_again() -> None:
    bench = Bench()
    bench.settle()

    def beats(after_us: int) -> list[Send]:
        bench.now_us += after_us
        return [send for send in bench.state.tick(bench.now_us) if send.is_heartbeat]

    (beat,) = beats(1_000_000)
    bench.state.unsent(beat)
    assert not beats(50_000)
    assert len(beats(50_000)) == 1
    assert not beats(100_000), "it was sent"


def test_the_costs_in_a_heartbeat_are_of_one_moment() -> None:
    bench = Bench()
    bench.tick()
    bench.tick(500_000)  # heartbeats and tallies go out at different times
    bench.subscribe(1, f"{ALL} where user == 'a'", slot_ms=60_000)
    for number in range(40):
        before = len(heartbeats(bench))
        bench.publish({"user": "b"}, {"user": "b"})
        bench.tick(70_000)
        if len(heartbeats(bench)) > before:
            (cost,) = heartbeats(bench)[-1].costs
            assert cost.tested == 2 * (number + 1)


def test_a_new_stream_is_told_at_once() -> None:
    bench = Bench()
    bench.state.adopt(Stream("t"))
    bench.tick(1_000)
    assert heartbeats(bench)[-1].streams == ("s", "t")


def test_there_is_a_limit_to_streams() -> None:
    bench = Bench()
    for i in range(STREAMS_MAX + 5):
        bench.state.adopt(Stream(f"t{i}"))
    bench.tick(1_000)
    assert len(heartbeats(bench)[-1].streams) == STREAMS_MAX


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Subscribe(1, 0, "s", "select from", 1000), "does not understand"),
        (Subscribe(1, 0, "s", "select sum(a) from s", 1000), "window"),
        (Subscribe(1, 0, "nowhere", ALL, 1000), "publishes no 'nowhere'"),
        (Subscribe(1, 0, "s", f"{ALL} where {'a' * 70_000} == 1", 1000), "characters"),
        (Subscribe(1, 0, "s", ALL, 0), "slot"),
        (Subscribe(1, 0, "s", ALL, 1000, time="e['l'][*]"), "cannot run"),
    ],
)
def test_what_cannot_run_is_refused_with_the_reason(message: Subscribe, reason: str) -> None:
    bench = Bench()
    bench.give(message)
    (refusal,) = bench.refusals()
    assert reason in refusal
    assert bench.streams["s"].taker is None


def test_a_query_that_is_asked_twice_is_accepted_twice_and_runs_once() -> None:
    bench = Bench()
    bench.subscribe(1, ALL)
    bench.subscribe(1, ALL)
    first, second = bench.job.of(Accept)
    assert first == second
    bench.publish({"a": 1})
    bench.settle()
    assert bench.got().total.shipped == 1


def test_events_count_from_the_time_that_accept_says() -> None:
    bench = Bench()
    bench.publish({"a": 0})
    bench.subscribe(1, ALL)
    bench.tick()
    bench.publish({"a": 1})
    bench.settle()
    (accept,) = bench.job.of(Accept)
    assert isinstance(accept, Accept)
    assert int(str(bench.got().rows[0]["*time"])) >= accept.start_ms
    assert bench.got().total.seen == 1


def test_unsubscribing_ends_the_cost_at_once() -> None:
    bench = Bench()
    bench.subscribe(1, ALL)
    bench.unsubscribe(1)
    bench.tick()
    bench.tick()
    assert bench.streams["s"].taker is None
    assert not bench.state.queries.active


def test_no_event_byte_leaves_without_a_subscription() -> None:
    bench = Bench()
    for _ in range(300):
        bench.publish({"secret": "marker-7d1"})
        bench.tick(10_000)
    assert not bench.job.of(Batch)
    assert not any(b"marker" in bytes(frame) for m in bench.job.messages for frame in encode(m))


def test_the_catalogue_is_what_one_event_a_second_shows() -> None:
    bench = Bench(Settings(service="checkout", redact=("password",)))
    for i in range(150):
        event = {"status": 200, "user": {"id": i, "password": "x"}, "tags": [{"k": "v"}], "n": None}
        bench.publish(event, event)
        bench.tick(20_000)
    bench.give(Look())
    (catalogue,) = bench.job.of(Catalogue)
    assert isinstance(catalogue, Catalogue)
    (seen,) = catalogue.streams
    assert isinstance(seen, StreamSeen)
    assert {f.path: (f.kinds, f.example) for f in seen.fields if f.path != "e['user']['id']"} == {
        "status": (("integer",), "200"),
        "user": (("object",), seen.fields[1].example),
        "tags": (("list",), '[{"k":"v"}]'),
        "e['tags'][*]['k']": (("string",), '"v"'),
        "n": (("null",), ""),
    }
    assert "password" not in str(seen)
    assert 50 < seen.rate < 200


def test_the_rate_of_a_stream_with_a_query_is_exact() -> None:
    bench = Bench()
    bench.subscribe(1, f"{ALL} where a == 1")
    for _ in range(500):
        bench.publish({"a": 0})
        bench.tick(10_000)
    bench.give(Look())
    (catalogue,) = bench.job.of(Catalogue)
    assert isinstance(catalogue, Catalogue)
    assert 95 < catalogue.streams[0].rate < 105


def test_two_addresses_of_one_source_job_are_one() -> None:
    bench = Bench()
    spare = bench.connect(8)
    for _ in range(10):
        bench.tick(500_000)
    assert len(spare.of(Hello)) == 1
    assert not spare.of(Heartbeat)
    assert len(bench.job.of(Hello)) == 2, "so that the source job answers here again"
    bench.state.disconnect(LINK, bench.now_us)
    bench.tick(1_000_000)
    bench.tick(1_000_000)
    assert len(spare.of(Hello)) > 1, "the spare one is used when the other is gone"


def test_a_query_runs_on_one_of_two_addresses_of_one_source_job_at_a_time() -> None:
    bench = Bench()
    bench.connect(8)
    for link in (LINK, 8):
        bench.subscribe(1, ALL, link=link)
    assert list(bench.state.links[LINK].queries) == [(1, 0)]
    assert not bench.state.links[8].queries
    bench.state.disconnect(LINK, bench.now_us)
    bench.connect(8)  # it has taken over, before the other one is given up
    bench.subscribe(1, ALL, link=8)
    assert not bench.state.links[LINK].queries, "what it counted is told by nobody any more"
    assert list(bench.state.links[8].queries) == [(1, 0)]


# Clocks


def test_the_offset_is_known_as_well_as_the_quickest_answer_says() -> None:
    offset = ClockOffset()
    assert offset.uncertainty_us(0) > 10**9
    assert offset.add(1_000_000, 6_500_000, 6_500_100, 2_000_000)  # a second there and back
    assert 499_950 <= offset.uncertainty_us(2_000_000) <= 500_500
    assert offset.add(3_000_000, 8_001_000, 8_001_000, 3_002_000)  # two milliseconds
    assert abs(offset.value_us - 5_000_000) <= offset.uncertainty_us(3_002_000) <= 1_150
    assert offset.uncertainty_us(63_002_000) >= 30_000, "clocks drift apart meanwhile"
    known_us = offset.value_us
    assert not offset.add(5_000_000, 5_000_000, 4_000_000, 5_000_100)
    assert not offset.add(5_000_000, 2**62, 2**62, 5_000_100)
    assert offset.value_us == known_us


def test_each_way_is_known_from_whichever_message_was_quick_on_it() -> None:
    """Where threads fight for the interpreter, most answers lie about, and some do not."""
    offset = ClockOffset()
    for second, (there_us, back_us) in enumerate([(40_000, 500), (300, 60_000), (50_000, 50_000)]):
        sent_us = second * 1_000_000
        answered_us = sent_us + there_us + 7_000_000
        now_us = sent_us + there_us + back_us
        assert offset.add(sent_us, answered_us, answered_us, now_us)
    assert offset.uncertainty_us(2_100_000) < 2_500, "half of 50 ms from any one of them"
    assert abs(offset.value_us - 7_000_000) <= offset.uncertainty_us(2_100_000)


@given(
    ahead_us=st.integers(-(10**10), 10**10),
    drift_ppm=st.integers(-400, 400),
    ways_us=st.lists(st.tuples(st.integers(0, 300_000), st.integers(0, 300_000)), min_size=1),
    is_slewing=st.booleans(),
)
def test_the_true_offset_is_as_near_as_is_said(
    ahead_us: int, drift_ppm: int, ways_us: list[tuple[int, int]], *, is_slewing: bool
) -> None:
    drift_ppm += 5_000 if is_slewing else 0

    def there(here_us: int) -> int:
        return here_us + ahead_us + here_us * drift_ppm // 1_000_000

    offset, now_us = ClockOffset(), 0
    for there_us, back_us in ways_us:
        sent_us, now_us = now_us, now_us + there_us + back_us
        met_us = there(sent_us + there_us)
        assert offset.add(sent_us, met_us, met_us, now_us, slews=is_slewing)
        for later_us in (0, 700_000):
            wrong_us = abs(there(now_us + later_us) - (now_us + later_us) - offset.value_us)
            assert wrong_us <= offset.uncertainty_us(now_us + later_us) + 2
        now_us += 1_000_000


def test_an_answer_that_contradicts_those_before_it_means_that_a_clock_was_set() -> None:
    offset = ClockOffset()
    for second in range(1, 5):  # quick answers, which say that the clocks agree
        assert offset.add(
            second * 10**6, second * 10**6 + 100, second * 10**6 + 100, second * 10**6 + 200
        )
    hour = 3_600_000_000
    assert offset.add(5_000_000, 5_010_000 + hour, 5_010_000 + hour, 5_020_000)
    assert offset.value_us == hour, "although it took a hundred times as long"
    assert 10_000 <= offset.uncertainty_us(5_020_000) <= 10_100
    assert offset.add(6_000_000, 6_300_000 + hour, 6_300_000 + hour, 6_500_000)
    assert offset.value_us == hour, "this one agrees, and is less exact"


def test_clocks_that_are_nearly_alike_count_as_the_same() -> None:
    offset = ClockOffset()
    assert offset.add(1_000, 2_600, 2_600, 1_400)
    assert offset.value_us == 0


def test_events_have_the_time_of_the_source_job() -> None:
    bench = Bench()
    bench.job.ahead_us = 7_000_000
    there = bench.now_us + 7_000_000
    bench.give(Beat(bench.now_us, there, there))
    bench.subscribe(1, ALL)
    bench.tick()
    bench.publish({"a": 1})
    bench.settle()
    assert bench.got().rows[0]["*time"] == bench.now_us // 1000 - 2_000 + 7_000
    (accept,) = bench.job.of(Accept)
    assert isinstance(accept, Accept)
    assert accept.start_ms > bench.now_us // 1000 + 4_000


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    bench = Bench()
    bench.subscribe(1, ALL)
    bench.job.by_arrival = False
    bench.tick(-3_600_000_000)
    assert bench.state.next_wake_us() <= bench.now_us + 1_000_000
    bench.publish({"a": 1})
    before = len(heartbeats(bench))
    bench.settle()
    assert bench.got().total.shipped == 1
    assert len(heartbeats(bench)) > before


# Nonsense


@st.composite
def frames(draw: st.DrawFn) -> list[bytes]:
    """Random bytes, and messages with some of their bytes changed, cut off or doubled."""
    numbers = st.integers(-(2**63), 2**63 - 1)
    message: Message = draw(
        st.one_of(
            st.builds(Welcome, numbers, st.text(), numbers, numbers, numbers, numbers),
            st.builds(Beat, numbers, numbers, numbers),
            st.builds(Credit, numbers),
            st.builds(Subscribe, numbers, numbers, st.just("s"), st.text() | st.just(ALL), numbers),
            st.builds(Unsubscribe, numbers),
            st.just(Unknown()),
            st.just(Look()),
        )
    )
    data = bytes(encode(message)[0])
    match draw(st.integers(0, 4)):
        case 0:
            return draw(st.lists(st.binary(max_size=50), max_size=4))
        case 1:
            return [data[: draw(st.integers(0, len(data)))]]
        case 2:
            place = draw(st.integers(0, len(data) - 1))
            return [data[:place] + draw(st.binary(min_size=1, max_size=3)) + data[place + 1 :]]
        case 3:
            return [data, draw(st.binary(max_size=9))]
        case _:
            return [data]


@hypothesis_settings(max_examples=100, deadline=None)
@given(st.lists(frames(), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_no_bytes_from_a_peer_raise(given_frames: list[list[bytes]], dice: random.Random) -> None:
    bench = Bench()
    bench.subscribe(10**6, ALL)
    for each in given_frames:
        bench.state.receive(LINK, each, bench.now_us)
        bench.state.receive(99, each, bench.now_us)
        bench.publish({"a": 1})
        bench.now_us += dice.choice([0, 1_000, 100_000])
        bench.state.tick(bench.now_us)
        bench.state.validate()
        bench.state.next_wake_us()


def test_bad_frames_are_counted() -> None:
    bench = Bench()
    for nonsense in ([], [b""], [b"\x09hello"], [b"x"] * 3, [b"\x01" + b"y" * (2 << 20)]):
        assert bench.state.receive(LINK, nonsense, bench.now_us) == []
    bench.give(Credit(-5))
    bench.give(Welcome(99, "job", 1, 0, 0, 0))
    assert bench.state.links[LINK].bad_frames == 7
