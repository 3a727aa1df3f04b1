"""A service that has few threads or little memory left lives, and its agent waits."""

from __future__ import annotations

import os

import pytest

from mql.host.native_threads import Thread
from mql.wire.messages import Subscribe
from publish_agent.runtime.memory_room import NoRoomError, check_threads
from tests.publish_agent.router import ALL, Router, program

pytestmark = [pytest.mark.timeout(100), pytest.mark.alone]

COUNT = "select count(*), sum(n) from requests window 1 group by k"

CHILDREN = """
import logging, os, resource, sys, time
from publish_agent import Agent, Status, agent as starting
from publish_agent.runtime import worker

logging.getLogger("publish_agent").addHandler(logging.NullHandler())
starting._AGAIN_S = worker._AGAIN_S = 0.3
THREADS = range(9)
SPACES = [0, 64, 256, 1024, 4096, 8192, 8300, 9216, 12_288, 16_384, 20_480, 24_576, 32_768, 49_152,
          65_536, 81_920, 131_072, 204_800, 409_600, 819_200]  # KiB

def leave_threads(number, uid):
    os.setgid(uid)
    os.setuid(uid)  # root has no such limit, and other processes of a user count
    running = len(os.listdir("/proc/self/task"))
    resource.setrlimit(resource.RLIMIT_NPROC, (running + number,) * 2)

def leave_space(kib, _):
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + kib * 1024,) * 2)

def publish(requests, seconds, until=()):
    end = time.monotonic() + seconds
    n = 0
    while time.monotonic() < end:
        n += 1
        if requests.publish({"n": n, "k": n % 10, "t": "x" * 100, "o": object()}) in until:
            break
        time.sleep(0.002)

def live(address, leave, number, uid, when):
    agent = Agent("checkout", address)
    if when == "while it runs":
        publish(agent.stream("requests"), 15, [Status.ACCEPTED])
    leave(number, uid)
    publish(agent.stream("requests"), 1.5)
    agent.close()

def spawn(*arguments):
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        live(*arguments)
        code = 0
    finally:
        os._exit(code)

asked, unasked = sys.argv[1], "tcp://127.0.0.1:9"
cases = [
    *((asked, leave_space, number, 0, "before") for number in SPACES),
    *((unasked, leave_space, number, 0, "before") for number in SPACES),
    *((asked, leave_space, number, 0, "while it runs") for number in SPACES),
]
if os.getuid() == 0:
    cases += ((asked, leave_threads, number, 40_000 + number, "before") for number in THREADS)
    cases += ((unasked, leave_threads, number, 41_000 + number, "before") for number in THREADS)
    late = "while it runs"
    cases += ((asked, leave_threads, number, 42_000 + number, late) for number in THREADS)
for at in range(0, len(cases), 30):
    children = {spawn(*case): case for case in cases[at : at + 30]}
    for pid, case in children.items():
        _, status = os.waitpid(pid, 0)
        if status:
            print(os.waitstatus_to_exitcode(status), case[1].__name__, *case[2:], case[0] == asked)
print("done", len(cases))
"""


def test_a_service_with_few_threads_or_little_memory_left_lives() -> None:
    router = Router()
    process = program(CHILDREN, router.address)
    asked: set[bytes] = set()

    def ask() -> bool:
        """Ask each agent that says hello for all events, and for counts."""
        for peer in router.peers().values():
            if peer not in asked:
                asked.add(peer)
                router.send(peer, Subscribe(1, 0, "requests", ALL, 1000))
                router.send(peer, Subscribe(2, 0, "requests", COUNT, 1000, states=True))
        return process.poll() is not None

    try:
        router.run(ask, 90)
        out, err = process.communicate()
    finally:
        process.kill()
        router.close()
    assert (out, err) == (f"done {87 if os.getuid() == 0 else 60}\n", "")
    assert len(asked) > 20, "and where there is room the agent runs"


LATER = """
import logging, resource, sys, time
from publish_agent import Agent, agent as starting
from publish_agent.runtime import worker

logging.getLogger("publish_agent").addHandler(logging.NullHandler())
starting._AGAIN_S = worker._AGAIN_S = 0.2
agent = Agent("checkout", sys.argv[1])

def publish(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        agent.publish("requests", {"n": 1})
        time.sleep(0.01)

with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
_, most = resource.getrlimit(resource.RLIMIT_AS)
for kib in (64, 100_000):  # too little for a thread; enough for one, and not for those of ZeroMQ
    resource.setrlimit(resource.RLIMIT_AS, (used + kib * 1024, most))
    publish(0.6)
print("alive", flush=True)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
publish(20)
"""


def test_the_agent_begins_as_soon_as_there_is_room() -> None:
    router = Router()
    process = program(LATER, router.address)
    assert process.stdout is not None
    assert process.stdout.readline() == "alive\n"
    assert not router.peers()
    router.run(router.peers, 15)
    process.kill()
    process.communicate()
    router.close()


def test_python_that_starts_no_threads_any_more_says_nothing_of_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """3.12 does not, once the main thread has ended; threads of the host may go on for long."""

    def start(_: Thread) -> None:
        raise RuntimeError(reason)

    monkeypatch.setattr(Thread, "start", start)
    reason = "can't create new thread at interpreter shutdown"
    check_threads()
    reason = "can't start new thread"
    with pytest.raises(NoRoomError, match="fewer than 6"):
        check_threads()
