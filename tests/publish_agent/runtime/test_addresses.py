"""Addresses come and go: those that a name gives no more are let go, those that answer stay."""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from mql.host.greetings import is_refusal
from mql.host.native_threads import Event
from mql.wire.messages import Hello, Welcome
from publish_agent.protocol.agent_state import AgentState
from publish_agent.protocol.identity import Identity
from publish_agent.runtime.addresses import GRACE_S, MAX_ADDRESSES, Addresses
from publish_agent.runtime.resolver import Resolver
from publish_agent.runtime.sockets import Change, Sockets
from publish_agent.runtime.worker import reach
from publish_agent.settings import Settings
from tests.live.support import until
from tests.publish_agent.router import Router
from tests.publish_agent.support import ALL, Bench

PERIOD_S = 10.0


class Names:
    """What names give over time, and what an agent is connected to."""

    def __init__(self, most: int = MAX_ADDRESSES) -> None:
        self.addresses = Addresses(most)
        self.now_s = 0.0
        self.connected: set[str] = set()
        self.answering: set[str] = set()
        self.surplus = 0

    def give(self, *endpoints: str, name: str = "jobs", after_s: float = PERIOD_S) -> None:
        self.now_s += after_s
        changes = self.addresses.take(
            name, endpoints, self.now_s, lambda endpoint: endpoint in self.answering
        )
        assert self.connected >= set(changes.gone)
        assert not self.connected & set(changes.new)
        self.connected -= set(changes.gone)
        self.connected |= set(changes.new)
        self.surplus = changes.surplus


@pytest.mark.parametrize("after_s", [0.1, 1.0, 10.0])
def test_two_hundred_addresses_in_a_row_are_each_connected_to(after_s: float) -> None:
    names = Names()
    for number in range(200):
        names.give(f"pod-{number}", after_s=after_s)
        assert f"pod-{number}" in names.connected
        assert len(names.connected) <= min(MAX_ADDRESSES, GRACE_S / after_s + 2)


def test_one_that_answers_stays_however_long_it_is_not_given() -> None:
    names = Names()
    names.give("old")
    names.answering.add("old")
    for number in range(200):
        names.give(f"pod-{number}", after_s=1.0)
    assert "old" in names.connected
    names.answering.clear()
    names.give("pod-199")
    assert "old" not in names.connected


def test_no_answer_and_an_empty_one_change_nothing() -> None:
    names = Names()
    names.give("a", "b")
    for _ in range(1_000):
        names.give()
    assert names.connected == {"a", "b"}
    names.give("b")
    names.give("b")
    names.give("b")
    assert names.connected == {"a", "b"}, "the time without answers is no time without it"
    names.give("b", after_s=GRACE_S)
    assert names.connected == {"b"}


def test_a_name_that_gives_a_few_of_many_each_time_drops_none_that_answer() -> None:
    names, dice = Names(), random.Random(1)  # noqa: S311
    pods = [f"pod-{number}" for number in range(40)]
    names.answering |= set(pods)
    held: set[str] = set()
    for _ in range(500):
        names.give(*dice.sample(pods, 4))
        assert names.connected >= held
        held |= names.connected
    assert names.connected == set(pods)


def test_an_address_of_two_names_stays_while_one_gives_it() -> None:
    names = Names()
    names.give("a", name="x")
    names.give("a", name="y")
    for _ in range(20):
        names.give("b", name="x")
        names.give("a", name="y")
    assert names.connected == {"a", "b"}
    for _ in range(20):
        names.give("c", name="y")
        names.give("b", name="x")
    assert names.connected == {"b", "c"}


def test_more_than_there_may_be_are_counted_and_none_that_is_given_makes_room() -> None:
    names = Names(most=4)
    names.give(*"abcdef")
    assert (names.connected, names.surplus) == (set("abcd"), 2)
    names.give(*"fedcba")
    assert (names.connected, names.surplus) == (set("abcd"), 2)
    names.give(*"ef")
    assert (names.connected, names.surplus) == (set("cdef"), 0)


# With real sockets


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    made: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield made
    made.destroy(0)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_after_two_hundred_addresses_an_agent_still_connects(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    router, looked_up, number = Router(), Event(), 0

    def look_up(host: str, port: int) -> list[str]:
        assert (host, port) == ("jobs.internal", router.port)
        last = f"127.0.0.1:{router.port}"
        return [f"tcp://{last}" if number == 200 else f"tcp://127.1.{number}.9:1"]

    settings = Settings("checkout", source_jobs=(f"tcp://jobs.internal:{router.port}",))
    state = AgentState(settings, Identity("a1", 1, "p" * 32), time.monotonic_ns)
    sockets, addresses = Sockets(None, context), Addresses()
    descriptors = []
    for _ in range(200):
        number += 1
        looked_up = Event()
        resolver = Resolver(settings.source_jobs, looked_up.set, look_up)
        resolver.look_up()
        assert looked_up.wait(5)
        reach(resolver, addresses, state, sockets)
        descriptors.append(open_descriptors())
    until(lambda: open_descriptors() <= max(descriptors[:100]) + 20)  # ZeroMQ closes in its thread

    def step() -> list[Hello]:
        sockets.wait(20)
        for link, change in sockets.changes():
            if change is Change.UP:
                for send in state.connect(link, time.monotonic_ns() // 1_000):
                    assert sockets.send(send)
        return [message for message in router.of(Hello) if isinstance(message, Hello)]

    router.run(step)
    assert len(state.links) == 1
    sockets.close(0)
    router.close()


# A link that is forgotten, in the core


def test_the_queries_of_a_link_that_is_forgotten_end_and_others_go_on() -> None:
    bench = Bench()
    other = bench.connect(8, name="another")
    bench.subscribe(1, ALL)
    bench.subscribe(1, f"{ALL} where n == 1", link=8)
    bench.publish({"n": 1}, {"n": 2})
    bench.settle()
    before = bench.state.figures()
    bench.state.forget(7)
    bench.state.forget(7)
    bench.tick()
    bench.publish({"n": 1}, {"n": 2})
    bench.settle()
    figures = bench.state.figures()
    assert (figures.source_jobs, figures.queries) == (1, 1)
    assert figures.spent.shipped > before.spent.shipped
    assert bench.got(1).total.seen == 2, "nothing more went to who is forgotten"
    assert other.queries[1, 0].total.seen == 4
    assert other.queries[1, 0].total.shipped == 2
    assert bench.state.receive(7, [b"anything"], bench.now_us) == []
    bench.state.disconnect(7, bench.now_us)
    bench.goodbye()


def test_what_a_forgotten_link_could_not_send_stays_counted() -> None:
    bench = Bench(credit=0)
    bench.subscribe(1, ALL)
    bench.publish({"n": 1})
    bench.settle()
    assert bench.state.figures().uncredited == 1
    bench.state.forget(7)
    bench.tick()
    assert bench.state.figures().uncredited == 1


def test_another_address_of_the_same_source_job_takes_the_place_of_one_that_is_forgotten() -> None:
    bench = Bench()
    bench.subscribe(1, ALL)
    spare = bench.connect(8)  # it says that it is the same source job
    bench.tick()
    said = len(spare.of(Hello))
    bench.state.forget(7)
    for _ in range(3):
        bench.tick(500_000)
    assert len(spare.of(Hello)) > said
    sent_us = bench.now_us
    bench.give(Welcome(1, "job", 1 << 20, sent_us, sent_us, sent_us), 8)
    bench.subscribe(2, ALL, link=8)
    bench.publish({"n": 1})
    bench.settle()
    assert spare.queries[2, 0].total.shipped == 1


def test_a_greeting_that_nothing_answers_is_not_taken_for_a_refusal() -> None:
    """A relay that swallows it runs into the time-out; one that cuts it resets the connection."""
    unknown, protocol = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    assert not is_refusal(unknown, errno.EAGAIN)
    assert not is_refusal(unknown, errno.ECONNRESET)
    assert is_refusal(unknown, errno.EPIPE)
    assert is_refusal(protocol, 0)
    assert is_refusal(zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400)
