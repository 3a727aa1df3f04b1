"""Whatever one client or agent has the source job do, its thread goes on with others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from mql.ledger import Tally
from mql.wire.codec import to_agents
from mql.wire.messages import Accept, Alive, Batch, Part, Subscribe
from mql.wire.payload import write_batch
from publish_agent import Agent
from source_jobs.client.client import Client, connect
from tests.hostile.peers import CONNECT, Raw, ask, hello
from tests.hostile.queries import filled, where
from tests.oracle.cases import Event
from tests.source_jobs.protocol.stage import agent_half, partial_of, states_of

pytestmark = [pytest.mark.alone, pytest.mark.timeout(120)]

STALL_S = 0.1
OVERSHOT_S = 0.005
"""A thread that has nothing to do sleeps for 0.1 s, and wakes so much later at most."""
TRIES = 3


@dataclass
class Watched:
    """Where a source job listens whose thread is watched."""

    agents: str
    clients: str


@contextmanager
def watched(stalls: list[dict[str, float]]) -> Iterator[Watched]:
    """A source job, which somebody speaks to every few milliseconds."""
    arguments = [sys.executable, "-m", "tests.hostile.stalls"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(arguments, cwd=Path(__file__).parents[2], text=True, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        done = threading.Event()
        addresses = Watched(*process.stdout.readline().split())
        speaking = threading.Thread(target=speak, args=(addresses.clients, done))
        speaking.start()
        try:
            with connect(addresses.clients, timeout_s=20) as client:
                client.queries()
            print(file=process.stdin, flush=True)
            yield addresses
            print(file=process.stdin, flush=True)
            stalls.append(json.loads(process.stdout.readline()))
            print(file=process.stdin, flush=True)
            process.wait(20)
        finally:
            done.set()
            speaking.join()
            process.kill()


def speak(address: str, done: threading.Event) -> None:
    with Raw(address) as honest:
        honest.say(CONNECT)
        while not done.wait(0.005):
            honest.say(Alive())
            while honest.socket.poll(0):
                honest.socket.recv_multipart()


def assert_goes_on(hurt: Callable[[Watched], None]) -> None:
    """The thread stands still for no longer than a moment while it is hurt."""
    stalls: list[dict[str, float]] = []
    while len(stalls) < TRIES and (not stalls or stalls[-1]["clock_s"] > STALL_S + OVERSHOT_S):
        with watched(stalls) as job:
            hurt(job)
    assert min(each["processor_s"] for each in stalls) <= STALL_S
    assert min(each["clock_s"] for each in stalls) <= STALL_S + OVERSHOT_S


def running(client: Client, number: int, bad: Raw) -> None:
    """Wait until so many queries run, of a peer that says that it is alive."""
    end = time.monotonic() + 30
    while len(client.queries()) < number:
        assert time.monotonic() < end
        bad.say(Alive())
        time.sleep(0.1)


def test_the_thread_goes_on_while_the_longest_texts_are_planned() -> None:
    """Each took most of a second in that thread."""

    def hurt(job: Watched) -> None:
        with Raw(job.clients) as bad, connect(job.clients, timeout_s=20) as client:
            bad.say(CONNECT)
            bad.say(ask(filled(where(""), "b!=#", 60_000, " and "), 1))
            bad.say(ask(filled(where("b in ("), "1#", 60_000, ",", ")"), 2))
            running(client, 2, bad)

    assert_goes_on(hurt)


LONG = bool(os.environ.get("MQL_STALLS"))
GROUPS, AT_ONCE = (200_000, 10_000) if LONG else (100_000, 10_000)
MAKING_MS = 6_000 if LONG else 3_000
"""An agent takes less to make them."""
WINDOWS = {
    "groups": "select n, s, count(*) from requests group by n, s window 1",
    "in order": "select n, s, count(*) as c from requests group by n, s window 1 order by s",
    "sliding": "select n, count(*) from requests group by n window 1 0.5",
    "lists": "select n, list(s) from requests group by n window 1",
    "rows": "select n, s from requests window 1 order by s",
}


class RawAgent:
    """An agent that accepts one query, and sends many rows or states at once."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self._sequence = self._shipped = 0
        raw.say(hello("bad"))
        self.asked = self._subscribe()
        raw.say(Accept(self.asked.query, self.asked.source, now_ms()))

    def _subscribe(self) -> Subscribe:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if self.raw.socket.poll(1_000):
                message, _ = to_agents().decode(self.raw.socket.recv_multipart())
                if isinstance(message, Subscribe):
                    return message
        raise AssertionError("it was asked nothing")

    def say(
        self, watermark_ms: int, sent: pa.RecordBatch | None = None, *, states: bool = False
    ) -> None:
        """Send a part, which tells of as many events as it has rows."""
        rows = 0 if sent is None else sent.num_rows
        self._sequence += 1
        self._shipped += rows
        slot_ms = watermark_ms // self.asked.slot_ms * self.asked.slot_ms
        part = Part(
            self.asked.query,
            self.asked.source,
            self._sequence,
            watermark_ms,
            self._shipped,
            self._shipped,
            (Tally(slot_ms, shipped=rows),),
            sent is not None,
        )
        payload = None if sent is None else write_batch(sent).to_pybytes()
        self.raw.say(Batch((part,), states=states), payload)

    def send_groups(self, *, states: bool) -> None:
        """As many as are told of above, all of one moment, and then let time go on."""
        moment_ms = now_ms() + MAKING_MS
        made = [
            self._made(range(start, start + AT_ONCE), moment_ms, states=states)
            for start in range(0, GROUPS, AT_ONCE)
        ]
        while now_ms() <= moment_ms:
            time.sleep(0.01)
        for sent in made:
            self.say(moment_ms, sent, states=states and self.asked.states)
        for _ in range(30):
            time.sleep(0.1)
            self.say(now_ms())

    def _made(self, numbers: range, moment_ms: int, *, states: bool) -> pa.RecordBatch:
        self.say(now_ms())
        events: list[Event] = [(moment_ms, {"n": n, "s": f"customer {n:08}"}) for n in numbers]
        batch, _ = agent_half(self.asked, events)
        if not (states and self.asked.states):
            return batch
        made = states_of(partial_of(self.asked), batch)
        assert made is not None
        return made


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.mark.parametrize("way", WINDOWS if LONG else ["in order"])
@pytest.mark.parametrize("states", [False, True] if LONG else [False])
def test_the_thread_goes_on_while_a_window_of_many_groups_closes(way: str, *, states: bool) -> None:
    """It was told of in one go, for up to a second: others waited."""

    def hurt(job: Watched) -> None:
        with Raw(job.agents) as raw, connect(job.clients, timeout_s=20) as client:
            answer = client.subscribe(WINDOWS[way])
            agent = RawAgent(raw)
            sending = threading.Thread(target=agent.send_groups, kwargs={"states": states})
            sending.start()
            rows, end = 0, time.monotonic() + 40
            while rows < GROUPS:
                window = answer.get(timeout_s=end - time.monotonic())
                assert window is not None
                rows += window.num_rows
            sending.join()

    assert_goes_on(hurt)


@pytest.mark.skipif(not LONG, reason="make crowds")
def test_the_thread_goes_on_while_one_client_has_more_windows_than_there_is_time_for() -> None:
    """All that closed at a time were told of in one go: half a second for 200 of them."""

    def hurt(job: Watched) -> None:
        text = "select count(*), {} from requests where n != {} window 0.1"
        done, agent = threading.Event(), Agent(service="shop", source_jobs=[job.agents])
        publishing = threading.Thread(target=publish, args=(agent, done))
        publishing.start()
        try:
            with connect(job.clients) as bad, connect(job.clients) as good:
                own = good.subscribe("select count(*) as n from requests window 0.5")
                for number in range(200):
                    bad.subscribe(text.format(number, -number))
                end, lags_ms = time.monotonic() + 10, []
                while time.monotonic() < end:
                    window = own.get(timeout_s=20)
                    assert window is not None
                    if window.end_ms is not None:
                        lags_ms.append(now_ms() - window.end_ms)
                assert max(lags_ms[-10:]) < 3_000
        finally:
            done.set()
            publishing.join()
            agent.close()

    assert_goes_on(hurt)


def publish(agent: Agent, done: threading.Event) -> None:
    while not done.wait(0.002):
        agent.publish("requests", {"n": 1})
