"""The agent in real processes, with real sockets, threads and forks."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import zmq
import zmq.auth

from mql.host.native_threads import running
from mql.ledger import Tally
from mql.wire.messages import (
    Accept,
    Batch,
    Goodbye,
    Hello,
    Unsubscribe,
)
from publish_agent import Agent, Status
from publish_agent.runtime import rest
from tests.publish_agent.router import ALL, Router, program

pytestmark = [pytest.mark.timeout(60), pytest.mark.alone]


@pytest.fixture
def agent(router: Router) -> Iterator[Agent]:
    made = Agent("checkout", router.address, redact=["password"])
    yield made
    made.close()


def test_an_event_reaches_who_asks_for_it(router: Router, agent: Agent) -> None:
    requests = agent.stream("requests")
    router.subscribe(1, f"{ALL} where status >= 500")
    statuses = [requests.publish({"status": s, "password": "hunter2"}) for s in (200, 500, 503)]
    assert statuses == [Status.SKIPPED, Status.ACCEPTED, Status.ACCEPTED]
    router.run(lambda: router.total().seen == 3)
    assert router.texts() == ['{"status":500}', '{"status":503}']
    assert router.total() == Tally(0, shipped=2, filtered_out=1)
    assert not any(b"hunter2" in frame for frame in router.frames)


def test_not_one_event_byte_leaves_without_a_subscription(router: Router, agent: Agent) -> None:
    requests = agent.stream("requests")
    router.run(router.peers)
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        requests.publish({"status": 200, "marker": "7d1f"})
        router.run(lambda: True)
        if router.socket.poll(0):
            router._take()
    assert not router.of(Batch)
    assert not any(b"7d1f" in frame or b"marker" in frame for frame in router.frames)
    assert sum(map(len, router.frames)) < 2_000


def test_the_thread_starts_with_the_first_stream_and_ends_with_close(router: Router) -> None:
    before = running()
    agent = Agent("checkout", router.address)
    assert running() == before
    agent.publish("requests", {"a": 1})
    assert sorted(running()) == sorted([*before, "mql-agent"])
    router.run(router.peers)
    agent.close()
    assert running() == before
    router.run(lambda: router.of(Goodbye))
    assert agent.publish("requests", {}) is Status.CLOSED
    assert agent.stream("others").publish({}) is Status.CLOSED
    agent.close()


def test_streams_are_limited_and_names_are_texts(agent: Agent) -> None:
    for name in ("", "x" * 1_000, "\ud800", 3, None, [], {}):
        assert agent.publish(name, {}) is Status.SKIPPED  # type: ignore[arg-type]
        agent.lost(name, 1)  # type: ignore[arg-type]
    for i in range(1_100):
        assert agent.stream(f"s{i}").publish({}) is Status.SKIPPED
    assert agent.stream("s1") is agent.stream("s1")
    assert len({id(agent.stream(f"s{i}")) for i in range(1_000)}) == 1_000


def test_many_threads_publish_and_each_event_is_counted_once(router: Router, agent: Agent) -> None:
    requests = agent.stream("requests")
    router.subscribe(1, f"{ALL} where n == 1")
    accepted = [0] * 8

    def publish(thread: int) -> None:
        for i in range(2_000):
            accepted[thread] += requests.publish({"n": i % 50}) is Status.ACCEPTED

    threads = [threading.Thread(target=publish, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    router.run(lambda: not any(t.is_alive() for t in threads))
    router.run(lambda: router.total().seen == 16_000)
    assert router.total().shipped == sum(accepted) == 8 * 40
    assert router.total().filtered_out == 16_000 - 320


def test_it_works_under_asyncio(router: Router, agent: Agent) -> None:
    requests = agent.stream("requests")
    router.subscribe(1, ALL)

    async def publish(number: int) -> Status:
        await asyncio.sleep(0)
        return requests.publish({"n": number})

    async def everything() -> list[Status]:
        return await asyncio.gather(*(publish(i) for i in range(100)))

    assert set(asyncio.run(everything())) == {Status.ACCEPTED}
    router.run(lambda: router.total().shipped == 100)


def test_several_source_jobs_are_served_at_once(router: Router) -> None:
    other = Router(name="other")
    agent = Agent("checkout", [router.address, other.address])
    requests = agent.stream("requests")
    router.subscribe(1, f"{ALL} where a == 1")
    other.subscribe(1, ALL)
    requests.publish({"a": 1})
    requests.publish({"a": 2})
    router.run(lambda: router.total().seen == 2)
    other.run(lambda: other.total().seen == 2)
    assert (router.total().shipped, other.total().shipped) == (1, 2)
    agent.close()
    other.close()


def test_it_comes_back_to_a_source_job_that_was_restarted() -> None:
    first = Router()
    agent = Agent("checkout", first.address)
    requests = agent.stream("requests")
    first.subscribe(1, ALL)
    first.close()
    second = Router(port=first.port, name="second")
    second.subscribe(2, ALL)
    requests.publish({"a": 1})
    second.run(lambda: second.total(2).shipped == 1)
    assert not second.total(1).seen
    agent.close()
    second.close()


def test_a_source_job_that_comes_later_is_found() -> None:
    probe = Router()
    probe.close()
    agent = Agent("checkout", probe.address)
    agent.stream("requests")
    time.sleep(0.3)
    late = Router(port=probe.port)
    late.run(late.peers)
    assert len(late.of(Hello)) == 1, "nothing stale has waited in the socket"
    agent.close()
    late.close()


def test_a_name_stands_for_its_addresses(router: Router) -> None:
    agent = Agent("checkout", f"tcp://localhost:{router.port}")
    agent.stream("requests")
    router.run(router.peers)
    agent.close()


def test_without_a_source_job_close_does_not_wait() -> None:
    probe = Router()
    probe.close()
    agent = Agent("checkout", probe.address)
    assert agent.publish("requests", {"a": 1}) is Status.SKIPPED
    begin = time.monotonic()
    agent.close()
    assert time.monotonic() - begin < 0.5


def test_a_source_job_that_stops_reading_does_not_hold_up_the_end(router: Router) -> None:
    agent = Agent("checkout", router.address)
    requests = agent.stream("requests")
    router.subscribe(1, ALL)
    for _ in range(50):
        requests.publish({"x": "x" * 200_000})
    begin = time.monotonic()
    agent.close()
    assert time.monotonic() - begin < 0.6


def test_curve_keeps_strangers_out(tmp_path: Path) -> None:
    _, secret = zmq.auth.create_certificates(tmp_path, "agent")
    Path(secret).chmod(0o600)
    job_public, job_secret = zmq.auth.create_certificates(tmp_path, "job")
    private = zmq.auth.load_certificate(job_secret)[1]
    assert private is not None
    router = Router(secret=private)
    stranger = Agent("stranger", router.address)
    friend = Agent("friend", router.address, key=secret, server_key=job_public)
    stranger.stream("requests")
    friend.stream("requests")
    router.run(router.peers)
    end = time.monotonic() + 0.5
    router.run(lambda: time.monotonic() > end)
    assert {m.service for m in router.of(Hello) if isinstance(m, Hello)} == {"friend"}
    stranger.close()
    friend.close()
    router.close()


def test_disabled_means_no_thread_and_no_bytes(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MQL_DISABLED", "1")
    before = set(Path("/proc/self/task").iterdir())
    agent = Agent("checkout", router.address)
    assert agent.publish("requests", {"a": 1}) is Status.SKIPPED
    assert set(Path("/proc/self/task").iterdir()) <= before
    agent.close()


def test_unsubscribing_makes_publishing_a_look_and_a_return(router: Router, agent: Agent) -> None:
    requests = agent.stream("requests")
    router.subscribe(1, ALL)
    assert requests.publish({}) is Status.ACCEPTED
    router.send(next(iter(router.peers().values())), Unsubscribe(1))
    router.run(lambda: requests.publish({}) is Status.SKIPPED)


# Forks


def child(agent: Agent, count: int) -> None:
    requests = agent.stream("requests")
    end = time.monotonic() + 5
    while requests.publish({"pid": "child"}) is Status.SKIPPED and time.monotonic() < end:
        time.sleep(0.01)
    for _ in range(count - 1):
        requests.publish({"pid": "child"})


def test_a_forked_child_is_an_agent_of_its_own(router: Router, agent: Agent) -> None:
    requests = agent.stream("requests")
    router.subscribe(1, ALL)
    parent = next(iter(router.peers()))
    process = multiprocessing.get_context("fork").Process(target=child, args=(agent, 10))
    process.start()
    router.run(lambda: len(router.peers()) == 2)
    (name,) = set(router.peers()) - {parent}
    router.subscribe(1, ALL, router.peers()[name])
    requests.publish({"pid": "parent"})
    router.run(lambda: len(router.texts()) >= 11)
    process.join(5)
    assert process.exitcode == 0
    router.run(lambda: router.of(Goodbye))
    assert sorted(set(router.texts())) == ['{"pid":"child"}', '{"pid":"parent"}']
    hellos = {m.agent: m.pid for m in router.of(Hello) if isinstance(m, Hello)}
    assert hellos == {parent: os.getpid(), name: process.pid}
    assert router.texts().count('{"pid":"child"}') == 10, "a child's last events come too"


def test_a_child_that_does_not_publish_has_no_thread(agent: Agent, router: Router) -> None:
    agent.stream("requests")
    router.run(router.peers)
    pid = os.fork()
    if pid == 0:
        os._exit(len(list(Path("/proc/self/task").iterdir())))
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 1


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> float:
    """How soon after a fork an agent rests, for once."""
    monkeypatch.setattr(rest, "REST_S", 0.2)
    return 1.5  # it looks once a second


def fork() -> None:
    """Have a child that does nothing."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def test_who_only_loads_an_application_for_others_is_no_agent_until_it_publishes(
    agent: Agent, router: Router, soon: float
) -> None:
    requests = agent.stream("requests")
    router.subscribe(1, ALL)
    (loaded,) = router.peers()
    fork()
    router.run(lambda: router.of(Goodbye), soon)
    time.sleep(0.2)
    assert set(router.peers()) == {loaded}
    assert requests.publish({"n": 0}) is Status.SKIPPED
    router.run(lambda: len(router.peers()) == 2)
    (name,) = set(router.peers()) - {loaded}
    router.subscribe(1, ALL, router.peers()[name])
    accepts = router.of(Accept)
    assert isinstance(accepts[-1], Accept)
    assert accepts[-1].unseen == 1
    assert requests.publish({"n": 1}) is Status.ACCEPTED
    router.run(router.texts)
    assert router.texts() == ['{"n":1}']


def test_who_has_published_stays_an_agent_when_it_forks(
    agent: Agent, router: Router, soon: float
) -> None:
    requests = agent.stream("requests")
    router.subscribe(1, "select * from requests where n > 1")
    assert requests.publish({"n": 0}) is Status.SKIPPED
    fork()
    with suppress(AssertionError):
        router.run(lambda: router.of(Goodbye), soon)
    assert not router.of(Goodbye)
    assert requests.publish({"n": 2}) is Status.ACCEPTED


@pytest.mark.usefixtures("soon")
def test_who_rests_tells_of_its_first_event_also_if_it_is_closed_at_once(
    agent: Agent, router: Router
) -> None:
    requests = agent.stream("requests")
    router.run(router.peers)
    fork()
    router.run(lambda: router.of(Goodbye))
    requests.publish({"n": 0})
    closing = threading.Thread(target=agent.close)
    closing.start()
    router.run(lambda: len(router.peers()) == 2)
    closing.join()


@pytest.mark.usefixtures("soon")
def test_a_stream_that_is_made_later_wakes_who_rests(agent: Agent, router: Router) -> None:
    agent.stream("requests")
    router.run(router.peers)
    fork()
    router.run(lambda: router.of(Goodbye))
    agent.stream("orders")
    router.run(lambda: len(router.peers()) == 2)


# Ends of processes

PROGRAM = """
import sys, time
from publish_agent import Agent, Status
from publish_agent.runtime import rest
agent = Agent("checkout", sys.argv[1])
requests = agent.stream("requests")
end = time.monotonic() + 8
while requests.publish({"n": 0}) is Status.SKIPPED and time.monotonic() < end:
    time.sleep(0.01)
for n in range(1, 100):
    requests.publish({"n": n})
print(time.time(), flush=True)
"""


ENDINGS = [
    "",
    "sys.exit(3)",
    "raise SystemExit",
    "import threading; threading.Thread(target=time.sleep, args=(0.2,)).start()",
]


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_last_events_come_and_the_exit_is_quick(router: Router, ending: str) -> None:
    process = program(PROGRAM + ending, router.address)
    router.subscribe(1, ALL)
    router.run(lambda: process.poll() is not None, 15)
    out, err = process.communicate()
    assert time.time() - float(out.split()[0]) < 1.0
    assert not err
    router.run(lambda: router.of(Goodbye))
    assert router.total().shipped == 100


def test_a_process_without_a_source_job_ends_quickly() -> None:
    code = "import time; from publish_agent import Agent; agent = Agent('x', 'tcp://127.0.0.1:9')"
    code += "; agent.publish('s', {}); print(time.time())"
    process = program(code, "")
    out, err = process.communicate(timeout=20)
    assert not err
    assert time.time() - float(out) < 1.0
    assert process.returncode == 0
