"""Nothing that a peer sends raises, and nobody else is harmed by it."""

from __future__ import annotations

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mql.columnar.layout import VARIANT
from mql.exec.limits import Limits
from mql.ledger import Tally
from mql.wire import messages
from mql.wire.codec import encode
from mql.wire.messages import (
    MAX_WEIGHT,
    Alive,
    Batch,
    Heartbeat,
    Part,
    Subscribe,
    Unknown,
    Unsubscribe,
)
from mql.wire.payload import write_batch
from source_jobs.settings import Settings
from tests.source_jobs.protocol.stage import FakeAgent, FakeClient, Stage

ROWS = "select n from requests"


def begin(settings: Settings | None = None) -> tuple[Stage, FakeAgent, FakeClient, int]:
    stage = Stage(settings)
    good, client = stage.agent("good", "requests"), stage.client("good")
    request = client.ask(ROWS)
    stage.pass_time(100)
    good.accept()
    return stage, good, client, request


def assert_unharmed(stage: Stage, agent: FakeAgent, client: FakeClient, request: int) -> None:
    before = len(client.rows(request))
    agent.ship(agent.got(Subscribe)[0], [(stage.now_ms, {"n": 1})])
    stage.tick()
    assert len(client.rows(request)) == before + 1


small = st.integers(-2, 3)
names = st.sampled_from(["", "a", "requests", "select n from requests"])


def values_of(kind: type) -> st.SearchStrategy[object]:
    """Messages of a kind, with values that fit its types and nothing else."""
    return st.from_type(kind)


st.register_type_strategy(int, small | st.integers(-(2**63), 2**64 - 1))
st.register_type_strategy(str, names | st.text(max_size=3))  # never `good`: a name is its owner's
st.register_type_strategy(Tally, st.builds(Tally, *[small] * 10))

from_agents = st.one_of(
    [values_of(kind) for kind in messages.AgentMessage.__args__]  # type: ignore[attr-defined]
)
from_clients = st.one_of(
    [values_of(kind) for kind in messages.ClientMessage.__args__]  # type: ignore[attr-defined]
)
junk = st.lists(st.binary(max_size=30).map(lambda tail: b"\x01" + tail) | st.binary(), max_size=3)
peers = st.sampled_from([b"bad", b"worse"])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), peers, junk | from_agents | from_clients, st.binary(max_size=9)),
        max_size=12,
    )
)
def test_any_frames_from_anybody_harm_nobody_else(
    story: list[tuple[bool, bytes, object, bytes]],
) -> None:
    stage, good, client, request = begin()
    for as_agent, peer, what, payload in story:
        if isinstance(what, messages.Message):
            frames = [bytes(frame) for frame in encode(what, payload or None)]
        else:
            assert isinstance(what, list)
            frames = what
        send = stage.from_agent if as_agent else stage.from_client
        send(peer, frames)
        stage.pass_time(37)
    assert not good.got(Unknown)
    assert_unharmed(stage, good, client, request)


def table(**columns: object) -> bytes:
    return write_batch(pa.RecordBatch.from_pydict(columns)).to_pybytes()


def variant(kind: int, text: str | None, double: float = 0.0) -> pa.Array:
    return pa.StructArray.from_arrays(
        [
            pa.array([kind], pa.uint8()),
            pa.array([0]),
            pa.array([double]),
            pa.array([text], pa.string()),
        ],
        fields=list(VARIANT),
    )


NOW = pa.array([1_000_000])


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"no batch",
        table(n=[1]),
        table(**{"*time": NOW}),
        table(**{"*time": pa.array(["x"]), "n": [1]}),
        table(**{"*time": NOW, "n": pa.array([1], pa.uint8())}),
        table(**{"*time": NOW, "n": [[1]]}),
        table(**{"*time": NOW, "n": [{"a": 1}]}),
        table(**{"*time": NOW, "n": variant(9, None)}),
        table(**{"*time": NOW, "n": variant(4, None)}),
        table(**{"*time": NOW, "n": variant(5, "[1")}),
        table(**{"*time": NOW, "n": variant(6, "[1]")}),
        table(**{"*time": NOW, "n": variant(3, None, float("nan"))}),
        table(**{"*time": NOW, "n": [1], "*event": ["no json"]}),
        table(**{"*time": NOW, "n": [1], "*event": ["[]"]}),
    ],
)
def test_a_payload_that_is_not_what_it_should_be_costs_its_sender_the_connection(
    payload: bytes,
) -> None:
    stage, good, client, request = begin()
    bad = stage.agent("bad", "requests")
    bad.accept()
    part = bad.part(bad.got(Subscribe)[0], stage.now_ms, [Tally(1, shipped=1)], has_rows=True)
    bad.send(Batch((part,)), payload)
    assert bad.got(Unknown)
    assert stage.state.agents.errors == 1
    assert_unharmed(stage, good, client, request)
    bad.hello(["requests"])
    assert_unharmed(stage, bad, client, request)


@pytest.mark.parametrize(
    "part",
    [
        Part(1, 0, 1, 0, 0, 0, (Tally(0, shipped=-1),)),
        Part(1, 0, 1, 0, 0, 0, (Tally(0, shipped=5),)),
        Part(1, 0, 1, 0, 0, 0, weight=0),
        Part(1, 0, 1, 0, 0, 0, weight=MAX_WEIGHT + 1),
        Part(1, 0, 1, 0, 0, 1, (Tally(0, shipped=1, weight=0),)),
        Part(1, 0, 1, 0, 0, 1, (Tally(0, shipped=1, weight=2**40),)),
        Part(1, 0, 0, 0, 0, 0),
        Part(1, 0, 1, 0, 0, 2**60),
        Part(1, 0, 1, 0, 0, 0, has_rows=True, rows=b"123"),
        Part(1, 0, 1, 0, 0, 0, has_rows=True, rows=b"\xff\0\0\0"),
        Part(1, 7, 1, 0, 0, 0),
    ],
)
def test_a_part_that_cannot_be_changes_nothing(part: Part) -> None:
    stage, good, client, request = begin()
    bad = stage.agent("bad", "requests")
    bad.accept()
    stage.tick()
    before = stage.state.queries.get(1)
    assert before
    totals = before.execution.ledger.totals
    bad.send(Batch((part,)), table(**{"*time": NOW, "n": [1]}))
    assert before.execution.ledger.totals == totals
    assert_unharmed(stage, good, client, request)


@pytest.mark.parametrize("spread", [None, [-1.0, 1.0], ["x", "y"], [1.0]])
def test_states_of_a_sample_without_what_errors_follow_from_are_refused(
    spread: list[object] | None,
) -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    client.ask("select count(*) from requests window 1")
    agent.accept()
    (asked,) = agent.got(Subscribe)
    columns: dict[str, list[object]] = {"*pane": [stage.now_ms // 1000], "state 0": [1]}
    columns |= {"*order": [0], "*events": [1]}
    columns |= {f"spread {i}": [value] for i, value in enumerate(spread or [])}
    payload = write_batch(pa.RecordBatch.from_pydict(columns)).to_pybytes()
    part = agent.part(asked, stage.now_ms, [Tally(0, shipped=1, weight=5)], has_rows=True)
    agent.send(Batch((msgspec.structs.replace(part, weight=5),), states=True), payload)
    assert agent.got(Unknown)
    stage.tick()


def test_numbers_that_an_agent_makes_up_do_not_break_a_window() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    request = client.ask("select count(*), max(n) from requests window 1")
    agent.accept()
    asked = agent.got(Subscribe)[0]
    for time in (-(2**63), 2**63 - 1, 0):
        batch = table(**{"*time": pa.array([time]), "n": pa.array([float("inf")])})
        part = agent.part(asked, 2**63 - 1, [Tally(2**62, shipped=1)], has_rows=True)
        agent.send(Batch((part,)), batch)
    stage.pass_time(3_000)
    assert len(client.windows(request)) >= 2
    assert not client.ended(request)


def test_a_query_that_holds_too_much_ends_alone() -> None:
    stage, good, client, request = begin(Settings("job", held=Limits(bytes=5_000)))
    window = client.ask("select n, text from requests window 10")
    stage.pass_time(100)
    good.accept()
    asked = good.got(Subscribe)[-1]
    good.ship(asked, [(stage.now_ms, {"n": 1, "text": "x" * 9_000})])
    stage.tick()
    ended = client.ended(window)
    assert ended
    assert ended.failed
    assert "more than 5,000 bytes of rows" in ended.reason
    assert good.got(Unsubscribe) == [Unsubscribe(asked.query)]
    assert_unharmed(stage, good, client, request)


def test_a_query_of_many_streams_is_refused_before_anybody_is_asked() -> None:
    stage, good, client, _ = begin()
    asked = len(good.got(Subscribe))
    request = client.ask(f"select n from {', '.join(['requests'] * 65)}")
    (rejected,) = client.got(messages.Rejected, request)
    assert rejected.reason == "one query may ask 64 streams, and this one 65"
    assert len(good.got(Subscribe)) == asked
    assert len(stage.state.queries) == 1


@pytest.mark.timeout(30)
def test_the_longest_query_does_not_hold_up_the_others_for_long() -> None:
    stage, _, client, _ = begin()
    values = ",".join(map(str, range(9_900)))
    request = client.ask(f"select a from nowhere where b in ({values})")
    assert not client.got(messages.Rejected, request)
    items = ",".join(f"a{number}" for number in range(9_000))
    request = client.ask(f"select {items} from nowhere")  # which would cost services much, too
    stage.pass_time(3_000)  # a long text waits until the one before it is paid for
    assert "live at most 500" in client.got(messages.Rejected, request)[0].reason


def test_a_part_of_a_query_that_is_over_is_answered_with_unsubscribe() -> None:
    stage, good, client, request = begin()
    client.send_cancel(client.query_of(request))
    good.ship(good.got(Subscribe)[0], [(stage.now_ms, {"n": 1})])
    assert len(good.got(Unsubscribe)) == 2
    assert not good.got(Unknown)


@pytest.mark.parametrize("queries", [1, 4_000])
def test_parts_of_queries_that_are_over_do_not_multiply(queries: int) -> None:
    stage, good, client, request = begin()
    parts = (messages.Part(1_000 + i % queries, i // queries, 1, 1, 0, 0) for i in range(4_000))
    good.send(Batch(tuple(parts)))
    answered = [message.query for message in good.got(Unsubscribe)]
    assert len(answered) == min(queries, 100), "to answer each would hold up all others"
    assert len(set(answered)) == len(answered)
    good.send(Batch((messages.Part(4_999, 0, 4_001, 1, 0, 0),)))
    assert good.got(Unsubscribe)[-1].query == 4_999
    assert_unharmed(stage, good, client, request)


def test_a_job_that_slept_blames_nobody() -> None:
    stage, good, client, request = begin()
    stage.now_us += 60_000_000
    stage.tick()
    stage.pass_time(100, alive=False)
    assert not good.got(Unsubscribe)
    assert_unharmed(stage, good, client, request)


def test_a_job_that_slept_waits_no_longer_for_who_was_heard_since() -> None:
    stage, good, client, request = begin()
    stage.now_us += 60_000_000
    client.send(Alive())
    client.is_alive = False
    stage.tick()
    stage.pass_time(stage.settings.gone_ms + 1_000)
    assert not list(stage.state.sessions)
    assert good.got(Unsubscribe)[0].query == client.query_of(request)


def test_an_agent_that_was_silent_goes_on_where_it_was() -> None:
    stage, good, client, request = begin()
    good.is_alive = False
    stage.pass_time(6_000)
    good.is_alive = True
    for _ in range(30):
        stage.pass_time(100)
        assert_unharmed(stage, good, client, request)
    assert sum(ledger.transit for ledger in client.ledgers(request)) == 0
    assert client.ledgers(request)[-1].missing == ()


def test_an_agent_that_connects_anew_takes_its_state_along() -> None:
    stage, good, client, request = begin()
    assert_unharmed(stage, good, client, request)
    good.peer = b"another connection"
    stage.agents = {good.peer: good}
    good.send(Heartbeat(stage.now_us, stage.now_ms))
    assert good.got(Unknown)
    good.hello(["requests"])
    assert_unharmed(stage, good, client, request)
    stage.pass_time(2_000)
    (first, *_) = client.ledgers(request)
    assert (first.expected, first.tally.shipped, first.transit) == (1, 2, 0)
