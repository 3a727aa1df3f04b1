"""The client's core: what is asked stays asked, and what was missed is told."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from mql.account import GONE_AT_END
from mql.ledger import Completeness, Exactness, Tally
from mql.wire import messages as m
from mql.wire.codec import encode, from_clients
from mql.wire.payload import write_batch
from source_jobs.client.actions import (
    Action,
    Closed,
    Deliver,
    Gap,
    Missed,
    Piece,
    Reply,
    Started,
    Transmit,
)
from source_jobs.client.client_state import ClientState
from source_jobs.client.pending_query import WAITING

SECOND_US = 1_000_000
ASK = m.Ask(0, "select *")


class Stage:
    """A client's core with a clock, and what it has said and passed on."""

    def __init__(self, credit: int = 1000) -> None:
        self.state = ClientState("c1", "me", "1", credit)
        self.now_us = 5 * SECOND_US
        self.sent: list[m.Message] = []
        self.items: list[tuple[int, object]] = []

    def do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Transmit(frames):
                    self.sent.append(from_clients().decode([bytes(f) for f in frames])[0])
                case Deliver(number, item):
                    self.items.append((number, item))
                case Reply(number, result):
                    self.items.append((number, result))
        self.state.validate()

    def after(self, seconds: float) -> None:
        """Let time pass in the steps that the core asks for."""
        end_us = self.now_us + int(seconds * SECOND_US)
        while self.now_us < end_us:
            self.now_us = min(end_us, max(self.state.next_wake_us(), self.now_us + 1))
            self.do(self.state.tick(self.now_us))

    def hear(self, message: m.Message, payload: bytes | None = None) -> None:
        frames = [bytes(frame) for frame in encode(message, payload)]
        self.do(self.state.receive(frames, self.now_us))

    def connect(self, job: str = "j1") -> None:
        self.do(self.state.tick(self.now_us))
        self.hear(m.Connected(1, job, "1"))

    def ask(self, number: int = 1, ask: m.Ask = ASK) -> int:
        """Ask; the request's number."""
        self.do(self.state.ask(number, ask, self.now_us))
        return self.last_ask().request

    def last_ask(self) -> m.Ask:
        return next(each for each in reversed(self.sent) if isinstance(each, m.Ask))

    def said(self, kind: type[m.Message]) -> list[m.Message]:
        return [each for each in self.sent if isinstance(each, kind)]

    def pieces(self, number: int = 1) -> list[Piece]:
        return [item for n, item in self.items if n == number and isinstance(item, Piece)]

    def gaps(self) -> list[Gap | None]:
        return [item.gap for _, item in self.items if isinstance(item, Started)]


def answer(request: int, sequence: int, end_ms: int | None = None, seen: int = 0) -> m.Answer:
    known = None
    if end_ms is not None:
        known = Completeness(end_ms - 1000, end_ms, tally=Tally(0, shipped=seen))
    return m.Answer(request, sequence, closes=False, completeness=known)


def test_it_says_hello_until_it_is_answered_and_asks_then() -> None:
    stage = Stage()
    stage.do(stage.state.ask(1, ASK, stage.now_us))
    stage.after(1)
    assert len(stage.said(m.Connect)) >= 3
    assert not stage.said(m.Ask)
    stage.hear(m.Connected(1, "j1", "1"))
    assert [each.query for each in stage.said(m.Ask)] == ["select *"]
    stage.hear(m.Connected(1, "j1", "1"))
    assert len(stage.said(m.Ask)) == 1, "the answer to a second hello changes nothing"


def test_it_says_each_second_that_it_is_there() -> None:
    stage = Stage()
    stage.connect()
    for _ in range(5):
        stage.after(1)
        stage.hear(m.Alive())
    assert len(stage.said(m.Alive)) == 5
    assert stage.state.connected


def test_after_three_silent_seconds_the_source_job_is_gone() -> None:
    stage = Stage()
    stage.connect()
    stage.after(2.9)
    assert stage.state.connected
    stage.after(0.2)
    assert not stage.state.connected
    assert "does not answer" in stage.state.trouble


@pytest.mark.parametrize("job", ["j1", "j2"])
def test_a_new_connection_asks_again_and_says_what_was_missed(job: str) -> None:
    stage = Stage()
    stage.connect()
    first = stage.ask()
    stage.hear(m.Answering(first, 7, 10_000, ("careful",)))
    stage.hear(answer(first, 1, end_ms=12_000))
    stage.hear(m.Unknown())
    assert not stage.state.connected
    stage.hear(m.Connected(1, job, "1"))
    second = stage.last_ask().request
    assert second != first
    stage.hear(m.Answering(second, 3, 15_500))
    assert stage.gaps() == [None, Gap(12_000, 15_500)]
    stage.hear(answer(first, 2, end_ms=13_000))
    stage.hear(answer(second, 1, end_ms=16_500))
    assert [piece.answer.request for piece in stage.pieces()] == [first, second]
    assert stage.pieces()[1].missed == 0


def test_a_query_that_had_not_begun_has_missed_nothing() -> None:
    stage = Stage()
    stage.connect()
    stage.ask()
    stage.hear(m.Unknown())
    stage.hear(m.Connected(1, "j1", "1"))
    stage.hear(m.Answering(stage.last_ask().request, 3, 15_500))
    assert stage.gaps() == [None]


def test_pieces_that_never_came_are_counted() -> None:
    stage = Stage()
    stage.connect()
    request = stage.ask()
    for sequence in (1, 2, 5, 5, 4, 6):
        stage.hear(answer(request, sequence), b"12345")
    assert [(p.answer.sequence, p.missed) for p in stage.pieces()] == [
        (1, 0), (2, 0), (5, 2), (6, 0),
    ]  # fmt: skip


def test_credit_comes_back_as_pieces_are_read_and_not_before() -> None:
    stage = Stage(credit=800)
    stage.connect()
    request = stage.ask()
    for sequence in range(1, 7):
        stage.hear(answer(request, sequence), bytes(90))
    assert not stage.said(m.Credit)
    for _ in range(2):
        stage.do(stage.state.consumed(1, 90))
    assert [each.size for each in stage.said(m.Credit)] == [180]
    stage.do(stage.state.consumed(1, 90))
    stage.hear(m.Alive())
    stage.after(1)
    assert sum(each.size for each in stage.said(m.Credit)) == 270


def test_a_reader_that_stops_does_not_starve_the_others() -> None:
    stage = Stage(credit=1000)
    stage.connect()
    slow, quick = stage.ask(1), stage.ask(2)
    batch = write_batch_of(3)
    sequence = 0
    for sequence in range(1, 21):
        stage.hear(answer(slow, sequence, end_ms=1000 * sequence), batch)
        stage.hear(answer(quick, sequence, end_ms=1000 * sequence), batch)
        stage.do(stage.state.consumed(2, len(batch)))
    assert len(stage.pieces(2)) == 20
    assert len(stage.pieces(1)) == 20, "the ledger of each window comes all the same"
    taken = sum(bool(piece.payload) for piece in stage.pieces(1))
    assert 0 < taken < 20
    granted = sum(each.size for each in stage.said(m.Credit))
    assert granted > 20 * len(batch), "what was given up is granted again"
    for _ in range(taken):
        stage.do(stage.state.consumed(1, len(batch)))
    stage.hear(answer(slow, 21, end_ms=21_000), batch)
    assert stage.pieces(1)[-1].payload
    told = [p.answer.completeness for p in stage.pieces(1) if p.answer.completeness]
    assert sum(each.subscriber for each in told) == 3 * (20 - taken)


def test_what_is_read_while_the_connection_is_made_anew_is_granted_again() -> None:
    stage = Stage()
    stage.connect()
    request = stage.ask()
    stage.hear(answer(request, 1), bytes(400))
    stage.hear(m.Unknown())
    assert [each.credit for each in stage.said(m.Connect)] == [1000, 600]
    stage.do(stage.state.consumed(1, 400))
    stage.hear(m.Connected(1, "j1", "1"))
    for _ in range(2):
        stage.hear(m.Alive())
        stage.after(1)
    assert [each.size for each in stage.said(m.Credit)] == [400]


def test_what_was_given_up_is_in_the_total_of_the_answer_that_told_of_it() -> None:
    stage = Stage()
    stage.connect()
    batch = write_batch_of(3)
    first = stage.ask(1)
    for sequence in range(1, 11):
        stage.hear(answer(first, sequence, end_ms=1000 * sequence), batch)
    stage.hear(m.Unknown())
    stage.hear(m.Connected(1, "j1", "1"))
    second = stage.last_ask().request
    stage.hear(answer(second, 1, end_ms=12_000))
    stage.hear(m.Ended(second, "limit", failed=False, total=Completeness(0, 12_000)))
    told = [p.answer.completeness for p in stage.pieces(1) if p.answer.completeness]
    assert sum(each.subscriber for each in told) > 0
    (ended,) = [item for _, item in stage.items if isinstance(item, m.Ended)]
    assert ended.total.subscriber == sum(each.subscriber for each in told[10:])


def test_only_so_many_pieces_wait_even_if_they_have_no_rows() -> None:
    stage = Stage()
    stage.connect()
    request = stage.ask()
    for sequence in range(1, WAITING + 10):
        stage.hear(answer(request, sequence))
    assert len(stage.pieces()) == WAITING
    stage.do(stage.state.consumed(1, 0))
    stage.hear(answer(request, WAITING + 10))
    assert stage.pieces()[-1].missed == 9


def test_the_time_to_live_goes_on_while_the_source_job_is_away() -> None:
    stage = Stage()
    stage.connect()
    request = stage.ask(ask=m.Ask(0, "select *", ttl_ms=10_000))
    stage.hear(m.Answering(request, 1, 0))
    stage.after(4)
    stage.hear(m.Connected(1, "j2", "1"))
    assert stage.last_ask().ttl_ms == 6_000
    stage.after(5.9)
    assert not any(isinstance(item, m.Ended) for _, item in stage.items)
    stage.after(0.3)
    ended = [item for _, item in stage.items if isinstance(item, m.Ended)]
    assert [each.reason for each in ended] == [GONE_AT_END]


def known_of(second: int, **more: Any) -> Completeness:
    start_ms, tally = second * 1000, Tally(0, shipped=5)
    known = Completeness(start_ms, start_ms + 1000, expected=2, reported=2, tally=tally)
    return replace(known, **more)


def told(request: int, sequence: int, known: Completeness) -> m.Answer:
    return m.Answer(request, sequence, closes=False, completeness=known)


def ended_by_itself(stage: Stage) -> tuple[list[Missed], m.Ended]:
    missed = [item for _, item in stage.items if isinstance(item, Missed)]
    (ended,) = [item for _, item in stage.items if isinstance(item, m.Ended)]
    return missed, ended


def test_the_end_of_an_answer_whose_source_job_is_gone_is_made_of_what_has_come() -> None:
    stage = Stage()
    stage.connect()
    request = stage.ask(ask=m.Ask(0, "select *", ttl_ms=8_000))
    stage.hear(m.Answering(request, 1, 500))
    first = known_of(0, partial=True, covered_ms=500)
    for sequence, known in enumerate((first, known_of(1), known_of(2, transit=3)), 1):
        stage.hear(told(request, sequence, known))
    stage.after(14)
    missed, ended = ended_by_itself(stage)
    assert missed == [Missed(Gap(3_000, 8_500))]
    assert ended.total == Completeness(
        500, 8_500, 2, 2, tally=Tally(0, shipped=15), transit=3, covered_ms=2_500, gaps=1
    )
    assert (ended.reason, ended.total.exactness) == (GONE_AT_END, Exactness.LOWER_BOUND)


def test_the_end_counts_what_came_and_was_missed_on_all_connections() -> None:
    stage = Stage()
    stage.connect()
    request = stage.ask(ask=m.Ask(0, "select *", ttl_ms=20_000))
    stage.hear(m.Answering(request, 1, 0))
    stage.hear(told(request, 1, known_of(0)))
    stage.after(4)
    stage.hear(m.Connected(1, "j2", "1"))
    stage.hear(m.Answering(stage.last_ask().request, 1, 4_000))
    stage.hear(told(stage.last_ask().request, 1, known_of(4)))
    stage.after(25)
    missed, ended = ended_by_itself(stage)
    assert missed == [Missed(Gap(5_000, 20_000))]
    total = ended.total
    assert (total.start_ms, total.end_ms, total.covered_ms, total.gaps) == (0, 20_000, 2_000, 2)
    assert (total.tally.seen, total.expected) == (10, 2)


def test_an_end_that_nobody_tells_is_a_lower_bound_though_all_may_have_come() -> None:
    stage = Stage()
    stage.connect()
    request = stage.ask(ask=m.Ask(0, "select *", ttl_ms=1_000))
    stage.hear(m.Answering(request, 1, 0))
    stage.hear(told(request, 1, known_of(0)))
    stage.after(7)
    missed, ended = ended_by_itself(stage)
    assert not missed
    assert (ended.total.tally.seen, ended.total.exactness) == (5, Exactness.LOWER_BOUND)


def test_the_gaps_that_an_end_tells_of_are_not_forgotten() -> None:
    stage = Stage()
    stage.connect()
    request = stage.ask()
    stage.hear(m.Answering(request, 1, 0))
    stage.hear(m.Ended(request, GONE_AT_END, failed=False, total=known_of(0, gaps=1)))
    (ended,) = [item for _, item in stage.items if isinstance(item, m.Ended)]
    assert ended.total.gaps == 1


def test_a_source_job_that_does_not_end_a_query_is_told_to() -> None:
    stage = Stage()
    stage.connect()
    stage.ask(ask=m.Ask(0, "select *", ttl_ms=1_000))
    for _ in range(7):
        stage.after(1)
        stage.hear(m.Alive())
    assert [type(item) for _, item in stage.items] == [m.Ended]
    assert len(stage.said(m.Leave)) == 1


def test_a_refusal_ends_what_it_is_about_and_nothing_else() -> None:
    stage = Stage()
    stage.connect()
    refused, fine = stage.ask(1), stage.ask(2)
    stage.hear(m.Rejected(refused, "too many"))
    stage.hear(answer(fine, 1))
    assert [(n, type(item)) for n, item in stage.items] == [(1, m.Rejected), (2, Piece)]
    stage.hear(m.Rejected(0, "too many clients"))
    assert stage.state.trouble == "too many clients"


def test_requests_are_answered_once_and_repeated_on_a_new_connection() -> None:
    stage = Stage()
    number, actions = stage.state.show("agents")
    stage.do(actions)
    assert not stage.said(m.Show)
    stage.connect()
    stage.hear(m.Unknown())
    stage.hear(m.Connected(1, "j1", "1"))
    assert [each.request for each in stage.said(m.Show)] == [number, number]
    stage.hear(m.Shown(number), b"[]")
    stage.hear(m.Shown(number), b"[]")
    assert stage.items == [(number, b"[]")]


def test_closing_leaves_and_tells_all_who_wait() -> None:
    stage = Stage()
    stage.connect()
    request = stage.ask()
    number, actions = stage.state.show("agents")
    stage.do(actions)
    stage.do(stage.state.close())
    assert [each.request for each in stage.said(m.Leave)] == [request]
    assert (1, Closed()) in stage.items
    assert any(n == number and isinstance(item, m.Rejected) for n, item in stage.items)


@given(st.lists(st.lists(st.binary(max_size=60), max_size=3), max_size=20))
def test_no_frames_raise(messages: list[list[bytes]]) -> None:
    stage = Stage()
    stage.connect()
    stage.ask()
    for frames in messages:
        stage.do(stage.state.receive(frames, stage.now_us))
        stage.do(stage.state.receive([b"\x01" + frame for frame in frames], stage.now_us))


class Job:
    """A source job that answers a query, over a bad network, and forgets all at times."""

    def __init__(self, stage: Stage, dice: random.Random) -> None:
        self._stage, self._dice = stage, dice
        self._heard = 0
        self._name = 0
        self._requests: dict[int, int] = {}
        self.credit = 0
        self.made: list[tuple[int, int]] = []
        self.lost = 0

    def step(self) -> None:
        for message in self._stage.sent[self._heard :]:
            self._heard += 1
            self._take(message)
        match self._dice.randrange(12):
            case 0:
                self._requests.clear()
                self._stage.hear(m.Unknown())
            case 1:
                self._name += 1
                self._requests.clear()
            case 2 | 3 | 4:
                self._stage.hear(m.Alive())
            case _:
                for request in list(self._requests):
                    self._answer(request)

    def _take(self, message: m.Message) -> None:
        match message:
            case m.Connect():
                self._requests.clear()
                self.credit = message.credit
                self._stage.hear(m.Connected(1, f"j{self._name}", "1"))
            case m.Ask():
                self._requests[message.request] = 0
                self._stage.hear(m.Answering(message.request, 1, self._stage.now_us // 1000))
            case m.Leave():
                self._requests.pop(message.request, None)
            case m.Credit():
                self.credit += message.size

    def _answer(self, request: int) -> None:
        if self.credit <= 0:
            return
        self._requests[request] += 1
        payload = bytes(self._dice.randrange(200))
        self.credit -= len(payload)
        if self._dice.random() < 0.1:
            self.lost += 1
            return
        piece = (request, self._requests[request])
        self.made.append(piece)
        self._stage.hear(answer(*piece), payload)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_over_any_network_every_piece_comes_once_in_order_or_is_missed(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - a seeded test
    stage = Stage(credit=2000)
    job = Job(stage, dice)
    stage.do(stage.state.ask(1, ASK, stage.now_us))
    read = 0
    for _ in range(400):
        stage.after(dice.choice([0.001, 0.05, 0.5, 1.5, 4]))
        job.step()
        waiting = stage.pieces()[read:]
        for piece in waiting[: dice.randrange(4)]:
            read += 1
            stage.do(stage.state.consumed(1, len(piece.payload)))
    came = [(p.answer.request, p.answer.sequence) for p in stage.pieces()]
    assert came == job.made
    by_request: dict[int, int] = {}
    for piece in stage.pieces():
        before = by_request.get(piece.answer.request, 0)
        assert piece.missed == piece.answer.sequence - before - 1
        by_request[piece.answer.request] = piece.answer.sequence


def write_batch_of(rows: int) -> bytes:
    return write_batch(pa.record_batch({"a": pa.array(range(rows))})).to_pybytes()
