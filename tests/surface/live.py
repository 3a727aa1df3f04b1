"""One run of all parts, and what came out of it: the keys of outputs and of responses, by place.

A source job, an agent that publishes and an HTTP server are in this process, with real sockets.
Commands run here too, each to its end. What is noted does not depend on how fast that went.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry

from source_jobs import connect
from tests.live.support import publishing, source_job, until
from tests.source_jobs.api.support import Asker, serving
from tests.surface import inside
from tests.surface.live_commands import (
    after_a_gap,
    ask_nobody,
    ask_too_much,
    close_pipe,
    interrupt,
    run_commands,
)
from tests.surface.live_http import send_requests
from tests.surface.noted import Seen, note_metrics
from tests.surface.record import keys_of


@cache
def seen() -> Seen:
    """What one run shows. Most of it is waiting, and so it is done side by side."""
    found = Seen()
    streams = {"requests": _event, "payments": _event}
    with (
        TemporaryDirectory() as folder,
        ThreadPoolExecutor() as pool,
        _logged(found),
        source_job() as job,
        publishing(job, "web", streams, tags={"zone": "a"}, host="h1", version="1") as agent,
        serving(job) as server,
    ):
        others = [
            pool.submit(after_a_gap, found),
            pool.submit(close_pipe, found, Path(folder)),
            pool.submit(interrupt, found),
            pool.submit(ask_nobody, found),
            pool.submit(ask_too_much, found, job.clients_address),
        ]
        registry = CollectorRegistry()
        agent.export_metrics(registry)
        with connect(job.clients_address) as client:
            until(lambda: [1 for s in client.streams() if s["fields"]] == [1, 1])
        others.append(pool.submit(send_requests, found, Asker(server.url)))
        run_commands(found, job, Path(folder))
        for each in others:
            each.result()
        note_metrics(found.agent_metrics, registry.collect())
    return found


def _event(number: int) -> dict[str, object]:
    return {"path": "/a", "status": 500 if number % 2 else 200, "user": f"u{number % 3}"}


@contextmanager
def _logged(found: Seen) -> Iterator[None]:
    """Note the fields of the lines that are JSON, by their messages."""

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            line = json.loads(inside.JsonFormatter().format(record))
            name = f"{line['logger']}: {line['message']}"
            found.logged.setdefault(name, set()).update(keys_of(line))

    handler = Noting()
    loggers = [logging.getLogger(name) for name in ("mql.audit", "mql.http")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
