"""However many connections a key has, they have one turn, and what they make others hold an end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from mql.wire.messages import Heartbeat, Unknown
from source_jobs.job import SourceJob
from source_jobs.protocol.job_state import JobState
from source_jobs.protocol.outbox import Send, Side
from tests.hostile.peers import ANY_PORT, CONNECT, Keys, Raw
from tests.live.support import until

pytestmark = pytest.mark.timeout(60)

BEAT = Heartbeat(1, 1)


class Halted:
    """A source job that stops at a message until it may go on, and notes whose it takes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys: list[bytes] = []
        self.goes_on = False
        take = JobState.from_agent

        def wait_and_take(
            state: JobState, peer: bytes, frames: Sequence[bytes], now_us: int, key: bytes
        ) -> list[Send]:
            self.keys.append(key)
            until(lambda: self.goes_on, 20)
            return take(state, peer, frames, now_us, key)

        monkeypatch.setattr(JobState, "from_agent", wait_and_take)


def test_ten_connections_of_a_key_have_one_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each had one of its own: a message of another waited for ten of theirs."""
    monkeypatch.setattr("source_jobs.reception._READ_US", 10_000_000)  # however busy the machine is
    keys = Keys(tmp_path)
    bad, good = (keys.make(name, keys.agents) for name in ("bad", "good"))
    halted = Halted(monkeypatch)
    with keys.serve() as job, ExitStack() as opened:
        raws = [opened.enter_context(Raw(job.agents_address, bad, keys.job)) for _ in range(10)]
        honest = opened.enter_context(Raw(job.agents_address, good, keys.job))
        raws[0].say(BEAT)
        until(lambda: len(halted.keys) == 1)
        for _ in range(5):
            for raw in raws:
                raw.say(BEAT)
            honest.say(BEAT)
        time.sleep(0.5)
        halted.goes_on = True
        until(lambda: len(halted.keys) == 56)
    own = {key for key in halted.keys if halted.keys.count(key) == 5}
    places = [place for place, key in enumerate(halted.keys) if key in own]
    assert len(places) == 5
    assert places[-1] <= 12, "every other one"


@pytest.mark.parametrize("side", Side)
def test_what_a_source_job_has_not_come_to_stays_with_who_sends_it(side: Side) -> None:
    """A thousand messages of each connection waited in memory: 750 MB for fifty of them."""
    job = SourceJob(ANY_PORT, ANY_PORT)  # nobody reads
    address = job.agents_address if side is Side.AGENT else job.clients_address
    try:
        with Raw(address) as bad:
            bad.socket.sndhwm = 1
            sent = 0
            while bad.socket.poll(300, 2) and sent < 200:  # POLLOUT
                bad.send([b"\x01" + bytes(1 << 19)])
                sent += 1
        assert sent < 60
    finally:
        job.stop()


def test_a_key_that_sends_more_than_is_taken_loses_connections_and_others_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("source_jobs.inbox.BYTES_MAX", 4 << 20)
    keys = Keys(tmp_path)
    bad, good = (keys.make(name, keys.agents) for name in ("bad", "good"))
    halted = Halted(monkeypatch)
    with keys.serve() as job, ExitStack() as opened:
        raws = [opened.enter_context(Raw(job.agents_address, bad, keys.job)) for _ in range(10)]
        honest = opened.enter_context(Raw(job.agents_address, good, keys.job))
        honest.say(BEAT)
        until(lambda: len(halted.keys) == 1)
        for _ in range(60):  # more than ZeroMQ takes of any of them
            for raw in raws:
                raw.say(BEAT, bytes(100_000))
        time.sleep(0.5)
        halted.goes_on = True
        inbox = job._receptions[Side.AGENT].inbox
        until(lambda: inbox.cut_off > 0 and not inbox)
        until(lambda: any(raw._monitor.poll(0) for raw in raws))
        honest.say(BEAT)
        assert honest.hears_that(Unknown())
        assert not honest._monitor.poll(0), "its connection is the one that it had"
        until(lambda: "their keys sent more than is taken" in caplog.text)


@pytest.mark.parametrize("side", Side)
def test_a_message_longer_than_any_that_is_meant_ends_the_connection(side: Side) -> None:
    """Of clients 2 MiB, of agents their credit: 64 MiB of each connection could be under way."""
    with SourceJob(ANY_PORT, ANY_PORT) as job:
        address = job.agents_address if side is Side.AGENT else job.clients_address
        longest = job.state._settings.agent_credit if side is Side.AGENT else 2 << 20
        with Raw(address) as raw:
            raw.say(CONNECT)
            raw.send([b"\x01", bytes(longest)])
            assert raw.hears_that(Unknown())
            raw.send([b"\x01", bytes(longest + (1 << 11))])
            assert raw.was_cut
