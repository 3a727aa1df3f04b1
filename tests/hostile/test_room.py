"""What waits for those who do not read has a limit together, and takes nothing from who reads."""

from __future__ import annotations

import json

from mql.wire.messages import CLIENT_CREDIT_MAX, Answering, Credit, Rejected, Shown, Subscribe
from source_jobs.settings import Settings
from tests.source_jobs.protocol.stage import Stage

ROWS = "select * from requests"


def test_answers_that_wait_share_a_room_in_which_a_quick_reader_always_finds_some() -> None:
    stage = Stage(Settings("job", queue_bytes=1 << 20, queued_bytes=3 << 20))
    agent = stage.agent("a", "requests")
    stalled = [stage.client(f"stalled {n}", credit=0) for n in range(12)]
    requests = [client.ask(ROWS) for client in stalled]
    quick = stage.client("quick")
    request = quick.ask(ROWS)
    stage.pass_time(100)
    agent.accept()
    (asked,) = agent.got(Subscribe)
    for number in range(60):
        agent.ship(asked, [(stage.now_ms, {"n": number, "text": "x" * 100_000})])
        stage.pass_time(20)
        used = sum(s.weight for c in stage.state.sessions for s in c.subscribers.values())
        assert used <= 3 << 20
    assert [row["n"] for row in quick.rows(request)] == list(range(60))
    stalled[0].send_cancel(stalled[0].query_of(requests[0]))
    stage.pass_time(100)
    ended = quick.ended(request)
    assert ended
    assert ended.total.subscriber == 0
    for client in stalled:
        client.is_alive = False
    stage.pass_time(5_000)
    assert len(stage.state.sessions) == 1
    assert stage.state._room.used == 0


def test_a_client_that_grants_everything_and_reads_nothing_is_sent_16_mib() -> None:
    """And what was sent is shown as waiting until it is given back."""
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client(credit=1 << 60)
    client.ask(ROWS)
    stage.pass_time(100)
    agent.accept()
    (asked,) = agent.got(Subscribe)

    def ship(pieces: int) -> None:
        for number in range(pieces):
            agent.ship(asked, [(stage.now_ms, {"n": number, "text": "x" * 1_000_000})])
            stage.pass_time(20)

    ship(40)
    piece = max(len(send.frames[-1]) for send in stage.sent)
    sent = sum(len(send.frames[-1]) for send in stage.sent if send.rows)
    assert CLIENT_CREDIT_MAX <= sent < CLIENT_CREDIT_MAX + piece
    assert _queued_bytes(stage) >= 30_000_000
    client.send(Credit(sent))
    client.send(Credit(1 << 60))
    before = len(stage.sent)
    ship(10)
    sent = sum(len(send.frames[-1]) for send in stage.sent[before:] if send.rows)
    assert CLIENT_CREDIT_MAX <= sent < CLIENT_CREDIT_MAX + piece


def _queued_bytes(stage: Stage) -> int:
    other = stage.client("other")
    request = other.show("metrics")
    payload = next(p for m, p in other.inbox if isinstance(m, Shown) and m.request == request)
    assert payload is not None
    return int(json.loads(payload)["running"]["queued_bytes"])


def test_texts_are_limited_in_bytes() -> None:
    stage = Stage(Settings("job", text_bytes=50_000, text_bytes_per_client=60_000))
    client = stage.client()
    text = f"select a from s where b == '{'ü' * 14_000}'"
    asked = [client.ask(text + " " * n + f" or c == {n}") for n in range(3)]
    stage.pass_time(200)
    answered = [bool(client.got(Answering, request)) for request in asked]
    assert answered == [True, False, False]
    reasons = [rejected.reason for rejected in client.got(Rejected)]
    assert "as many as this source job takes" in reasons[0]
