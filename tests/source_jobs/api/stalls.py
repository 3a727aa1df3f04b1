"""A server in a process of its own that says, at its end, how long its event loop stood still."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from source_jobs.api.server import Upstream, listen, make_door, url_of
from source_jobs.api.settings import Settings
from source_jobs.api.uvicorn_server import make_server

_ROUND_S = 0.002


@dataclass
class Stalls:
    """The longest, by the clock without the waits for a processor, and by the processor time."""

    clock_s: float = 0.0
    processor_s: float = 0.0


async def watch(stalls: Stalls) -> None:
    while True:
        clock_s, processor_s, queued_s = time.monotonic(), time.thread_time(), queued()
        await asyncio.sleep(_ROUND_S)
        stood_s = time.monotonic() - clock_s - _ROUND_S - (queued() - queued_s)
        stalls.clock_s = max(stalls.clock_s, stood_s)
        stalls.processor_s = max(stalls.processor_s, time.thread_time() - processor_s)


def queued() -> float:
    """For how long this thread could have run, and waited for a processor."""
    _, waited_ns, _ = Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()
    return int(waited_ns) / 1e9


async def serve(upstream: str) -> None:
    settings = Settings(port=0)
    listening = listen(settings)
    server = make_server(make_door(Upstream(upstream), settings))
    serving = asyncio.create_task(server.serve([listening]))
    loop, stalls = asyncio.get_running_loop(), Stalls()
    print(url_of(settings, listening), flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    watching = asyncio.create_task(watch(stalls))
    await loop.run_in_executor(None, sys.stdin.readline)
    watching.cancel()
    print(json.dumps(asdict(stalls)), flush=True)
    server.should_exit = True
    await serving


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
