"""Hostile events, in containers that other threads change, through all that reads events.

    python -m tests.fuzz hostile --seconds 600

The events are read in a process of its own (`python -m tests.fuzz.hostile_rounds`), which says
before each round what its seed is. So a crash or a hang is a failure with the seed that shows it:

    python -m tests.fuzz.hostile_rounds --seed 4711 --rounds 1
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

SILENT_S = 60.0
"""A round that takes longer hangs."""


@dataclass(frozen=True)
class Ended:
    """How a process of rounds ended: how many it began, the seed of the last, its exit code."""

    rounds: int
    seed: int
    code: int
    said: str

    @property
    def crashed(self) -> bool:
        """Whether a signal ended it, or it hung and had to be ended."""
        return self.code < 0

    def __str__(self) -> str:
        how = signal.Signals(-self.code).name if self.crashed else f"code {self.code}"
        command = f"python -m tests.fuzz.hostile_rounds --seed {self.seed} --rounds 1"
        return f"ended with {how} in round {self.rounds}: {command}\n{self.said}"


def run(seconds: float, seed: int = 1, *arguments: str) -> Ended:
    """Read hostile events for so long in a process of its own, or until that ends."""
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz.hostile_rounds"]
    given = ["--seconds", str(seconds), "--seed", str(seed), *arguments]
    with subprocess.Popen(
        [*command, *given],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONMALLOC": "debug", **os.environ, "OPENBLAS_NUM_THREADS": "1"},
    ) as process:
        seeds, said = _watch(process)
        code = process.wait()
    return Ended(len(seeds), seeds[-1] if seeds else seed, code, said)


def _watch(process: subprocess.Popen[str]) -> tuple[Sequence[int], str]:
    """What a process says until it ends, or says nothing for long."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    errors: list[str] = []

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    def read_errors() -> None:
        assert process.stderr is not None
        errors.append(process.stderr.read()[-4_000:])

    threads = [threading.Thread(target=each) for each in (read, read_errors)]
    for thread in threads:
        thread.start()
    seeds: list[int] = []
    with suppress(queue.Empty):
        while (line := lines.get(timeout=SILENT_S)) is not None:
            seeds.append(int(line))
    if not _ends(process):
        process.kill()
    for thread in threads:
        thread.join()
    return seeds, "".join(errors)


def _ends(process: subprocess.Popen[str]) -> bool:
    """Whether it ends by itself, now that it says nothing more."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)
    return process.poll() is not None
