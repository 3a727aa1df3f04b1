"""Whether it worked: what has been published has come, and the agent says how it is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from mql.wire.messages import Subscribe
from publish_agent import Agent, Status
from publish_agent.runtime.reach import TELL_S, TRY_S, Reach
from tests.publish_agent.router import ALL, ROOT, Router

pytestmark = [pytest.mark.timeout(60), pytest.mark.alone]

COUNTS = "select count(*) as n from requests window 3600"


@pytest.fixture
def agent(router: Router) -> Iterator[Agent]:
    made = Agent("checkout", router.address)
    yield made
    made.close()


# A program of its own asks, since a router answers nothing while its thread waits in a flush.
PROGRAM = """
import os, sys, time
from publish_agent import Agent, Status
agent = Agent("checkout", sys.argv[1])
requests = agent.stream("requests")
while requests.publish({"n": 0}) is Status.SKIPPED:
    time.sleep(0.01)
for n in range(1, 50):
    requests.publish({"n": n})
began_s = time.monotonic()
flushed = agent.flush(2.0)
print(flushed, time.monotonic() - began_s < 0.5, flush=True)
os._exit(0)
"""


def ended(
    router: Router, *queries: str, before: str = "", answers: bool = True
) -> tuple[list[str], str]:
    """What the program prints, under a source job that asks, and perhaps does not answer."""
    process = subprocess.Popen(
        [sys.executable, "-c", before + PROGRAM, router.address],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    router.run(router.peers, 10)
    (peer,) = router.peers().values()
    for number, query in enumerate(queries):
        router.send(peer, Subscribe(number, 0, "requests", query, 1_000, states=True))
    if answers:
        router.run(lambda: process.poll() is not None, 10)
    out, err = process.communicate(timeout=10)
    return out.split(), err


@pytest.mark.parametrize("before", ["", "from gevent import monkey; monkey.patch_all()\n"])
def test_what_has_been_published_has_come_when_a_flush_says_so(router: Router, before: str) -> None:
    assert ended(router, ALL, before=before) == (["True", "True"], "")
    while router.socket.poll(100):
        router.run(lambda: True, 0)
        router._take()
    assert len(router.texts()) == 50


def test_a_flush_sends_counts_of_windows_that_go_on(router: Router) -> None:
    assert ended(router, COUNTS) == (["True", "True"], "")
    while router.socket.poll(100):
        router._take()
    batches = [message for _, message, _ in router.messages if getattr(message, "states", False)]
    assert sum(part.shipped_total for batch in batches for part in batch.parts[-1:]) == 50


def test_a_flush_waits_for_an_answer_but_not_long(router: Router, agent: Agent) -> None:
    requests = agent.stream("requests")
    router.subscribe(1, ALL)
    assert requests.publish({"n": 1}) is Status.ACCEPTED
    began_s = time.monotonic()
    assert not agent.flush(0.2)  # this very thread would have to answer
    assert 0.2 <= time.monotonic() - began_s < 0.4


def test_a_flush_has_nothing_to_wait_for_where_nobody_asks(agent: Agent) -> None:
    assert agent.flush(5.0)
    agent.stream("requests").publish({"n": 1})
    began_s = time.monotonic()
    assert agent.flush(5.0)
    assert time.monotonic() - began_s < 0.1


def test_an_agent_says_how_it_is(router: Router, agent: Agent) -> None:
    where = f"<Agent 'checkout' of {router.address}:"
    assert repr(agent) == f"{where} not begun, as it has no streams>"
    assert not agent.connected
    agent.stream("requests")
    assert repr(agent) == f"{where} reaches no source job>"
    router.subscribe(1, ALL)
    assert agent.connected
    assert repr(agent) == f"{where} connected to 1, 1 queries>"
    agent.close()
    assert repr(agent) == f"{where} closed>"
    assert not agent.connected


# Who reaches nobody


def reason(endpoint: str) -> str | None:
    """What is said of an address where no source job is."""
    reach = Reach((endpoint,), 100.0)

    def look(now_s: float) -> str | None:
        return reach.look(now_s, is_reached=False, endpoints=[endpoint])

    assert look(100 + TRY_S - 1) is None
    assert look(100 + TRY_S + 0.1) is None
    time.sleep(0.05)
    said = look(100 + TELL_S + 0.1)
    assert reach.is_over
    assert look(1_000) is None
    return said


def test_the_reason_is_told_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as made:
        port = made.getsockname()[1]
    said = reason(f"tcp://127.0.0.1:{port}")
    assert said is not None
    assert said.startswith(f"tcp://127.0.0.1:{port}: nothing listens there")


def test_the_reason_is_told_where_somebody_else_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as made:
        said = reason(f"tcp://127.0.0.1:{made.getsockname()[1]}")
    assert said is not None
    assert "something takes connections there that is no source job" in said


def test_the_reason_is_told_where_nothing_answers() -> None:
    """A queue that is full: the kernel drops what comes then, as a firewall does."""
    with socket.socket() as made, socket.socket() as first, socket.socket() as second:
        made.bind(("127.0.0.1", 0))
        made.listen(0)
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(made.getsockname())
        said = reason(f"tcp://127.0.0.1:{made.getsockname()[1]}")
    assert said is not None
    assert "nothing answers" in said


def test_a_name_that_has_no_address_is_told() -> None:
    reach = Reach(("tcp://nowhere.invalid:1",), 0.0)
    assert reach.look(TRY_S + 0.1, is_reached=False, endpoints=[]) is None
    said = reach.look(TELL_S + 0.1, is_reached=False, endpoints=[])
    assert said == "tcp://nowhere.invalid:1: the name cannot be looked up"


def test_nothing_is_said_by_who_has_reached_one() -> None:
    reach = Reach(("tcp://127.0.0.1:1",), 0.0)
    assert reach.look(1.0, is_reached=True, endpoints=[]) is None
    assert reach.look(100.0, is_reached=False, endpoints=[]) is None


LONELY = """
import logging, sys, time
import publish_agent.runtime.reach as reach
reach.TRY_S, reach.TELL_S = 0.1, 0.3
from publish_agent import Agent
logging.basicConfig(format="%(name)s %(message)s")
agent = Agent("checkout", "tcp://127.0.0.1:1")
agent.stream("requests")
time.sleep(2.5)
"""


def test_the_log_has_one_line_about_nobody() -> None:
    process = subprocess.run(
        [sys.executable, "-c", LONELY],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = process.stderr.splitlines()
    assert line == (
        "publish_agent the agent reaches no source job, and goes on trying: tcp://127.0.0.1:1: "
        "nothing listens there: does `mql serve` run, with this port for agents?"
    )
