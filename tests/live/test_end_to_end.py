"""Real processes and sockets: services that publish, a source job, clients; some are killed."""

import contextlib
import json
import signal
import sys
import time
from itertools import dropwhile, takewhile

import pytest

from benchmarks.processes import Job, loopback_bytes, source_job, start, stop, until
from source_jobs.client import Client, connect
from source_jobs.client.actions import SourceJobError
from source_jobs.client.client_state import ClientState
from source_jobs.client.link import Link
from source_jobs.job import SourceJob
from source_jobs.settings import Settings

pytestmark = pytest.mark.timeout(90)


@contextlib.contextmanager
def publisher(job, service, rate=500, *options):
    """A publishing service; its output says `ready`, and at the end what it counted."""
    arguments = ("--source-job", job.agents, "--service", service, "--rate", str(rate), *options)
    arguments += ("--cpu-share", "100")  # a busy machine is no reason to sample here
    process = start("benchmarks.live.publisher", *arguments)
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        stop(process)


def ended(process):
    """End a publisher; what it counted."""
    process.stdin.close()
    counted = json.loads(process.stdout.readline())
    process.wait(20)
    return counted


def asked_of(counted):
    """How many events were published while the query was known there."""
    return counted["published"] - counted.get("SKIPPED", 0)


def windows_until(answer, seconds, rows=0):
    """What an answer brings in so many seconds, and until it has brought so many rows."""
    end, found = time.monotonic() + seconds, []
    for window in answer:
        found.append(window)
        rows -= window.num_rows
        if time.monotonic() > end and rows <= 0:
            return found
    return found


def windows_to_the_end(client, answer):
    """What is left when all publishers have said goodbye; the answer has its total after it."""
    now_ms, found = time.time_ns() // 1_000_000, []
    for window in answer:
        found.append(window)
        known = window.completeness
        if known and known.start_ms > now_ms and known.silent and answer.ended is None:
            client.cancel(answer.query_id)
            now_ms = sys.maxsize
    return found


def seen(windows):
    return sum(
        w.completeness.tally.seen + w.completeness.transit for w in windows if w.completeness
    )


def test_the_ledger_adds_up_to_what_the_publishers_counted():
    with source_job() as job, connect(job.clients) as client:
        service = "e['_agent']['service']"
        query = f"select count(*), {service} as s from requests window 0.5 group by {service}"
        with client.subscribe(query) as answer:
            with contextlib.ExitStack() as stack:
                services = [stack.enter_context(publisher(job, f"s{i}", 2000)) for i in range(3)]
                found = windows_until(answer, 4)
                counts = [ended(service) for service in services]
            found += windows_to_the_end(client, answer)
    rows = [row for window in found for row in window.rows()]
    assert {row["s"] for row in rows} == {"s0", "s1", "s2"}
    asked = sum(map(asked_of, counts))
    assert asked > 5000
    assert seen(found) == asked == answer.total.tally.seen + answer.total.transit
    unseen = sum(w.completeness.unseen for w in found)
    lost = sum(w.completeness.lost for w in found) - unseen
    assert sum(row["COUNT(*)"] for row in rows) + lost == asked
    assert answer.total.lost - answer.total.unseen == lost
    before = sum(counted["published"] for counted in counts) - asked
    assert unseen <= answer.total.unseen == before, "what the queries did not see is a number, too"
    assert all(w.completeness.exactness == "lower bound" for w in found if w.completeness.unseen)


def test_a_full_buffer_is_counted_to_the_event():
    with source_job() as job, connect(job.clients) as client:
        with client.subscribe("select count(*) from requests window 0.5") as answer:
            with publisher(
                job, "bursts", 0, "--burst", "20000", "--buffer-events", "1000"
            ) as service:
                found = windows_until(answer, 4)
                counted = ended(service)
            found += windows_to_the_end(client, answer)
    dropped = sum(w.completeness.tally.buffer for w in found)
    assert dropped == counted["DROPPED_BUFFER"] > 1000
    assert seen(found) == asked_of(counted)
    assert any(w.completeness.exactness == "lower bound" for w in found)


def test_a_killed_agent_is_missing_and_not_a_smaller_world():
    with source_job() as job, connect(job.clients) as client:
        with client.subscribe("select count(*) from requests window 1") as answer:
            with publisher(job, "lives") as living, publisher(job, "dies") as dying:
                next(window for window in answer if window.completeness.reported == 2)
                dying.kill()
                found = windows_until(answer, 3)
                ended(living)
    missing = {name.split("@")[0] for window in found for name in window.completeness.missing}
    assert missing == {"dies"}
    marked = [w for w in found if w.completeness.missing]
    assert all(w.completeness.exactness == "lower bound" for w in marked)
    assert all(row["COUNT(*)"] > 0 for w in found for row in w.rows())


def test_no_agents_and_no_events_look_different():
    with source_job() as job, connect(job.clients) as client:
        with client.subscribe("select count(*) from requests window 0.5") as answer:
            nobody = next(iter(answer))
            with publisher(job, "quiet", 0):
                quiet = next(window for window in answer if window.completeness.reported)
    assert nobody.completeness.silent
    assert nobody.rows() == [{"COUNT(*)": 0}]
    assert not quiet.completeness.silent
    assert quiet.completeness.tally.seen == 0
    assert (quiet.completeness.expected, quiet.completeness.reported) == (1, 1)


def test_a_query_asked_before_any_agent_is_there_starts_when_one_comes():
    with source_job() as job, connect(job.clients) as client:
        with client.subscribe("select number from requests") as answer:
            assert any("requests" in warning for warning in answer.warnings)
            with publisher(job, "late"):
                assert next(w for w in answer if w.num_rows).rows()[0]["number"] >= 0


def test_a_killed_source_job_is_found_again_and_the_gap_is_told():
    with source_job() as job, connect(job.clients) as client, publisher(job, "lives") as service:
        with client.subscribe("select number from requests") as answer:
            next(w for w in answer if w.num_rows)
            job.process.kill()
            job.process.wait()
            restarted = start("cli", "serve", "--agents", job.agents, "--clients", job.clients)
            try:
                after = dropwhile(lambda window: window.gap is None, answer)
                gap = next(after).gap
                assert gap.to_ms > gap.from_ms, "the gap is told"
                found = list(takewhile(lambda window: not window.num_rows, after))
                told = [w.completeness for w in found if w.completeness]
                of_nobody = [each for each in told if each.silent or not each.expected]
                assert all(each.exactness == "lower bound" for each in of_nobody)
                assert all(not each.tally.seen for each in told if each.exactness == "exact")
            finally:
                stop(restarted)
        ended(service)


def test_client_agent_and_source_job_find_each_other_in_any_order():
    with source_job() as job:
        pass
    sides = ("--agents", job.agents, "--clients", job.clients)
    with (
        connect(job.clients, timeout_s=None) as client,
        client.subscribe("select number from requests", timeout_s=None) as answer,
    ):
        with publisher(job, "first"):
            for _ in range(2):  # started after the others, and started anew
                running = start("cli", "serve", *sides)
                try:
                    assert next(w for w in answer if w.num_rows)
                finally:
                    stop(running)
            running = start("cli", "serve", *sides)
        try:
            with publisher(job, "second"):
                until(lambda: _services(client) == {"second"}, "the second service is known")
                assert next(w for w in answer if w.num_rows)
        finally:
            stop(running)


def _services(client):
    try:
        return {agent["service"] for agent in client.agents() if not agent["gone"]}
    except SourceJobError:
        return set()


def test_a_killed_client_costs_nothing_after_five_seconds():
    with source_job() as job, connect(job.clients) as client, publisher(job, "lives"):
        until(client.agents, "it is known")
        other = start("cli", "query", "select * from requests", "--source-job", job.clients)
        try:
            until(client.queries, "the query runs")
            other.send_signal(signal.SIGKILL)
            assert until(lambda: not client.queries(), "it has ended", 5) < 5
        finally:
            stop(other)


def test_a_stalled_client_loses_rows_and_is_told_while_others_lose_none():
    small = Settings("job", queue_bytes=100_000)
    with SourceJob("tcp://127.0.0.1:*", "tcp://127.0.0.1:*", settings=small) as job:
        running = Job(None, job.agents_address, job.clients_address)
        state = ClientState("stalls", "who stalls", "1", credit=50_000)
        stalled = Client(
            running.clients, state, lambda deliver: Link(running.clients, state, deliver, None)
        )
        with stalled, connect(running.clients) as client, publisher(running, "lives", 2000):
            until(client.agents, "it is known")
            query = "select * from requests"
            with client.subscribe(query) as answer, stalled.subscribe(query, ttl_ms=5_000) as other:
                found = windows_until(answer, 4, rows=5_001)
                late = list(other)
    known = [w.completeness for w in found if w.completeness]
    assert sum(each.lost - each.unseen for each in known) == 0, "but for what was not asked yet"
    assert sum(w.num_rows for w in found) > 5000
    told = [w.completeness for w in late if w.completeness]
    assert sum(each.subscriber for each in told) > 1000
    assert any(each.exactness == "lower bound" for each in told)
    given_up = other.total.subscriber
    assert sum(w.num_rows for w in late) + given_up == other.total.tally.shipped
    assert sum(each.subscriber for each in told) <= given_up, "the total tells of the last second"


@pytest.mark.alone
def test_without_a_query_no_event_leaves_a_service():
    """Heartbeats do; the bytes on the wire do not follow what is published."""
    with source_job() as job, connect(job.clients) as client, publisher(job, "lives", 5000):
        until(client.agents, "it is known")
        before = loopback_bytes()
        time.sleep(3)
        assert loopback_bytes() - before < 3 * 5000, "less than a byte for each event"
