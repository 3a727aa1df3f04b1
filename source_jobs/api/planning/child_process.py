"""The process of `planning.py` as a thread of the server sees it: started, asked, ended."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from typing import IO

from source_jobs.api.planning.outline import Outline
from source_jobs.api.planning.planned import ENCODING, LENGTH, Planned, Wrong

_WAIT_S = 5.0


class LostError(Exception):
    """The process has ended, or was ended, before it answered."""


@dataclass(slots=True)
class PlanningProcess:
    """Starts with the first text. One thread at a time may ask; any may `end` it."""

    _process: subprocess.Popen[bytes] | None = None

    def plan(self, text: str) -> Planned:
        """Have a text planned, and wait for that. Raises LostError."""
        try:
            process = self._process = self._process or _start()
            assert process.stdin is not None
            assert process.stdout is not None
            message = text.encode(*ENCODING)
            process.stdin.write(LENGTH.pack(len(message)) + message)
            process.stdin.flush()
            (size,) = LENGTH.unpack(_read(process.stdout, LENGTH.size))
            planned = pickle.loads(_read(process.stdout, size))  # noqa: S301 - of our own process
        except (OSError, ValueError, EOFError) as error:
            self.end()
            raise LostError(str(error)) from None
        assert isinstance(planned, Outline | Wrong)
        return planned

    def end(self) -> None:
        """End it; the next text starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_WAIT_S)
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "source_jobs.api.planning.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def _read(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("it has ended")
    return data
