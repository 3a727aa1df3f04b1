"""What many subscriptions take in one agent: memory, time to change one, the worst call."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import process_time_ns, sleep
from typing import Any

from benchmarks.job import Figure
from benchmarks.live.latency import Host
from benchmarks.live.offering import resident_bytes
from benchmarks.live.publisher import STREAM
from benchmarks.processes import FREE_PORT, stop, until
from benchmarks.publish import TURN_NS, Bench
from mql.wire.messages import PROTOCOL, Beat, Message, Subscribe, Unsubscribe, Welcome
from publish_agent.capture.event_buffer import Status
from source_jobs.client import Client, HttpClient, connect
from source_jobs.job import SourceJob
from source_jobs.settings import Settings

_BYTES, _CHANGE_MS, _CALL_MS = 2_000, 50.0, 5.0
"""The goals."""
_NEW = "somebody new"
_CHANGES = 5
_MOST_TURNS = 2_000
"""After so many drains a change must have been made."""
_READY_S, _PART_S = 300.0, 1.0


def of_user(user: str, stream: str = STREAM) -> str:
    """The query that is asked of many users."""
    return f"select * from {stream} where user_id == '{user}'"


def of_users(number: int, stream: str = STREAM) -> list[str]:
    """It, of so many that never come."""
    return [of_user(f"nobody{i}", stream) for i in range(number)]


def in_a_core(number: int) -> list[Figure]:
    """An agent's core without a socket or a thread: bytes and processor time."""
    queries, new = of_users(number, "s"), of_user(_NEW, "s")
    Bench(of_users(2, "s"))  # what the first one imports and keeps
    gc.collect()
    before = resident_bytes()
    bench = Bench(queries)
    gc.collect()
    each = (resident_bytes() - before) / number
    added, removed = [], []
    for change in range(_CHANGES):
        query = number + change
        added.append(_changed(bench, Subscribe(query, 0, "s", new, 1_000, ""), Status.ACCEPTED))
        removed.append(_changed(bench, Unsubscribe(query), Status.SKIPPED))
    return [
        Figure("bytes of a subscription", f"{each:,.0f}", f"< {_BYTES:,}", each < _BYTES),
        _change("one more is added", max(added)),
        _change("one is removed", max(removed)),
    ]


def _changed(bench: Bench, message: Message, wanted: Status) -> float:
    """The ms of processor time until `publish` goes by what a message says."""
    event = {"user_id": _NEW}
    now_us = bench.now_us
    bench.give(Welcome(PROTOCOL, "job", 1 << 40, now_us, now_us, now_us))  # silent for seconds
    began = process_time_ns()
    bench.give(message)
    spent = process_time_ns() - began
    for _ in range(_MOST_TURNS):
        if bench.stream.publish(event) is wanted:
            return spent / 1e6
        bench.give(Beat(now_us := bench.now_us, now_us, now_us))
        began = process_time_ns()
        bench.tick()
        spent += process_time_ns() - began
    raise AssertionError(f"not within {_MOST_TURNS * TURN_NS / 1e9:.0f} s: {message}")


def _change(what: str, ms: float) -> Figure:
    goal = f"< {_CHANGE_MS:g} ms"
    return Figure(f"{what}, at worst of {_CHANGES}", f"{ms:.1f} ms", goal, ms < _CHANGE_MS)


def in_an_agent(number: int, core: int | None = None) -> list[Figure]:
    """A real agent with its thread: the longest call of `publish` while one comes and goes."""
    with _asked(number) as (job, client), ExitStack() as stack:
        host = Host(core)
        stack.callback(stop, host.popen)
        host.do(f"agent {job.agents_address} 100")
        last = f"offer nobody{number - 1}"
        until(lambda: host.do(last) == "ACCEPTED", "all subscriptions run", _READY_S)
        host.do(f"publish {_PART_S}")
        quiet = _longest_ms(host.do(f"publish {4 * _PART_S}"))
        host.begin(f"publish {4 * _PART_S}")
        sleep(_PART_S)
        with client.subscribe(of_user(_NEW), timeout_s=30):
            sleep(_PART_S)
        changing = _longest_ms(host.answer())
    return [
        Figure("the longest call of publish, nothing changes", f"{quiet:.2f} ms", "", reached=True),
        Figure(
            "the longest call of publish, one is added and removed",
            f"{changing:.2f} ms",
            f"< {_CALL_MS:g} ms",
            changing < _CALL_MS,
        ),
    ]


@contextmanager
def _asked(number: int) -> Iterator[tuple[SourceJob, Client | HttpClient]]:
    """A source job in this process that takes on so many queries, and has been asked them."""
    room = 2 * number
    settings = Settings(
        "job", queries=room, queries_per_client=room, text_bytes=1 << 30,
        text_bytes_per_client=1 << 30,
    )  # fmt: skip
    job = SourceJob(FREE_PORT, FREE_PORT, settings=settings).start()
    try:
        with connect(job.clients_address, timeout_s=30) as client:
            for query in of_users(number):
                client.subscribe(query, timeout_s=None)
            yield job, client
    finally:
        threading.Thread(target=job.stop, daemon=True).start()


def _longest_ms(answer: Any) -> float:
    return float(answer["longest_us"]) / 1_000
