"""Run one command as a process pinned to one core and tell what it used."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from resource import struct_rusage
from threading import Timer
from time import perf_counter

_REASON_LINES = 3


@dataclass(frozen=True, slots=True)
class Command:
    """Arguments, what to add to the environment, and where standard output goes."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    output: str = os.devnull


@dataclass(frozen=True, slots=True)
class Place:
    """Where commands run, on which core, and for how many seconds at most."""

    directory: Path
    core: int
    timeout: float


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of the wall clock and of the processor, peak resident megabytes (10**6)."""

    wall: float
    cpu: float
    peak: float


class FailedError(Exception):
    """A command that could not start, ended with an error, or took too long."""


def _environment() -> dict[str, str]:
    """This process's environment, in which Python keeps compiled modules, as where it is installed.

    Else the modules of a project that is installed in place would be compiled at each start, and
    those of the others not.
    """
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def run(command: Command, place: Place) -> Usage:
    """Run a command to its end and return what the kernel says it used.

    The peak is never below the resident size of this process at the start: Linux carries it
    over an exec. `floor` tells how much that is.
    """
    with tempfile.TemporaryFile() as errors, Path(command.output).open("wb") as output:
        start = perf_counter()
        try:
            with _pinned(place.core):
                process = subprocess.Popen(
                    command.arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=errors,
                    cwd=place.directory,
                    env={**_environment(), **command.environment},
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise FailedError(f"cannot start {command.arguments[0]}: {error}") from error
        code, used = _wait(process, place.timeout)
        wall = perf_counter() - start
        if code:
            errors.seek(0)
            raise FailedError(_reason(code, wall, place.timeout, errors.read()))
    return Usage(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6)


def floor(place: Place) -> float:
    """The smallest peak that can be seen from here, in megabytes."""
    return run(Command(("true",)), place).peak


@contextmanager
def _pinned(core: int) -> Iterator[None]:
    """Pin this thread to one core for a while: a process started meanwhile stays there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _wait(process: subprocess.Popen[bytes], timeout: float) -> tuple[int, struct_rusage]:
    timer = Timer(timeout, os.kill, (process.pid, signal.SIGKILL))
    timer.start()
    try:
        _, status, used = os.wait4(process.pid, 0)
    finally:
        timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, used


def _reason(code: int, wall: float, timeout: float, errors: bytes) -> str:
    if code == -signal.SIGKILL:
        cause = "took too long" if wall >= timeout else "killed, perhaps out of memory"
        return f"{cause} after {wall:.0f} s"
    lines = errors.decode(errors="replace").strip().splitlines()[-_REASON_LINES:]
    return f"exit code {code}: {' | '.join(lines) or 'nothing on standard error'}"
