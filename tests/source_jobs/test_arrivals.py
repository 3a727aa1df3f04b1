"""Who comes and who goes is in the log, in no more lines than somebody would read."""

from __future__ import annotations

import logging

import pytest

from mql.wire.messages import Goodbye, Heartbeat
from source_jobs.arrivals import LINES_MAX, Arrivals
from tests.source_jobs.protocol.stage import Stage


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]


def test_agents_and_clients_are_noted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "source_jobs")
    stage = Stage()
    agent, client = stage.agent("a1", "requests"), stage.client()
    for _ in range(50):
        stage.pass_time(100, alive=False)
    agent.send(Heartbeat(stage.now_us, stage.now_ms))
    agent.send(Goodbye())
    said = [line.partition(" (")[0] for line in lines(caplog)]
    name = said[0].split()[1]
    assert said[0] == f"agent {name} is here"
    assert said.index(f"agent {name} is silent") < said.index(f"agent {name} is back")
    assert said[-1] == f"agent {name} said goodbye"
    assert sum(line.startswith("client ") for line in said) == 2, "it came, and was silent"
    assert client is not None


def test_a_crowd_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "source_jobs")
    arrivals = Arrivals()
    for number in range(1_000):
        arrivals.note("agent", f"a{number}\x1b", "is here", number)
    assert len(lines(caplog)) == LINES_MAX
    assert "\x1b" not in "".join(lines(caplog))
    assert arrivals.untold == 1_000 - LINES_MAX
    arrivals.tell(20_000_000)
    assert lines(caplog)[-1] == f"and {1_000 - LINES_MAX} more came or went"
    arrivals.note("agent", "b", "is here", 20_000_001)
    assert lines(caplog)[-1] == "agent b is here"
