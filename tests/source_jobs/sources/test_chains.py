"""Source jobs one after another: what one lacks, those further on lack, in the same windows."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from mql.ledger import Completeness, Tally
from mql.wire.codec import ProtocolError, encode, from_agents
from mql.wire.messages import Answer, Batch, Heartbeat, Part, Subscribe
from mql.wire.upstream import FEEDS_MAX, TOLD_NAMES_MAX, Feed, Told, add, silence, told_by
from source_jobs.client.clock import JobClock
from source_jobs.client.window import LiveWindow
from source_jobs.query.upstreams import Upstream, check_told
from source_jobs.sources.cycle import find_circle
from tests.source_jobs.protocol.stage import Stage
from tests.source_jobs.sources.chain import BEGIN_US, AgentProcess, Asker, Chain, Job
from tests.source_jobs.sources.chain_search import Search

pytestmark = pytest.mark.timeout(120)
BEGIN_MS = BEGIN_US // 1000
ROWS = "select * from {}"
COUNTS = "select count(*) as n from end window 1"
KNOWN = Completeness(0, 1000, expected=3, reported=3, tally=Tally(0, shipped=5))


class Line:
    """A → B → C, with publishers at A that publish at each step, and a question at C."""

    def __init__(
        self,
        query: str = COUNTS,
        *,
        middle: str = ROWS,
        ahead_ms: int = 0,
        publishers: int = 1,
        latency_us: int = 1_000,
    ) -> None:
        self.chain = Chain(latency_us)
        self.a = self.chain.job("a")
        self.b = self.chain.job("b", ahead_ms=ahead_ms)
        self.c = self.chain.job("c")
        self.publishers = [AgentProcess(self.a, f"shop{i}", "requests") for i in range(publishers)]
        self.b.follow(self.a, ROWS.format("requests"), "mid")
        self.c.follow(self.b, middle.format("mid"), "end")
        self.chain.run(500)
        self.asker = Asker(self.c, query)

    def run(self, ms: int) -> None:
        self.chain.run(ms, lambda: [each.publish() for each in self.publishers])

    def published(self, window: LiveWindow) -> int:
        """How many events were published in a window."""
        assert window.start_ms is not None
        assert window.end_ms is not None
        first, last = window.start_ms - BEGIN_MS, window.end_ms - BEGIN_MS
        return sum(first <= ms < last for each in self.publishers for ms in each.published_ms)

    def check(self) -> list[Completeness]:
        """No window says that it is exact and is wrong; what the windows say of themselves."""
        windows = self.asker.windows
        for window in windows:
            if known_of(window).exactness == "exact" and not known_of(window).partial:
                assert window.rows()[0]["n"] == self.published(window), known_of(window)
        return [known_of(window) for window in windows]


def known_of(window: LiveWindow) -> Completeness:
    assert window.completeness is not None
    return window.completeness


def exact(known: Sequence[Completeness]) -> list[bool]:
    return [each.exactness == "exact" for each in known]


# What is missing


def test_windows_of_a_chain_hold_the_events_that_were_published_in_them() -> None:
    line = Line(publishers=2)
    line.run(5_000)
    known = line.check()
    assert exact(known)[1:] == [True] * (len(known) - 1)
    assert len(known) >= 4
    assert {(each.expected, each.reported) for each in known[1:]} == {(2, 2)}


def test_a_killed_middle_job_is_missing_at_once_until_it_is_back() -> None:
    line = Line()
    line.run(3_500)
    line.b.kill()
    line.run(6_000)
    line.b.restart([line.c.hops[0].reader])
    line.run(6_000)
    known = line.check()
    away = [each for each in known if 3_000 <= each.start_ms - BEGIN_MS < 10_000]
    assert len(away) >= 6
    assert {each.missing for each in away} == {("tcp://b",)}
    assert exact(known)[-2:] == [True, True]
    assert exact(known)[1:3] == [True, True]


def test_a_killed_middle_job_holds_up_nobody_for_longer_than_an_agent_does() -> None:
    line = Line()
    line.run(3_500)
    line.b.kill()
    line.run(2_000)
    last_ms = line.asker.windows[-1].end_ms
    assert last_ms is not None
    assert last_ms >= BEGIN_MS + 4_000


def test_an_agent_that_vanished_upstream_is_missing_by_its_name_through_every_hop() -> None:
    line = Line(publishers=2)
    line.run(3_500)
    line.publishers[0].disconnect()
    line.run(3_000)
    known = line.check()
    since = [each for each in known if each.start_ms - BEGIN_MS >= 3_000]
    assert len(since) >= 2
    for each in since:
        assert each.missing == ("shop0@h",)
        assert (each.expected, each.reported) == (2, 1)
    assert line.asker.windows[-1].rows()[0]["n"] == 50


def test_the_first_job_of_a_chain_is_missing_by_its_name_at_the_end() -> None:
    line = Line()
    line.run(3_500)
    line.a.kill()
    line.run(4_000)
    known = line.check()
    since = [each for each in known if each.start_ms - BEGIN_MS >= 3_000]
    assert len(since) >= 2
    assert {each.missing for each in since} == {("tcp://a",)}


def test_after_a_stall_events_are_in_the_windows_in_which_they_happened() -> None:
    line = Line()
    line.run(3_200)
    line.b.stall()
    line.run(2_500)
    line.b.resume()
    line.run(5_000)
    known = line.check()
    assert [window.rows()[0]["n"] for window in line.asker.windows[1:5]] == [50] * 4
    assert exact(known)[1:5] == [True] * 4


def test_what_was_lost_is_told_once_and_in_its_window() -> None:
    line = Line()
    line.run(1_700)
    line.publishers[0].stream.lost(5)
    line.run(2_000)
    known = line.check()
    upstream = {each.start_ms - BEGIN_MS: each.tally.upstream for each in known}
    assert {start: lost for start, lost in upstream.items() if lost} == {2_000: 5}
    assert [each.lost for each in known if each.tally.upstream] == [5]


def test_windows_that_are_shorter_than_what_upstream_tells_do_not_guess() -> None:
    line = Line("select count(*) as n from end window 0.5")
    line.run(1_800)
    line.publishers[0].stream.lost(5)
    line.run(2_000)
    known = {each.start_ms - BEGIN_MS: each.exactness for each in line.check()}
    assert (known[1_500], known[2_000], known[2_500], known[3_000]) == (
        "exact", "lower bound", "lower bound", "exact",
    )  # fmt: skip


def test_a_query_that_ends_says_what_was_missing_while_it_ran() -> None:
    line = Line()
    line.asker = Asker(line.c, COUNTS, ttl_ms=8_000)
    line.run(3_500)
    line.b.kill()
    line.run(1_500)
    line.b.restart([line.c.hops[0].reader])
    line.run(7_000)
    total = line.asker.answer.total
    assert line.asker.answer.ended == "time to live is over"
    assert total is not None
    assert total.missing == ("tcp://b",)
    assert total.exactness == "lower bound"


def test_a_query_that_comes_later_misses_nothing() -> None:
    line = Line()
    line.run(2_500)
    line.asker = Asker(line.c, COUNTS, ttl_ms=2_500)
    line.run(4_000)
    known = line.check()
    assert exact(known) == [True] * len(known)
    total = line.asker.answer.total
    assert total is not None
    assert (total.exactness, total.expected, total.missing) == ("exact", 1, ())


# Times


@pytest.mark.parametrize("span", ["1", "0.5"])
def test_a_row_of_a_window_is_in_the_window_that_holds_its_own(span: str) -> None:
    query = f"select sum(n) as n, last(_window_start) as at from end window {span}"
    line = Line(query, middle=f"select count(*) as n from {{}} window {span}")
    line.run(4_000)
    known = line.check()
    assert exact(known)[1:] == [True] * (len(known) - 1)
    for window in line.asker.windows[1:]:
        assert window.rows()[0]["at"] == window.start_ms


def test_rows_keep_their_times_and_rows_of_windows_have_the_last_ms_of_theirs() -> None:
    line = Line(ROWS.format("end"), middle="select count(*) as n from {} window 1")
    own = Asker(line.c, "select number from mid2")
    line.c.follow(line.b, ROWS.format("mid"), "mid2")
    line.run(4_000)
    rows = [
        (row, ms)
        for piece in line.asker.pieces
        for row, ms in zip(piece.rows(), piece.times_ms(), strict=True)
    ]
    assert len(rows) >= 2
    assert all(ms == row["_window_end"] - 1 for row, ms in rows)
    numbered = [
        (row["number"], ms)
        for piece in own.pieces
        for row, ms in zip(piece.rows(), piece.times_ms(), strict=True)
    ]
    assert len(numbered) > 50
    published = line.publishers[0].published_ms
    assert all(ms == BEGIN_MS + published[number - 1] for number, ms in numbered)


@pytest.mark.parametrize(
    ("ahead_ms", "latency_us", "exactness"),
    [(5_000, 1_000, "exact"), (-5_000, 1_000, "exact"), (5_000, 20_000, "estimate")],
)
def test_another_clock_in_the_middle_moves_no_event(
    ahead_ms: int, latency_us: int, exactness: str
) -> None:
    line = Line(ahead_ms=ahead_ms, latency_us=latency_us)
    line.run(5_000)
    whole = [w for w in line.asker.windows if not known_of(w).partial and not known_of(w).missing]
    assert len(whole) >= 2
    for window in whole:
        # What was published at the very edge may be on the other side.
        assert abs(window.rows()[0]["n"] - line.published(window)) <= latency_us // 5_000 + 1
        assert known_of(window).clock_ms
        assert known_of(window).exactness == exactness


def test_a_clock_that_cannot_be_told_from_ours_moves_nothing() -> None:
    line = Line(ahead_ms=1)
    line.run(4_000)
    known = line.check()
    assert exact(known)[1:] == [True] * (len(known) - 1)


def test_of_the_other_clock_the_exchange_that_took_least_is_believed() -> None:
    clock = JobClock()
    clock.add(1_000, 51_500, 51_500, 2_000)
    clock.add(3_000, 56_000, 56_000, 10_000)
    assert (clock.ahead_us, clock.uncertain_us) == (50_000, 500)
    clock.add(0, 0, 0, 11_000)  # an older source job says nothing
    clock.add(11_000, 900_000_000, 900_000_000, 12_000)  # its clock was set
    assert clock.ahead_us == 900_000_000 - 11_500


# Random things


@pytest.mark.parametrize("seed", [1, 2])
def test_no_window_is_exact_and_wrong_whatever_happens(seed: int) -> None:
    run = Search(seed).run()
    assert not run.wrong
    assert run.exact


# Circles


def circle_of(chain: Chain, *jobs: Job) -> list[str | None]:
    """Let each follow the one before, the first one the last; what the hops say in the end."""
    for job, upstream in zip(jobs, (jobs[-1], *jobs[:-1]), strict=True):
        job.follow(upstream, ROWS.format("s"), "s")
        chain.run(4_000)
    return [str(job.hops[0].error) if job.hops[0].error else None for job in jobs]


def test_a_job_that_feeds_itself_is_refused() -> None:
    chain = Chain()
    assert circle_of(chain, chain.job("a")) == ["a circle of source jobs: a → a"]


def test_a_circle_is_refused_where_it_closes_and_nothing_flows_in_it() -> None:
    chain = Chain()
    a, b, c = (chain.job(name) for name in "abc")
    b.follow(a, ROWS.format("s"), "s")
    c.follow(b, ROWS.format("s"), "s")
    chain.run(3_000)
    last = a.follow(c, ROWS.format("s"), "s")
    chain.run(1_000)
    assert str(last.error) == "a circle of source jobs: a → b → c → a"
    assert b.hops[0].error is None
    assert c.hops[0].error is None
    publisher = AgentProcess(b, "shop", "s")
    asker = Asker(c, "select count(*) as n from s window 1")
    chain.run(5_000, publisher.publish)
    assert asker.windows[1].rows()[0]["n"] == 50


def test_a_circle_that_closes_at_both_ends_at_once_is_ended() -> None:
    chain = Chain()
    a, b = chain.job("a"), chain.job("b")
    hops = b.follow(a, ROWS.format("s"), "s"), a.follow(b, ROWS.format("s"), "s")
    chain.run(5_000)
    errors = {str(hop.error) for hop in hops if hop.error}
    assert errors
    assert errors <= {"a circle of source jobs: a → b → a", "a circle of source jobs: b → a → b"}


def test_a_job_that_restarts_between_two_others_makes_no_circle() -> None:
    line = Line()
    line.run(1_000)
    line.b.kill()
    line.run(500)
    line.b.restart([line.c.hops[0].reader])
    line.run(4_000)
    assert line.b.hops[0].error is None
    assert line.c.hops[0].error is None
    (feed,) = [feed for feed in line.c.state.agents.feeds(line.c.name) if feed.into == line.c.name]
    assert (feed.job, feed.shown) == (line.b.name, "b")


def test_two_ways_that_meet_again_are_no_circle() -> None:
    chain = Chain()
    a, b, c, d = (chain.job(name) for name in "abcd")
    publisher = AgentProcess(a, "shop", "s")
    for job, upstream, stream in ((b, a, "s"), (c, a, "s"), (d, b, "one"), (d, c, "two")):
        job.follow(upstream, ROWS.format("s"), stream)
    chain.run(1_000)
    asker = Asker(d, "select count(*) as n from one, two window 1")
    chain.run(4_000, publisher.publish)
    assert all(hop.error is None for job in (b, c, d) for hop in job.hops)
    assert [window.rows()[0]["n"] for window in asker.windows[1:3]] == [100, 100]
    assert exact([known_of(window) for window in asker.windows[1:3]]) == [True, True]


def test_a_circle_is_found_by_the_random_names_whatever_they_are_shown_as() -> None:
    feeds = [Feed("b", "same", "c"), Feed("a", "same", "b"), Feed("x", "same", "c")]
    assert find_circle({"a"}, "c", "same", feeds) == ["same"] * 4
    assert find_circle({"y"}, "c", "same", feeds) is None
    assert find_circle({"a"}, "c", "C", [Feed("b", "B", "c"), Feed("c", "C", "b")]) is None


def test_a_job_knows_a_bounded_number_of_those_upstream() -> None:
    stage = Stage()
    agent = stage.agent("a", "s")
    feeds = tuple(Feed(f"job {i}", "x" * 1_000) for i in range(FEEDS_MAX * 2))
    agent.send(Heartbeat(stage.now_us, stage.now_ms, feeds=feeds))
    known = stage.state.agents.feeds("job")
    assert len(known) == FEEDS_MAX
    assert {feed.into for feed in known} == {"job"}
    assert max(len(feed.shown) for feed in known) <= 200
    stage.pass_time(4_000, alive=False)
    assert not stage.state.agents.feeds("job")


# What is told


def test_names_are_bounded_and_the_others_a_number() -> None:
    missing = tuple(f"shop@{i}" for i in range(50))
    known = msgspec.structs.replace(KNOWN, expected=60, reported=10, missing=missing)
    told = told_by("b", known, 0, 0)
    assert told.missing == missing[:TOLD_NAMES_MAX]
    heard = Upstream("b")
    heard.hear(part(told, told.of(1_000, 2_000)), 0)
    assert heard.of(0, 2_000) == told.of(0, 2_000)


def test_one_that_is_partial_or_has_nobody_to_ask_has_told_nothing() -> None:
    for known in (Completeness(0, 1000), msgspec.structs.replace(KNOWN, partial=True)):
        assert told_by("b", known, 500, 0) == silence("b", 500, 1_000)


def test_who_is_missing_in_a_part_of_a_window_is_missing_in_it() -> None:
    one = Told(0, 1000, 3, 2, missing=("a@h",), clock_ms=3)
    other = Told(1000, 2000, 4, 3, missing=("b@h",), rate=0.5)
    assert one | other == Told(0, 2000, 4, 2, ("a@h", "b@h"), rate=0.5, clock_ms=3)
    twins = Told(0, 1000, 3, 1, missing=("a@h", "a@h"))
    assert (twins | one).missing == ("a@h", "a@h")


def test_spans_that_say_the_same_are_one_and_too_many_become_one() -> None:
    spans: list[Told] = []
    for second in range(1_000):
        add(spans, Told(second, second + 1, 2, 2), 3)
    assert spans == [Told(0, 1_000, 2, 2)]
    for second in range(1_000, 1_010):
        add(spans, Told(second, second + 1, 2 + second, 2), 3)
    assert len(spans) == 3
    assert (spans[0].start_ms, spans[-1].end_ms) == (0, 1_010)


def test_a_span_that_never_came_is_missing() -> None:
    heard = Upstream("b")
    heard.hear(part(Told(0, 1_000, 2, 2), Told(2_000, 3_000, 2, 2)), 0)
    assert not heard.of(0, 1_000).missing
    assert heard.of(0, 3_000).missing == ("b",)
    assert heard.of(2_500, 3_000).missing == ()
    assert heard.of(2_500, 3_001).missing == ("b",)


@pytest.mark.parametrize(
    "told",
    [
        Told(5, 4),
        Told(-1, 4),
        Told(0, 2**60),
        Told(0, 1, expected=1, reported=2),
        Told(0, 1, expected=2**50),
        Told(0, 1, lost=-1),
        Told(0, 1, rate=float("nan")),
        Told(0, 1, rate=1.5),
        Told(0, 1, missing=("x",) * 21),
        Told(0, 1, missing=("x" * 201,)),
    ],
)
def test_what_cannot_be_told_is_refused(told: Told) -> None:
    with pytest.raises(ProtocolError):
        check_told([told])


def part(*told: Told) -> Part:
    return Part(1, 0, 1, 0, 0, 0, upstream="b", told=told)


def test_a_part_with_what_upstream_told_goes_over_the_wire() -> None:
    message = Batch((part(silence("b", 0, 5)),))
    assert from_agents().decode([bytes(frame) for frame in encode(message)])[0] == message


def test_nobody_is_waited_for_for_ever_whatever_it_says() -> None:
    stage = Stage()
    agent = stage.agent("a", "s")
    client = stage.client()
    client.ask("select count(*) as n from s window 1")
    agent.accept()
    (asked,) = agent.got(Subscribe)
    for minutes in range(0, 100, 10):
        told = Part(asked.query, 0, 1 + minutes, 0, 0, 0, upstream="b", due_ms=2**52)
        agent.send(Batch((told,)))
        closed = [answer for answer in client.got(Answer) if answer.closes]
        assert bool(closed) == (minutes >= 60)
        stage.pass_time(600_000)
    assert closed[0].completeness is not None
    assert closed[0].completeness.missing == ("b",)
