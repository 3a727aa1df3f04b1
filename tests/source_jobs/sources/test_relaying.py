"""What a job source tells of an answer: of rows given up, pieces that never came, and samples."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import pyarrow as pa
import pytest

from mql.columnar.layout import TIME
from mql.ledger import Completeness, Tally
from mql.wire.messages import Answer
from mql.wire.upstream import Feed, Told, silence
from publish_agent import Agent
from source_jobs import JobSource
from source_jobs.client.actions import Gap
from source_jobs.client.window import LiveWindow
from source_jobs.query.live_query import read_question
from source_jobs.sources.relay import SLACK_MS, Row, Teller, WithoutTime

ROWS = "select a from s"
COUNTS = "select count(*) as n from s window 1"
KNOWN = Completeness(1_000, 2_000, expected=2, reported=2, tally=Tally(1_000, shipped=5))
NAME = "tcp://b"


@dataclass
class Kept:
    """A relay that remembers what it was told."""

    step_ms: int = 1
    due_ms: int = 0
    wait_ms: int = 0
    uncertain_ms: int = 0
    feeds: tuple[Feed, ...] = ()
    rows: list[tuple[Row, int]] = field(default_factory=list)
    lost: list[tuple[int, int]] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)

    def publish(self, row: Row, time_ms: int) -> None:
        self.rows.append((row, time_ms))

    def lose(self, number: int, time_ms: int) -> None:
        if number:
            self.lost.append((number, time_ms))

    def tell(self, told: Told) -> None:
        self.told.append(told)

    def set_clock(self, ahead_us: int, uncertain_us: int) -> None:
        raise AssertionError(ahead_us, uncertain_us)

    def jobs(self) -> tuple[str, ...]:
        return ()

    def fall_silent(self) -> None:
        raise AssertionError

    def end(self) -> None:
        raise AssertionError


def telling(query: str) -> tuple[Kept, Teller]:
    relay = Kept()
    teller = Teller(NAME, read_question(query), relay)
    teller.take(piece(query, msgspec.structs.replace(KNOWN, start_ms=0, end_ms=1_000)), 500)
    assert relay.told[0] == silence(NAME, 0, 500)
    return relay, teller


def piece(
    query: str, known: Completeness | None, gap: Gap | None = None, wait_ms: int = 0
) -> LiveWindow:
    span = (known.start_ms, known.end_ms) if known else (None, None)
    answer = Answer(1, 1, known is not None, *span, known, wait_ms)
    return LiveWindow(read_question(query).layout, None, answer, gap)


def test_what_an_answer_has_lost_is_told_once_and_with_its_span() -> None:
    relay, teller = telling(ROWS)
    tally = Tally(1_000, shipped=5, buffer=2, credit=1)
    teller.take(piece(ROWS, msgspec.structs.replace(KNOWN, tally=tally, late=3, unseen=4)), 500)
    assert relay.lost == [(10, 1_999)]
    assert relay.told[-1] == Told(1_000, 2_000, 2, 2, lost=10)
    assert teller.taken.lost == 10


@pytest.mark.parametrize(("query", "lost"), [(ROWS, [(90, 1_999)]), (COUNTS, [])])
def test_rows_of_a_sample_do_not_tell_for_how_many_they_stand(
    query: str, lost: list[tuple[int, int]]
) -> None:
    relay, teller = telling(query)
    sampled = Tally(1_000, shipped=10, budget=90, weight=10)
    teller.take(piece(query, msgspec.structs.replace(KNOWN, tally=sampled, rate=0.1)), 500)
    assert relay.lost == lost
    assert relay.told[-1].rate == 0.1


@pytest.mark.parametrize(("query", "doubtful"), [(ROWS, 2), (COUNTS, 1)])
def test_rows_that_were_given_up_may_be_of_the_next_second_too(query: str, doubtful: int) -> None:
    relay, teller = telling(query)
    teller.take(piece(query, msgspec.structs.replace(KNOWN, subscriber=7)), 500)
    for second in (2_000, 3_000):
        known = msgspec.structs.replace(KNOWN, start_ms=second, end_ms=second + 1_000)
        teller.take(piece(query, known), 500)
    missing = [told.missing for told in relay.told[-3:]]
    assert missing == [(NAME,)] * doubtful + [()] * (3 - doubtful)
    assert relay.lost == [(7, 1_999)]


def test_a_gap_and_pieces_that_never_came_are_missing() -> None:
    relay, teller = telling(COUNTS)
    teller.take(piece(COUNTS, None, Gap(1_000, 4_300)), 500)
    assert relay.told[-1] == silence(NAME, 1_000, 4_300)
    known = msgspec.structs.replace(KNOWN, start_ms=4_000, end_ms=5_000, partial=True)
    teller.take(piece(COUNTS, known), 500)
    assert relay.told[-1] == silence(NAME, 4_300, 5_000)
    known = msgspec.structs.replace(KNOWN, start_ms=6_000, end_ms=7_000)
    teller.take(piece(COUNTS, known, Gap(None, 6_000, 2)), 500)
    assert relay.told[-1].missing == (NAME,)
    assert (relay.told[-1].start_ms, relay.told[-1].end_ms) == (6_000, 7_000)
    taken = teller.taken
    assert (taken.gaps, taken.gap_ms, taken.pieces) == (1, 3_300, 2)


def test_it_is_waited_for_as_long_as_the_other_source_job_waits_and_a_little_longer() -> None:
    relay, teller = telling("select count(*) as n from s window 10 5")
    teller.take(piece(COUNTS, KNOWN, wait_ms=1_700), 500)
    assert relay.step_ms == 5_000
    assert relay.wait_ms == 1_700 + SLACK_MS
    assert relay.due_ms == 2_000 + 5_000 + 1_700 + SLACK_MS


def test_rows_without_a_time_have_that_up_to_which_all_was_told() -> None:
    relay, teller = telling("select count(*) as n from s window |5|")
    layout = read_question("select a from s").layout
    batch = pa.RecordBatch.from_pydict({TIME: pa.array([None], pa.int64()), "a": [1]})
    teller.take(LiveWindow(layout, batch), 500)
    assert relay.rows == [({"a": 1}, 1_000)]


def test_a_function_that_knows_no_times_hears_of_one_lost_event_where_nobody_knows() -> None:
    rows: list[Row] = []
    lost: list[int] = []
    plain = WithoutTime("s", lambda _, row: rows.append(row), lambda _, number: lost.append(number))
    teller = Teller(NAME, read_question(COUNTS), plain)
    teller.take(piece(COUNTS, KNOWN), 500)
    assert not lost
    missing = msgspec.structs.replace(KNOWN, end_ms=3_000, reported=1, missing=("a@h",))
    teller.take(piece(COUNTS, missing), 500)
    assert lost == [1]
    tally = Tally(0, buffer=4)
    teller.take(piece(COUNTS, msgspec.structs.replace(missing, end_ms=4_000, tally=tally)), 500)
    assert lost == [1, 4]


def test_rows_go_to_an_agent_or_to_a_function() -> None:
    with pytest.raises(TypeError, match="an agent, or to a function"):
        JobSource("tcp://127.0.0.1:9", ROWS, "s", 5)  # type: ignore[arg-type]
    agent = Agent(service="a", source_jobs=["tcp://127.0.0.1:9"])
    with (
        JobSource("tcp://127.0.0.1:9", ROWS, "s", agent.publish, agent.lost),
        pytest.raises(ValueError, match="another answer already"),
    ):
        JobSource("tcp://127.0.0.1:9", ROWS, "s", agent)
    agent.close()
