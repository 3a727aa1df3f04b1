"""The last requests before SIGTERM are in the answer, whatever server had them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from source_jobs.job import SourceJob
from tests.greenlets.test_hosts import sender
from tests.lifecycle.hosts import (
    HERE,
    LAST,
    LIMIT_S,
    WARM,
    asked,
    end,
    finish,
    free_port,
    running,
    serve,
    tell,
)
from tests.live.support import source_job, until

pytestmark = [pytest.mark.timeout(110), pytest.mark.alone]

LONG = "MQL_LIFECYCLE" in os.environ
"""`make lifecycle` has all servers."""
DIED = -signal.SIGTERM
TASKS = "tests.greenlets.tasks"
WEB = "tests.lifecycle.web"
GUNICORN = ("gunicorn", "-b", "127.0.0.1:{port}", "--no-control-socket")
UWSGI = (
    "tests.lifecycle.uwsgi_server", "--http-socket", "127.0.0.1:{port}", "--master", "--need-app",
    "--die-on-term", "--disable-logging", "--enable-threads", "--module", f"{WEB}:wsgi",
)  # fmt: skip
GRANIAN = ("granian", "--port", "{port}", "--interface")

SERVERS = {
    "uvicorn": (("uvicorn", "--port", "{port}", f"{WEB}:asgi"), 1, DIED),
    "uvicorn two workers": (
        ("uvicorn", "--port", "{port}", "--workers", "2", f"{WEB}:asgi"), 2, 0),
    "gunicorn sync": ((*GUNICORN, "-w", "2", f"{WEB}:wsgi"), 2, 0),
    "gunicorn gthread": ((*GUNICORN, "-w", "1", "--threads", "4", f"{WEB}:wsgi"), 1, 0),
    "gunicorn uvicorn": (
        (*GUNICORN, "-w", "2", "-k", "uvicorn_worker.UvicornWorker", f"{WEB}:asgi"), 2, 0),
    "gunicorn preload": ((*GUNICORN, "-w", "2", "--preload", f"{WEB}:wsgi"), 2, 0),
    "gunicorn gevent": ((*GUNICORN, "-w", "2", "-k", "gevent", f"{WEB}:wsgi"), 2, 0),
    "hypercorn": (("hypercorn", "-b", "127.0.0.1:{port}", f"{WEB}:asgi"), 1, 0),
    "granian": ((*GRANIAN, "asgi", f"{WEB}:asgi"), 1, 0),
    "granian wsgi": ((*GRANIAN, "wsgi", "--workers", "2", f"{WEB}:wsgi"), 2, 0),
    "uwsgi": ((*UWSGI, "--processes", "2"), 2, 0),
    "uwsgi lazy-apps": ((*UWSGI, "--processes", "2", "--lazy-apps"), 2, 0),
    "uwsgi hooks": ((*UWSGI, "--py-call-osafterfork"), 1, 0),
}  # fmt: skip
FORKED = ("--preload", "--master")
"""Options of servers that load the application before they fork."""
NEEDED = {UWSGI[0]: "pyuwsgi"}
SHORT = ("uvicorn",)


@pytest.fixture
def job() -> Iterator[SourceJob]:
    with source_job() as made:
        yield made


@pytest.mark.parametrize("server", SERVERS if LONG else SHORT)
def test_the_last_requests_of_a_server_come(job: SourceJob, server: str, tmp_path: Path) -> None:
    program, agents, status = SERVERS[server]
    needed = NEEDED.get(program[0], program[0])
    needed = "uvicorn_worker" if "uvicorn_worker.UvicornWorker" in program else needed
    if find_spec(needed) is None:
        pytest.skip(f"there is no {needed} here (make lifecycle installs it)")
    port = free_port()
    command = ("-m", *(part.format(port=port) for part in program))
    is_warm = any(option in program for option in FORKED)
    ended = serve(job, command, port, agents, is_warm=is_warm, HOME=tmp_path)
    ended.check(status, is_warm=is_warm)


SCRIPTS = {
    "default": DIED,
    "busy": DIED,
    "restored": DIED,
    "handler before": 7,
    "handler after": 7,
    "asyncio": 7,
}


@pytest.mark.parametrize("how", SCRIPTS if LONG else ["default", "asyncio"])
def test_the_last_events_of_a_script_come(job: SourceJob, how: str) -> None:
    with (
        asked(job) as (answer, is_asked),
        running(HERE / "script.py", how, AGENTS=job.agents_address) as process,
    ):
        until(lambda: is_asked(1), LIMIT_S)
        assert tell(process) == "ACCEPTED " * (LAST - 1) + "ACCEPTED"
        ended = end(job, process, answer)
    ended.check(SCRIPTS[how])
    assert ended.took_s < 1.5


def test_who_raises_a_signal_in_itself_goes_no_further(job: SourceJob) -> None:
    with (
        asked(job) as (answer, is_asked),
        running(HERE / "script.py", "raise", AGENTS=job.agents_address) as process,
    ):
        until(lambda: is_asked(1), LIMIT_S)
        tell(process)
        ended = finish(job, process, answer, time.monotonic())
    ended.check(DIED)
    assert ended.printed == ""


def test_the_last_events_of_a_host_in_c_come(job: SourceJob) -> None:
    """It forks without Python's knowing, and its exit tears Arrow down while the agent runs."""
    with (
        asked(job) as (answer, is_asked),
        running(HERE / "in_c.py", AGENTS=job.agents_address) as process,
    ):
        until(lambda: is_asked(1, process.pid), LIMIT_S)
        assert tell(process) == "ACCEPTED " * (LAST - 1) + "ACCEPTED"
        ended = finish(job, process, answer, time.monotonic())
    ended.check(7, is_warm=True)
    assert ended.took_s < 1.5


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"] if LONG else ["fork"])
def test_the_last_events_of_a_terminated_child_come(job: SourceJob, method: str) -> None:
    with (
        asked(job) as (answer, is_asked),
        running(HERE / "children.py", method, AGENTS=job.agents_address) as process,
    ):
        until(lambda: is_asked(1, process.pid), LIMIT_S)
        assert tell(process) == str(DIED)
        ended = finish(job, process, answer, time.monotonic())
    ended.check(0, is_warm=method == "fork")


def statuses(done: Path) -> list[str]:
    """Those of the tasks that have run, but for the first ones."""
    lines = (line.split() for line in done.read_text().splitlines())
    return [status for status, path in lines if path != WARM]


@pytest.mark.skipif(not LONG, reason="make lifecycle runs it")
def test_the_last_tasks_of_a_celery_worker_come(job: SourceJob, tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    worker = ("-m", "celery", "-A", TASKS, "worker", "-P", "prefork", "-c", "2")
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "ERROR")
    with (
        asked(job) as (answer, is_asked),
        running(*worker, *quiet, AGENTS=job.agents_address, BROKER=tmp_path) as process,
    ):
        send, done = sender(tmp_path, TASKS), tmp_path / "done"
        until(lambda: (send(WARM), is_asked(2, process.pid))[1], LIMIT_S)
        done.write_text("")
        for number in range(LAST):
            send(f"/{number}")
        until(lambda: len(statuses(done)) == LAST, LIMIT_S)
        assert set(statuses(done)) == {"ACCEPTED"}
        ended = end(job, process, answer)
    ended.check(0, is_warm=True)
