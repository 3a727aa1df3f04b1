"""Nothing that events, threads, forks or exits do raises into, blocks or slows the service."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from mql.ledger import Tally
from mql.wire.messages import Goodbye, Hello, Unsubscribe
from publish_agent import Agent, Status, Stream
from publish_agent.capture.event_buffer import Intake, Room
from publish_agent.settings import Settings
from tests.publish_agent.odd import BadKey, odd_events
from tests.publish_agent.router import ALL, Router, program
from tests.publish_agent.support import Bench

pytestmark = pytest.mark.timeout(60)

CONDITIONS = (
    "a == 'x' and b > 3 or e['c']['d'] == 1",
    "u in ('a', 'b') and m ==~ /x.*/",
    "e['l'][0]['k'] != 5 and a like '%x'",
)


@pytest.fixture
def agent(router: Router) -> Iterator[Agent]:
    made = Agent("checkout", router.address, cpu_share=10.0)
    yield made
    made.close()


def test_no_event_raises_and_each_is_counted() -> None:
    bench = Bench()
    bench.subscribe(1, "select * from s", tick=False)
    for query, condition in enumerate(CONDITIONS, 2):
        bench.subscribe(query, f"select * from s where {condition}", tick=False)
    bench.subscribe(9, "select count(*), sum(b), a from s window 1 group by a", states=True)
    events = odd_events()
    BadKey.armed = True
    try:
        for event in events:
            bench.publish(event)
            bench.tick()
    finally:
        BadKey.armed = False
    bench.settle()
    assert sum(bench.statuses.values()) == len(events)
    for query in (1, 2, 3, 4, 9):
        total = bench.got(query).total
        assert total.seen == len(events)
        assert total.failed >= bench.statuses[Status.DROPPED_UNREADABLE] > 0
    assert bench.got(1).total.shipped == bench.statuses[Status.ACCEPTED] > len(events) // 3


CHANGES_ITSELF = """
from publish_agent.capture.encode import encode

class Changes:
    def __init__(self, what): self.what = what
    def __str__(self): self.what(); return "changed"

def tried(event):
    try: return encode(event)
    except Exception as error: return repr(error)

for _ in range(5):
    shrinks = []
    shrinks += [Changes(shrinks.clear), *(object() for _ in range(50)), *map(str, range(100))]
    tried({"l": shrinks, "z": 1})
    gone = {}
    gone |= {"l": [Changes(gone.clear), *(["x"] for _ in range(100))], "m": [1, 2]}
    tried(gone)
    grows = {}
    grows |= {"a": Changes(lambda: grows.update((str(n), n) for n in range(1000))), "b": {}}
    tried(grows)
    endless = []
    endless.append(Changes(lambda: endless.append(endless[0])))
    tried({"l": endless})
    some = set()
    some |= {Changes(some.clear), 1, 2}
    tried({"s": some})
print("alive")
"""


def test_an_event_that_changes_while_it_is_read_ends_nothing() -> None:
    process = program(CHANGES_ITSELF, "")
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("alive\n", "", 0)


def test_events_that_other_threads_change_are_read_or_counted() -> None:
    bench = Bench()
    bench.subscribe(1, "select * from s", tick=False)
    bench.subscribe(2, "select * from s where e['a']['3'] == 1 or l == 2")
    event: dict[str, object] = {"a": {"b": [1]}, "l": [{"k": 1}], "t": object()}
    ended = threading.Event()

    def change() -> None:
        dice = random.Random(1)  # noqa: S311
        while not ended.is_set():
            inner = event.get("a")
            key = f"k{dice.randrange(50)}"
            if isinstance(inner, dict):
                inner[key] = [object() for _ in range(dice.randrange(20))]
                inner.pop(f"k{dice.randrange(50)}", None)
            event["l"] = []
            event["a"] = dict.fromkeys(map(str, range(dice.randrange(30))), object())
            event.pop(f"k{dice.randrange(50)}", None)
            event[key] = {"x": key}

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=change) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        bench.publish(*[event] * 300)
    finally:
        ended.set()
        sys.setswitchinterval(interval)
        for thread in threads:
            thread.join()
    bench.settle()
    assert sum(bench.statuses.values()) == 300
    assert bench.got(1).total.seen == bench.got(2).total.seen == 300
    assert bench.got(1).total.shipped == bench.statuses[Status.ACCEPTED] > 0


def test_a_slow_event_holds_up_nobody_else(agent: Agent, router: Router) -> None:
    class Slow:
        def __str__(self) -> str:
            time.sleep(1.0)
            return "slow"

    requests = agent.stream("requests")
    router.subscribe(1, ALL)
    slow = threading.Thread(target=requests.publish, args=({"a": Slow()},))
    slow.start()
    longest = longest_call(lambda: requests.publish({"a": 1}), 200)
    assert slow.is_alive()
    assert longest < 0.5
    router.run(lambda: router.total().seen == 201)
    slow.join()


def longest_call(call: Callable[[], object], times: int) -> float:
    """The seconds that the longest of some calls took."""
    longest = 0.0
    for _ in range(times):
        began = time.perf_counter()
        call()
        longest = max(longest, time.perf_counter() - began)
    return longest


# Threads


def test_two_hundred_threads_publish_while_subscriptions_change(
    agent: Agent, router: Router
) -> None:
    requests = agent.stream("requests")
    router.subscribe(1, ALL)
    (peer,) = router.peers().values()
    statuses: list[Status] = []

    def publish() -> None:
        statuses.extend([requests.publish({"n": n}) for n in range(100)])

    threads = [threading.Thread(target=publish) for _ in range(200)]
    for number, thread in enumerate(threads):
        thread.start()
        if number % 20 == 0:
            router.subscribe(2 + number, f"{ALL} where n == {number}")
            router.send(peer, Unsubscribe(2 + number))
    for thread in threads:
        thread.join()
    router.run(lambda: router.total().seen == 20_000, 20)
    counts = Counter(statuses)
    assert router.total().shipped == counts[Status.ACCEPTED]
    assert router.total().buffer == counts[Status.DROPPED_BUFFER]
    assert router.total().budget == counts[Status.DROPPED_BUDGET]
    assert sum(counts.values()) == 20_000


def test_threads_that_are_sampled_are_each_counted_once() -> None:
    bench = Bench(Settings(service="checkout"))
    bench.state.budget.weight = 7
    bench.subscribe(1, "select * from s")
    stream, statuses = bench.streams["s"], Counter[Status]()

    def publish() -> None:
        mine = [stream.publish({"n": n}) for n in range(5_000)]
        statuses.update(mine)

    publish()
    bench.tick()  # from now on there are dice for as many events as come

    threads = [threading.Thread(target=publish) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        bench.tick()
    bench.settle()
    total = bench.got(1).total
    assert total.seen == 45_000
    assert total.shipped == statuses[Status.ACCEPTED]
    assert total.budget == statuses[Status.DROPPED_BUDGET]
    assert abs(total.shipped - 45_000 / 7) < 5 * (45_000 / 7) ** 0.5


def test_a_full_queue_does_not_slow_the_service() -> None:
    stalled = Router()  # it lets the agent in, and then reads no more
    agent = Agent("checkout", stalled.address, cpu_share=10.0, buffer_bytes=1_000_000)
    requests = agent.stream("requests")
    stalled.subscribe(1, ALL)
    event = {"x": "x" * 10_000}
    statuses: Counter[Status] = Counter()
    longest = longest_call(lambda: statuses.update([requests.publish(event)]), 5_000)
    assert longest < 1.0
    began = time.perf_counter()
    agent.close()
    assert time.perf_counter() - began < 1.0
    stalled.close()


def test_publishing_while_it_closes_and_after(router: Router) -> None:
    agent = Agent("checkout", router.address)
    requests = agent.stream("requests")
    router.subscribe(1, ALL)
    seen: list[Status] = []

    def publish() -> None:
        while True:
            seen.append(agent.publish("requests", {"a": 1}))
            if seen[-1] is Status.CLOSED:
                break

    threads = [threading.Thread(target=publish) for _ in range(8)]
    for thread in threads:
        thread.start()
    closers = [threading.Thread(target=agent.close) for _ in range(3)]
    for thread in closers:
        thread.start()
    for thread in [*closers, *threads]:
        thread.join(5)
        assert not thread.is_alive()
    agent.close()
    assert requests.publish({"a": 1}) is Status.CLOSED
    assert agent.stream("another").publish({}) is Status.CLOSED
    requests.lost(3)


def test_a_finalizer_or_a_signal_may_publish_in_the_middle_of_publishing(
    agent: Agent, router: Router
) -> None:
    requests = agent.stream("requests")
    router.subscribe(1, ALL)
    count = 0

    def publish(*_: object) -> None:
        nonlocal count
        count += 1
        requests.publish({"from": "a handler"})

    class Publishes:
        __del__ = publish

    before = signal.signal(signal.SIGALRM, publish)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        for n in range(3_000):
            requests.publish({"n": n, "o": Publishes()})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert count >= 3_000
    router.run(lambda: router.total().seen == 3_000 + count, 20)


# Forks


def publish_until_taken(stream: Stream, number: int) -> None:
    """In a child: publish, until a query takes it, so many events."""
    end = time.monotonic() + 10
    while stream.publish({"pid": os.getpid()}) is Status.SKIPPED and time.monotonic() < end:
        time.sleep(0.005)
    for _ in range(number - 1):
        stream.publish({"pid": os.getpid()})


def child_of_pool(stream: Stream) -> None:
    publish_until_taken(stream, 5)


@contextlib.contextmanager
def publishing(stream: Stream, threads: int = 4) -> Iterator[Counter[Status]]:
    """Threads that publish meanwhile."""
    ended, statuses = threading.Event(), Counter[Status]()

    def publish() -> None:
        mine: Counter[Status] = Counter()
        while not ended.is_set():
            mine[stream.publish({"pid": "parent"})] += 1
            time.sleep(0.0005)
        statuses.update(mine)

    running = [threading.Thread(target=publish) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield statuses
    finally:
        ended.set()
        for thread in running:
            thread.join()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_in_the_middle_of_publishing_leaves_both_at_work(
    agent: Agent, router: Router
) -> None:
    requests = agent.stream("requests")
    router.subscribe(1, ALL)
    (parent,) = router.peers().values()
    pids: list[int] = []
    with publishing(requests) as statuses:
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                try:
                    publish_until_taken(requests, 5)
                    agent.close()
                finally:
                    os._exit(0)
            pids.append(pid)
        forked = multiprocessing.get_context("fork").Process(target=child_of_pool, args=(requests,))
        forked.start()
        pids.append(forked.pid or 0)
        router.run(lambda: len(router.peers()) == 1 + len(pids), 20)
        for peer in router.peers().values():
            if peer != parent:
                router.subscribe(1, ALL, peer)
        router.run(lambda: len(router.of(Goodbye)) == len(pids), 20)
    forked.join(5)
    assert forked.exitcode == 0
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids[:-1]] == [0] * 3
    mine = statuses[Status.ACCEPTED]
    router.run(lambda: sum("parent" in text for text in router.texts()) == mine)
    by_pid = Counter(text for text in router.texts() if "parent" not in text)
    assert by_pid == {f'{{"pid":{pid}}}': 5 for pid in pids}
    assert len({hello.pid for hello in router.of(Hello) if isinstance(hello, Hello)}) == 5


# A process that is short of everything

WITHOUT_DESCRIPTORS = """
import logging, os, resource, sys, time
from publish_agent import Agent, agent as module
logging.getLogger("publish_agent").addHandler(logging.NullHandler())
module._AGAIN_S = 0.2
agent = Agent("checkout", sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (150, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = []
try:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
for _ in range(SPARE):
    os.close(held.pop())
for _ in range(20):
    agent.publish("requests", {"n": 1})
    time.sleep(0.05)
print("alive", flush=True)
for descriptor in held:
    os.close(descriptor)
for _ in range(100):
    agent.publish("requests", {"n": 1})
    time.sleep(0.05)
"""


@pytest.mark.parametrize("spare", [0, 2, 5, 12])
def test_a_process_without_descriptors_goes_on_and_so_does_the_agent_later(
    router: Router, spare: int
) -> None:
    process = program(WITHOUT_DESCRIPTORS.replace("SPARE", str(spare)), router.address)
    assert process.stdout is not None
    assert process.stdout.readline() == "alive\n"
    router.run(router.peers, 20)
    process.kill()
    process.communicate()


# The end of the process

SHUTDOWN = """
import sys, threading, time
from publish_agent import Agent, Status
agent = Agent("checkout", sys.argv[1])
requests = agent.stream("requests")

class Late:
    def __del__(self):
        requests.publish({"from": "a finalizer"})

late = Late()

def publish():
    while True:
        requests.publish({"n": 1, "o": object()})

for _ in range(4):
    threading.Thread(target=publish, daemon=True).start()
end = time.monotonic() + 8
while requests.publish({"n": 0}) is Status.SKIPPED and time.monotonic() < end:
    time.sleep(0.01)
time.sleep(0.2)
print(time.time(), flush=True)
"""


def test_a_process_that_ends_while_daemon_threads_publish_ends_quietly(router: Router) -> None:
    process = program(SHUTDOWN, router.address)
    router.run(router.peers, 20)
    router.subscribe(1, ALL)
    router.run(lambda: process.poll() is not None, 20)
    out, err = process.communicate()
    assert (err, process.returncode) == ("", 0)
    assert time.time() - float(out) < 2.0


SIGNALLED = """
import signal, sys
from publish_agent import Agent
agent = Agent("checkout", sys.argv[1])
requests = agent.stream("requests")
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("ready", flush=True)
while True:
    requests.publish({"n": 1, "o": object()})
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, -2)])
def test_a_signal_ends_a_process_that_publishes(router: Router, number: int, code: int) -> None:
    process = program(SIGNALLED, router.address)
    assert process.stdout is not None
    process.stdout.readline()
    router.run(router.peers, 20)
    router.subscribe(1, ALL)
    began = time.monotonic()
    process.send_signal(number)
    router.run(lambda: process.poll() is not None, 10)
    _, err = process.communicate()
    assert time.monotonic() - began < 3
    assert process.returncode == code
    assert not err or err.rstrip().endswith("KeyboardInterrupt")
    router.run(lambda: router.of(Goodbye))


def test_what_is_lost_before_is_counted_from_any_thread(agent: Agent, router: Router) -> None:
    requests = agent.stream("requests")
    router.subscribe(1, ALL)
    threads = [threading.Thread(target=requests.lost, args=(1,)) for _ in range(500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    router.run(lambda: router.total().upstream == 500)
    assert router.total() == Tally(0, upstream=500)


def test_notes_of_lost_events_are_put_together_while_they_are_read() -> None:
    intake = Intake(lambda _: (), lambda _: b"", lambda: 0, lambda: 0, Room(1), 1)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [
        threading.Thread(target=lambda: [intake.lost(1) for _ in range(5_000)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    taken = []
    try:
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.0005)  # so that notes pile up
            taken += intake.take_lost(0)
    finally:
        sys.setswitchinterval(interval)
    taken += intake.take_lost(0)
    assert sum(number for _, number in taken) == 20_000
