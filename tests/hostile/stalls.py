"""A source job in a process of its own that says, at its end, how long its thread stood still."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from source_jobs.job import SourceJob
from source_jobs.protocol.outbox import Send
from tests.hostile.peers import ANY_PORT


@dataclass
class Stalls:
    """The longest between two turns of the loop, by the clock without the waits for a processor,
    and by the processor time of the thread. Somebody has to say something all the time."""

    clock_s: float = 0.0
    processor_s: float = 0.0


class Watch:
    """Looks on at each turn of a source job's loop."""

    def __init__(self, job: SourceJob) -> None:
        self.stalls: Stalls | None = None
        self._tick = job.state.tick
        self._before = time.monotonic(), time.thread_time(), queued()
        job.state.tick = self._look  # type: ignore[method-assign]

    def _look(self, now_us: int) -> list[Send]:
        sends = self._tick(now_us)
        clock_s, processor_s, queued_s = now = time.monotonic(), time.thread_time(), queued()
        before, self._before = self._before, now
        if self.stalls is not None:
            stood_s = clock_s - before[0] - (queued_s - before[2])
            self.stalls.clock_s = max(self.stalls.clock_s, stood_s)
            self.stalls.processor_s = max(self.stalls.processor_s, processor_s - before[1])
        return sends


def queued() -> float:
    """For how long this thread could have run, and waited for a processor."""
    _, waited_ns, _ = Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()
    return int(waited_ns) / 1e9


def serve() -> None:
    job = SourceJob(ANY_PORT, ANY_PORT)
    watch = Watch(job)
    print(job.agents_address, job.clients_address, flush=True)

    def wait() -> None:
        sys.stdin.readline()
        watch.stalls = stalls = Stalls()
        sys.stdin.readline()
        watch.stalls = None
        print(json.dumps(asdict(stalls)), flush=True)
        sys.stdin.readline()
        job.stop()

    threading.Thread(target=wait, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    job.run()


if __name__ == "__main__":
    serve()
