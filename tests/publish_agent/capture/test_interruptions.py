"""Signal handlers, finalizers and callbacks of the garbage collector publish, in between."""

from __future__ import annotations

import gc

import pytest

from mql.wire.messages import Subscribe
from publish_agent import Status
from tests.publish_agent.router import ALL, Router, program
from tests.publish_agent.support import Bench

pytestmark = pytest.mark.timeout(60)

INTERRUPTED = """
import faulthandler, gc, itertools, logging, signal, sys, threading, time, weakref
from publish_agent import Agent, Status

faulthandler.dump_traceback_later(40, exit=True)
logging.getLogger("publish_agent").addHandler(logging.NullHandler())
numbers, kinds = itertools.count(), {}
agents = [Agent("other", sys.argv[1])]

def interrupt(kind):
    n = next(numbers)
    kinds[kind] = kinds.get(kind, 0) + 1
    agents[-1].publish(f"new.{n % 3000}", {"n": n})
    agents[-1].stream(f"new.{n % 7}").lost(1)
    agents[-1].publish(None, {"n": n})
    if n % 40 == 0:
        agents[-1].close()

class Finalized:
    def __init__(self): self.me = self
    def __del__(self): interrupt("finalizer")

class Watched:
    def __init__(self): self.me = self

watched = []

def litter():
    Finalized()
    thing = Watched()
    watched.append(weakref.ref(thing, lambda _: interrupt("weak reference")))

def work():
    for n in range(60):
        agents[-1].stream(f"s{n}").publish({"n": n})
        agents[-1].publish(f"new.{n}", {"n": n})
        litter()
    agents[-1].close()

signal.signal(signal.SIGALRM, lambda *_: interrupt("signal"))
signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
gc.callbacks.append(lambda *_: interrupt("collection"))
gc.set_threshold(20)
for _ in range(25):
    agents.append(Agent("other", sys.argv[1]))
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
signal.setitimer(signal.ITIMER_REAL, 0)
gc.set_threshold(700)
print(len(kinds), min(kinds.values()) > 20, kinds, flush=True)

agent = Agent("checkout", sys.argv[1])
signal.signal(signal.SIGALRM, lambda *_: agent.publish("requests", {"from": "a signal"}))
signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
sys.stdin.read()
signal.setitimer(signal.ITIMER_REAL, 0)
agent.close()
"""


def test_whatever_interrupts_may_publish_to_new_streams_and_close() -> None:
    router = Router()
    process = program(INTERRUPTED, router.address)
    asked: list[bytes] = []

    def shipped() -> int:
        """Ask the last agent, and no other, as soon as it is there."""
        for peer, message, _ in router.messages:
            if getattr(message, "service", "") == "checkout" and not asked:
                asked.append(peer)
                router.send(peer, Subscribe(1, 0, "requests", ALL, 1000))
        return router.total().shipped

    try:
        router.run(lambda: shipped() > 20, 45)
        out, err = process.communicate("", timeout=10)
    finally:
        process.kill()
        router.close()
    assert (err, process.returncode) == ("", 0)
    assert out.startswith("4 True"), out


def test_a_finalizer_publishes_in_the_middle_of_a_drain() -> None:
    bench = Bench()
    bench.subscribe(1, "select * from s", tick=False)
    bench.subscribe(2, "select count(*), a from s window 1 group by a", states=True, tick=False)
    bench.subscribe(3, "select a from s where a == 1")
    stream, finalized = bench.streams["s"], 0

    class Finalized:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            nonlocal finalized
            finalized += 1
            assert stream.publish({"a": 1, "b": "x"}) is Status.ACCEPTED

    gc.collect()
    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for n in range(100):
            Finalized()
            bench.publish({"a": n % 3, "b": "y"})
            bench.tick()
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    bench.settle()
    assert finalized == 100
    for query in (1, 2, 3):
        assert bench.got(query).total.seen == 200
    assert bench.got(1).total.shipped == 200
    assert bench.got(3).total.shipped == sum(n % 3 == 1 for n in range(100)) + 100
