"""A source job and publishing services as processes of their own, on free ports of this machine."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep

from source_jobs.client import connect

ROOT = Path(__file__).resolve().parent.parent
FREE_PORT = "tcp://127.0.0.1:*"
_READY_S = 30.0
_PATIENCE_S = 0.5
_SENT = 8
"""The column of bytes sent, in what Linux says of an interface."""


class NotReadyError(Exception):
    """Something did not happen in time."""


@dataclass(frozen=True, slots=True)
class Job:
    """A source job that runs as a process."""

    process: subprocess.Popen[str] | None
    agents: str
    clients: str


@contextlib.contextmanager
def source_job(*options: str) -> Iterator[Job]:
    """Run a source job on free ports."""
    process = start("cli", "serve", *options, "--agents", FREE_PORT, "--clients", FREE_PORT)
    try:
        yield Job(process, *addresses(process))
    finally:
        stop(process)


def addresses(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Where a source job says that it listens."""
    assert process.stdout is not None
    found: dict[str, str] = {}
    for line in process.stdout:
        side, _, address = line.strip().partition(" ")
        found[side.rstrip(":")] = address.strip()
        if {"agents", "clients"} <= set(found):
            return found["agents"], found["clients"]
    raise NotReadyError("the source job did not say where it listens")


@contextlib.contextmanager
def services(job: Job, count: int, rate: float) -> Iterator[list[subprocess.Popen[str]]]:
    """Run publishing services, `rate` events a second each, until they are known to the job."""
    started = [
        start(
            "benchmarks.live.publisher", "--source-job", job.agents, "--service", f"service-{i}",
            "--rate", str(rate),
        )
        for i in range(count)
    ]  # fmt: skip
    try:
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        with connect(job.clients) as client:
            until(lambda: len(client.agents()) >= count, "the services are known")
        yield started
    finally:
        for process in started:
            stop(process)


def start(
    module: str,
    *arguments: str,
    through: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Run a module of Python, its standard input and output as pipes.

    `through` is a command that runs it, such as `ip netns exec NAME`.
    """
    return subprocess.Popen(
        [*through, sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
    )


def stop(process: subprocess.Popen[str]) -> None:
    """Ask to end by closing standard input, then by SIGTERM, then insist."""
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    for seconds, then in ((_PATIENCE_S, process.terminate), (10, process.kill)):
        try:
            process.wait(seconds)
            break
        except subprocess.TimeoutExpired:
            then()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def until(condition: Callable[[], bool], what: str, seconds: float = _READY_S) -> float:
    """Wait until something is so; return the seconds that took."""
    start = perf_counter()
    while not condition():
        if perf_counter() - start > seconds:
            raise NotReadyError(f"not within {seconds:.0f} s: {what}")
        sleep(0.01)
    return perf_counter() - start


def loopback_bytes() -> int:
    """All bytes sent over the loopback interface since the machine started."""
    lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()
    line = next(line for line in lines if line.strip().startswith("lo:"))
    return int(line.split(":")[1].split()[_SENT])
