"""The first seconds of a process: it joins queries that run, and drops nothing meanwhile."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

import pytest

from source_jobs.client import Client, connect
from source_jobs.job import SourceJob
from tests.live.support import source_job
from tests.publish_agent.router import program

pytestmark = [pytest.mark.timeout(60), pytest.mark.alone]

SECONDS = float(os.environ.get("MQL_SECONDS", "0.5"))
"""Five of them in `make lifecycle`."""
NEW_S, WARM_S = 0.5, 0.1
"""So soon a process joins: its first query, and those that find all imported."""
ROWS = "select n from requests"
COUNTS = "select path, average(ms) as ms from requests where ms > 1 group by path window 1"

PROGRAM = f"""
import json, os, sys, time
from collections import Counter
from publish_agent import Agent, Status

def publish(requests, seconds):
    began_s, statuses, joined_s, n = time.monotonic(), Counter(), None, 0
    while (passed_s := time.monotonic() - began_s) < seconds:
        while n < passed_s * 1000:
            status = requests.publish({{"n": n, "path": "/pay", "ms": 12.5}})
            statuses[status.name] += 1
            n += 1
            if status is Status.ACCEPTED and joined_s is None:
                joined_s = time.monotonic() - began_s
        time.sleep(0.0005)
    sys.stdout.write(json.dumps([joined_s, statuses]) + "\\n")
    sys.stdout.flush()

requests = Agent("hello", sys.argv[1]).stream("requests")
publish(requests, {SECONDS})
"""
FORK = """
if os.fork() == 0:
    publish(requests, 0.5)
    sys.exit()
os.wait()
"""


@pytest.fixture
def job() -> Iterator[SourceJob]:
    with source_job() as made:
        yield made


def run(job: SourceJob, text: str) -> list[tuple[float, dict[str, int]]]:
    """For each process of a program, when it joined, and what became of its events."""
    out, err = program(text, job.agents_address).communicate(timeout=30)
    assert err == ""
    return [(joined_s, statuses) for joined_s, statuses in map(json.loads, out.splitlines())]


def check(client: Client, query: str, job: SourceJob, text: str) -> list[float]:
    """Run a program while a query runs: nothing is lost but what is counted as unseen."""
    with client.subscribe(query) as answer:
        processes = run(job, text)
        client.cancel(answer.query_id)
        for _ in answer:
            pass
    total = answer.total
    assert total is not None
    skipped = sum(statuses.pop("SKIPPED", 0) for _, statuses in processes)
    accepted = sum(statuses.pop("ACCEPTED") for _, statuses in processes)
    assert not any(statuses for _, statuses in processes)
    assert (total.unseen, total.lost, total.missing) == (skipped, skipped, ())
    assert (total.tally.shipped, total.tally.sampled_out) == (accepted, 0)
    return [joined_s for joined_s, _ in processes]


@pytest.mark.parametrize("query", [ROWS, COUNTS] if SECONDS > 1 else [ROWS])
def test_a_new_process_drops_nothing_and_joins_soon(job: SourceJob, query: str) -> None:
    with connect(job.clients_address) as client:
        assert isinstance(client, Client)
        joined_s = [check(client, query, job, PROGRAM)[0] for _ in range(2)]
    assert min(joined_s) < NEW_S


def test_a_fork_of_a_process_that_had_a_query_joins_at_once(job: SourceJob) -> None:
    with connect(job.clients_address) as client:
        assert isinstance(client, Client)
        joined_s = [check(client, ROWS, job, PROGRAM + FORK)[1] for _ in range(2)]
    assert min(joined_s) < WARM_S


def test_a_second_query_is_joined_at_once(job: SourceJob) -> None:
    process = program(PROGRAM.replace(f"requests, {SECONDS}", "requests, 4"), job.agents_address)
    with connect(job.clients_address) as client, client.subscribe(ROWS) as first:
        next(iter(first))
        joined_s = []
        for number in range(3):
            began_s = time.monotonic()
            with client.subscribe(f"select n, {number} as k from requests") as second:
                next(piece for piece in second if piece.rows())
            joined_s.append(time.monotonic() - began_s)
    process.kill()
    process.communicate()
    assert min(joined_s) < WARM_S + 0.1  # with the drain that brings its first row
