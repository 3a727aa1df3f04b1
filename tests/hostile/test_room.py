"""What waits for those who do not read has a limit together, and takes nothing from who reads."""

from __future__ import annotations

from mql.wire.messages import Subscribe
from source_jobs.settings import Settings
from tests.job.stage import Stage

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
