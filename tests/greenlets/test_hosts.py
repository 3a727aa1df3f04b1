"""Programs whose threads are greenlets: each event is counted, and their greenlets go on."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from source_jobs.client import Subscription, connect
from source_jobs.job import SourceJob
from tests.live.support import source_job, until
from tests.source_jobs.api.support import serving

pytestmark = [pytest.mark.timeout(110), pytest.mark.alone]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REQUESTS = int(os.environ.get("MQL_REQUESTS", "200"))
LONG = "MQL_REQUESTS" in os.environ
"""`make greenlets` has more requests, and more kinds of programs."""
LIMIT_S = 60.0

SCRIPTS = [("before", "gevent", "tcp"), ("late", "eventlet", "http")]
if LONG:
    SCRIPTS += [
        (how, library, over)
        for how in ("before", "after", "late")
        for library in ("gevent", "eventlet")
        for over in ("tcp", "http")
    ]
    SCRIPTS += [("without threads", "gevent", "tcp")]


@pytest.fixture
def job() -> Iterator[SourceJob]:
    with source_job() as made:
        yield made


@contextmanager
def running(*arguments: object, **environment: object) -> Iterator[subprocess.Popen[str]]:
    """A program, ended at the end if it has not by itself."""
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | {k: str(v) for k, v in environment.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize(("how", "library", "over"), SCRIPTS)
def test_a_patched_program_publishes_and_asks(
    job: SourceJob, how: str, library: str, over: str
) -> None:
    with serving(job) as web:
        clients = web.url if over == "http" else job.clients_address
        script = HERE / "script.py"
        with running(script, how, library, job.agents_address, clients) as process:
            out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    got = json.loads(out)
    assert got["statuses"] == ["ACCEPTED"]
    assert got["rows"] == got["different"] == 1_000 - got["lost"]
    assert got["agents"] == ["script"]
    assert got["longest_s"] < 1.2, "some greenlet stopped all others"
    assert got["close_s"] < 1.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def request(port: int, path: str) -> str:
    """The status of the event that a request was."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def answers(port: int) -> bool:
    try:
        return bool(request(port, "/"))
    except ConnectionRefusedError:
        return False


def count(answer: Subscription, wanted: int) -> tuple[Counter[str], int]:
    """The paths that came, and how many events the answer says it lacks."""
    paths: Counter[str] = Counter()
    lost, end_s = 0, time.monotonic() + LIMIT_S
    while paths.total() + lost < wanted:
        assert time.monotonic() < end_s, (paths.total(), lost, wanted)
        piece = answer.get(1.0)
        if piece is not None:
            paths.update(str(row["path"]) for row in piece.rows())
            known = piece.completeness  # `unseen` are those that no query was there for
            lost += 0 if known is None else known.lost - known.unseen
    return paths, lost


def check_requests(job: SourceJob, port: int) -> None:
    """Each request that was taken is in the answer, once, or counted as lost."""
    until(lambda: answers(port), LIMIT_S)
    with connect(job.clients_address, timeout_s=20) as client:
        answer = client.subscribe("select path from requests", timeout_s=20)
        statuses: Counter[str] = Counter()

        def is_heard() -> bool:
            statuses[request(port, "/first")] += 1
            return statuses["ACCEPTED"] > 0

        until(is_heard, LIMIT_S)
        statuses.update(request(port, f"/{number}") for number in range(REQUESTS))
        assert statuses["ACCEPTED"] == REQUESTS + 1
        paths, lost = count(answer, REQUESTS + 1)
    assert paths.total() == REQUESTS + 1 - lost
    assert set(paths.values()) == {1}


@pytest.mark.parametrize("preload", [[], ["--preload"]] if LONG else [[]])
def test_gunicorn_with_gevent(job: SourceJob, preload: list[str], tmp_path: Path) -> None:
    port = free_port()
    where = ["-b", f"127.0.0.1:{port}", "-w", "1", "--no-control-socket", *preload]
    program = ["-m", "gunicorn", "-k", "gevent", *where, "tests.greenlets.web:application"]
    with running(*program, AGENTS=job.agents_address, HOME=tmp_path) as process:
        check_requests(job, port)
        process.terminate()
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err


def test_eventlet_wsgi(job: SourceJob) -> None:
    """gunicorn has no worker for eventlet any more."""
    port = free_port()
    with running(HERE / "web.py", port, AGENTS=job.agents_address):
        check_requests(job, port)


def test_celery_with_gevent(job: SourceJob, tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    tasks = ["-m", "celery", "-A", "tests.greenlets.tasks", "worker", "-P", "gevent", "-c", "10"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "ERROR"]
    with running(*tasks, *quiet, BROKER=tmp_path, AGENTS=job.agents_address) as worker:
        with connect(job.clients_address, timeout_s=20) as client:
            answer = client.subscribe("select path from requests", timeout_s=20)
            send = sender(tmp_path)

            firsts: list[str] = []

            def is_heard() -> bool:
                assert worker.poll() is None, worker.stderr and worker.stderr.read()
                send("/first")
                firsts.append("/first")
                time.sleep(0.2)
                return "ACCEPTED" in done(tmp_path)

            until(is_heard, LIMIT_S)
            for number in range(REQUESTS):
                send(f"/{number}")
            until(lambda: done(tmp_path).total() >= REQUESTS + len(firsts), LIMIT_S)
            accepted = done(tmp_path)["ACCEPTED"]
            paths, lost = count(answer, accepted)
    assert paths.total() + lost >= accepted
    assert lost or {f"/{number}" for number in range(REQUESTS)} <= set(paths)
    assert all(number == 1 for path, number in paths.items() if path != "/first")


def done(folder: Path) -> Counter[str]:
    """The statuses of the events of all tasks that have run."""
    told = folder / "done"
    lines = told.read_text().splitlines() if told.exists() else []
    return Counter(line.partition(" ")[0] for line in lines)


def sender(
    folder: Path, tasks: str = "tests.greenlets.tasks", task: str = "publish"
) -> Callable[[str], None]:
    """Send a task, without the module of tasks, which makes an agent.

    Celery opens a message's file before it writes into it, and a worker takes the file that it
    sees: it would read nothing, and lose the task. So messages are written elsewhere, and moved.
    """
    from celery import Celery

    written = folder / "written"
    written.mkdir()
    app = Celery("tasks", broker="filesystem://")
    folders = dict.fromkeys(("data_folder_in", "data_folder_out"), str(written))
    app.conf.broker_transport_options = folders | {"control_folder": str(folder / "control")}
    app.conf.task_ignore_result = True

    def send(path: str) -> None:
        app.send_task(f"{tasks}.{task}", [path])
        for message in written.iterdir():
            message.rename(folder / message.name)

    return send
