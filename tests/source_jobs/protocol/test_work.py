"""What queries do takes turns by owner, in steps, and what takes long is done beside the thread."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from msgspec.structs import replace

from mql.errors import RunError
from mql.exec.build import Pipeline
from mql.ledger import Exactness
from mql.wire.messages import Alive, Answer, Answering, Batch, Credit, Leave, Subscribe, Unknown
from source_jobs.protocol.work.work_line import WorkLine
from source_jobs.settings import Settings
from tests.source_jobs.protocol.stage import FakeClient, Later, Stage

WINDOWS = "select count(*) as n from s window 1"
GROUPS = "select n, count(*) as c from s group by n window 1"
Work = Later[tuple[object, int]]


class Meter:
    """Each look at it costs some time, so that each step takes as much."""

    def __init__(self, each_us: int = 0) -> None:
        self.each_us = each_us
        self.us = 0

    def __call__(self) -> int:
        self.us += self.each_us
        return self.us


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Work:
    """What each window of a query takes is done beside, once it is told to."""
    monkeypatch.setattr("source_jobs.query.execution._LARGE_BYTES", -1)
    return Later()


def test_owners_have_turns_by_the_time_they_have_taken() -> None:
    line: WorkLine[int] = WorkLine()
    for number in range(100):
        line.add(number, b"many")
    for number in range(1_000, 1_002):
        line.add(number, b"few")
    taken: Counter[bytes] = Counter()
    turns = []
    for _ in range(200):
        number = line.next()
        assert number is not None
        owner = b"few" if number >= 1_000 else b"many"
        cost = 300 if owner == b"few" else 100
        line.charge(owner, cost)
        taken[owner] += cost
        turns.append(number)
    assert abs(taken[b"few"] - taken[b"many"]) <= 300
    assert len(set(turns)) == 102, "and of an owner all in turn"


def test_who_was_away_has_saved_nothing_up() -> None:
    line: WorkLine[int] = WorkLine()
    line.add(1, b"a")
    line.add(2, b"b")
    for _ in range(1_000):
        number = line.next()
        line.charge(b"a" if number == 1 else b"b", 100)
        if number == 2:
            line.remove(2)
    line.add(2, b"b")
    turns = []
    for _ in range(10):
        number = line.next()
        turns.append(number)
        line.charge(b"a" if number == 1 else b"b", 100)
    assert 4 <= turns.count(2) <= 6


def pass_time(stage: Stage, meter: Meter, ms: int) -> None:
    """Let time pass that the work takes, too."""
    end_us = stage.now_us + ms * 1_000
    while stage.now_us < end_us:
        before_us = meter.us
        stage.everybody_is_alive()
        stage.tick()
        wake_us = max(stage.now_us, stage.state.next_wake_us())
        stage.now_us = max(stage.now_us + meter.us - before_us, min(wake_us, end_us), stage.now_us)


def asked_by(owners: dict[FakeClient, int]) -> dict[FakeClient, list[int]]:
    """Queries whose windows of 100 ms each cost more than there is."""
    text = "select count(*) as n, {} from s window 0.1"
    return {
        client: [client.ask(text.format(index * 1_000 + n)) for n in range(number)]
        for index, (client, number) in enumerate(owners.items())
    }


def test_many_queries_of_one_client_keep_neither_the_loop_nor_others_windows() -> None:
    """All whose time had come went on in one turn of the loop: half a second for 200 of them."""
    meter = Meter()
    stage = Stage(meter_us=meter)
    bad, good = stage.client("bad", key=b"bad"), stage.client("good", key=b"good")
    requests = asked_by({bad: 100, good: 1})
    stage.pass_time(300)
    meter.each_us = 400
    ticks: list[int] = []
    tick = stage.state.tick

    def measured(now_us: int) -> list[object]:
        before_us = meter.us
        sends = tick(now_us)
        ticks.append(meter.us - before_us)
        return sends  # type: ignore[return-value]

    stage.state.tick = measured  # type: ignore[assignment,method-assign]
    before = len(good.got(Answer, requests[good][0]))
    pass_time(stage, meter, 3_000)
    assert max(ticks) < 30_000
    assert len(good.got(Answer, requests[good][0])) - before >= 20, "ten a second, after the grace"
    told = [len(bad.got(Answer, request)) for request in requests[bad]]
    assert min(told) > 3, "each has its turn"


def test_what_cannot_be_kept_up_with_is_given_up_with_a_reason_the_newest_first() -> None:
    meter = Meter()
    stage = Stage(meter_us=meter)
    bad, good = stage.client("bad", key=b"bad"), stage.client("good", key=b"good")
    requests = asked_by({bad: 100, good: 1})
    stage.pass_time(300)
    meter.each_us = 10_000
    pass_time(stage, meter, 15_000)
    ends = [bad.ended(request) for request in requests[bad]]
    given_up = [end for end in ends if end is not None]
    assert 1 < len(given_up) < 10, "one a second"
    assert all(end.failed and "10 s behind" in end.reason for end in given_up)
    assert ends[: -len(given_up)] == [None] * (100 - len(given_up)), "the newest"
    assert good.ended(requests[good][0]) is None


def test_a_job_that_slept_gives_no_query_up() -> None:
    meter = Meter()
    stage = Stage(meter_us=meter)
    client = stage.client()
    requests = asked_by({client: 50})[client]
    stage.pass_time(300)
    meter.each_us = 1_000
    pass_time(stage, meter, 1_000)
    stage.now_us += 60_000_000
    pass_time(stage, meter, 3_000)
    assert [client.ended(request) for request in requests] == [None] * 50


def send(stage: Stage, rows: int) -> None:
    """Have the one agent of a stage send rows to all queries, and let time go on."""
    (agent,) = stage.agents.values()
    for asked in agent.got(Subscribe):
        agent.ship(asked, [(stage.now_ms, {"n": n}) for n in range(rows)])


def let_pass(stage: Stage, worker: Work, ms: int) -> None:
    """Let time go on, and do what is to be done beside."""
    (agent,) = stage.agents.values()
    for _ in range(ms // 50):
        for asked in agent.got(Subscribe):
            agent.ship(asked, [])
        stage.pass_time(50)
        if worker.is_busy:
            worker.do()


def test_while_a_window_closes_beside_others_go_on_and_nothing_is_lost(worker: Work) -> None:
    stage = Stage(worker=worker)
    agent, client, other = stage.agent("a", "s"), stage.client("c"), stage.client("d")
    request = client.ask(GROUPS)
    stage.pass_time(100)
    agent.accept()
    let_pass(stage, worker, 1_500)
    send(stage, 20)
    for _ in range(40):  # until its window closes
        for asked in agent.got(Subscribe):
            agent.ship(asked, [])
        stage.pass_time(50)
        if worker.is_busy and stage.state.queries.held.used:
            break
        if worker.is_busy:
            worker.do()
    assert worker.is_busy
    before = len(client.answers(request))
    send(stage, 7)  # waits
    (running,) = stage.state.queries
    assert running.waiting
    own = other.ask("select n from s where n < 3")
    other.send(Alive())
    assert other.got(Alive)
    stage.pass_time(200)
    agent.accept()
    assert other.got(Answering, own)
    assert len(client.answers(request)) == before
    let_pass(stage, worker, 4_000)
    windows = client.windows(request)
    assert [len(rows) for rows in windows if rows] == [20, 7]
    known = client.ledgers(request)
    assert sum(each.tally.shipped for each in known) == 27
    assert all(each.exactness is Exactness.EXACT for each in known[2:])
    stage.state.validate()


def busy(stage: Stage, worker: Work, query: str) -> tuple[FakeClient, int]:
    """A client whose query has a window that is about to be closed beside."""
    agent, client = stage.agent("a", "s"), stage.client()
    request = client.ask(query)
    stage.pass_time(100)
    agent.accept()
    while not worker.is_busy:
        for asked in agent.got(Subscribe):
            agent.ship(asked, [(stage.now_ms, {"n": 1})])
        stage.pass_time(50)
    return client, request


def test_a_query_that_is_left_while_it_is_done_beside_is_over(worker: Work) -> None:
    stage = Stage(worker=worker)
    client, request = busy(stage, worker, GROUPS)
    send(stage, 3)
    client.send(Leave(request))
    assert len(stage.state.queries) == 0
    assert stage.state.queries.held.used == 0
    worker.do()
    let_pass(stage, worker, 500)
    own = client.ask(WINDOWS)
    stage.agents[b"peer of a"].accept()
    let_pass(stage, worker, 3_000)
    assert len(client.windows(own)) >= 1
    stage.state.validate()


def test_an_equal_query_that_comes_meanwhile_gets_nothing_of_before(worker: Work) -> None:
    stage = Stage(worker=worker)
    client, request = busy(stage, worker, GROUPS)
    other = stage.client("other")
    own = other.ask(GROUPS)
    stage.pass_time(100)
    assert len(stage.state.queries) == 2
    asked_ms = stage.now_ms - 100
    stage.agents[b"peer of a"].accept()
    let_pass(stage, worker, 4_000)
    starts = [answer.start_ms or 0 for answer, _ in other.answers(own)]
    assert min(starts) >= asked_ms - 1_000
    assert client.windows(request)
    stage.state.validate()


def test_a_limit_that_is_met_beside_ends_the_query(
    worker: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(worker=worker)
    client, request = busy(stage, worker, GROUPS)

    def push(*_: object) -> None:
        raise RunError("aggregate", "too much")

    monkeypatch.setattr(Pipeline, "push", push)
    worker.do()
    stage.pass_time(100)
    ended = client.ended(request)
    assert ended is not None
    assert "too much" in ended.reason
    assert not worker.is_busy


@pytest.mark.parametrize("is_late", [False, True])
def test_a_part_that_cannot_be_is_blamed_on_its_agent_also_where_it_waited(
    worker: Work, *, is_late: bool
) -> None:
    """What a part alone shows is found when it comes, what only the one before shows later."""
    stage = Stage(worker=worker)
    client, request = busy(stage, worker, GROUPS)
    (agent,) = stage.agents.values()
    asked = agent.got(Subscribe)[0]
    part = agent.part(asked, stage.now_ms, [])
    wrong = {"seen_total": -1} if is_late else {"weight": -1}
    agent.send(Batch((replace(part, **wrong),)))
    assert bool(agent.got(Unknown)) is not is_late
    for _ in range(10):
        if worker.is_busy:
            worker.do()
        stage.pass_time(50)
    assert agent.got(Unknown)
    assert client.ended(request) is None


def test_answers_of_one_client_that_grants_all_at_once_are_sent_in_turn() -> None:
    """100,000 pieces that had waited for credit were sent in one turn of the loop."""
    meter = Meter()
    stage = Stage(Settings("job", queries_per_client=200), meter_us=meter)
    agent, bad, good = stage.agent("a", "s"), stage.client("b", credit=0), stage.client("g")
    for number in range(20):
        bad.ask(f"select n, {number} from s")
    own = good.ask("select n, 'own' from s")
    stage.pass_time(100)
    agent.accept()
    for n in range(50):
        for asked in agent.got(Subscribe):
            agent.ship(asked, [(stage.now_ms, {"n": n})])
        stage.pass_time(20)
    meter.each_us = 100
    bad.send(Credit(1 << 24))
    before, rows = len(bad.inbox), len(good.rows(own))
    stage.tick()
    assert 0 < len(bad.inbox) - before <= 60
    for asked in agent.got(Subscribe):
        agent.ship(asked, [(stage.now_ms, {"n": 50})])
    for _ in range(5):
        stage.tick()
    assert len(good.rows(own)) == rows + 1
    while stage.state.next_wake_us() <= stage.now_us:
        stage.tick()
    per_request = Counter(answer.request for answer in bad.got(Answer) if answer.sequence)
    assert len(per_request) == 20
    assert min(per_request.values()) >= 50


def test_a_window_of_many_groups_takes_short_steps() -> None:
    """It was merged, closed and told of in one go, in 0.3 s and more of this processor."""
    worker: Work = Later()
    stage = Stage(worker=worker, meter_us=lambda: time.thread_time_ns() // 1_000)
    agent, client = stage.agent("a", "s"), stage.client()
    request = client.ask(GROUPS)
    stage.pass_time(100)
    agent.accept()
    (asked,) = agent.got(Subscribe)
    stage.pass_time(1_000 - stage.now_ms % 1_000 + 10)
    for start in range(0, 200_000, 20_000):
        agent.ship(asked, [(stage.now_ms, {"n": n}) for n in range(start, start + 20_000)])
    longest_s, end_us = 0.0, stage.now_us + 3_000_000
    while stage.now_us < end_us:
        began_s = time.thread_time()
        sends = stage.state.tick(stage.now_us)
        longest_s = max(longest_s, time.thread_time() - began_s)
        stage.deliver(sends)
        if worker.is_busy:
            worker.do()
        else:
            stage.now_us = max(stage.now_us + 1, min(end_us, stage.state.next_wake_us()))
        stage.everybody_is_alive()
    assert sum(len(rows) for rows in client.windows(request)) == 200_000
    assert longest_s < 0.1
