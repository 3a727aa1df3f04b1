"""A source job that asks and takes back hundreds of new texts a second, at a real service.

Processor time is measured, from outside. `benchmarks.live.flood` does the same with real clients.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from benchmarks.processes import start, stop
from mql.wire.messages import Subscribe, Unsubscribe
from tests.publish_agent.router import Router

PER_S = 600
ALONE_S, BEFORE_S, FLOOD_S = 2.0, 2.0, 2.5
"""Without it; until it has used up what may be planned at once; and then."""
MORE_CORES_MAX = 0.35
"""Planned as they come, they take most of a core."""
STEP_S = 0.02


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def text_of(number: int) -> str:
    more = " and ".join(f"p{i} > {i}.5" for i in range(12))
    return f"select path from requests where latency_ms > {number} and n{number} == 1 and {more}"


class Flood:
    """Asks for new texts, and takes each back a little later."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.number = 1

    def go_on(self, seconds: float) -> None:
        (peer,) = self.router.peers().values()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            before = self.number
            for _ in range(int(PER_S * STEP_S)):
                self.number += 1
                asked = Subscribe(self.number, 0, "requests", text_of(self.number), 1_000)
                self.router.send(peer, asked)
            wait(self.router, STEP_S)
            for number in range(before + 1, self.number + 1):
                self.router.send(peer, Unsubscribe(number))


def wait(router: Router, seconds: float) -> None:
    end = time.monotonic() + seconds
    router.run(lambda: time.monotonic() >= end, seconds + 5)


def cores(router: Router, pid: int, seconds: float, flood: Flood | None) -> float:
    """What a process takes meanwhile."""
    began_s, before_s = time.monotonic(), cpu_s(pid)
    if flood is None:
        wait(router, seconds)
    else:
        flood.go_on(seconds)
    return (cpu_s(pid) - before_s) / (time.monotonic() - began_s)


@pytest.mark.timeout(60)
def test_a_flood_of_subscriptions_costs_a_service_little() -> None:
    router = Router()
    service = start("benchmarks.live.offering", "--source-job", router.address, "--rate", "2000")
    try:
        router.run(router.peers, 30)
        router.subscribe(1, "select count(*) from requests where status == 500 window 1")
        alone = cores(router, service.pid, ALONE_S, None)
        flood = Flood(router)
        flood.go_on(BEFORE_S)
        flooded = cores(router, service.pid, FLOOD_S, flood)
        assert flood.number > PER_S * FLOOD_S / 2, "this machine can ask for as many"
        assert flooded - alone < MORE_CORES_MAX, (alone, flooded)
        seen = router.total().seen
        wait(router, 2.5)
        assert router.total().seen > seen, "the query that was there before goes on"
    finally:
        stop(service)
        router.close()
