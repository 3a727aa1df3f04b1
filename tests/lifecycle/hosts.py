"""Programs that publish, each with one query that is there before them, until a signal comes."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from mql.ledger import Completeness, Exactness
from source_jobs.client import Subscription, connect
from source_jobs.job import SourceJob
from tests.live.support import until

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LAST = 20
"""Requests just before the signal."""
LIMIT_S = 30.0
QUERY = "select path from requests"
WARM = "/warm"
"""Requests of this path begin agents, and are none of the last."""


@dataclass
class Ended:
    """What came of a program: its exit status, how long that took, and what the query knows."""

    status: int
    took_s: float
    printed: str
    errors: str
    paths: Counter[str] = field(default_factory=Counter)
    total: Completeness | None = None
    silent: list[object] = field(default_factory=list)
    """The processes whose agents have said no goodbye."""

    def check(self, status: int, *, is_warm: bool = False) -> None:
        """All events came, once; all agents said goodbye; and the answer knows that.

        Where an event begins an agent, in the child of a fork, the query has not seen that one.
        """
        assert self.status == status, self.errors
        assert not self.silent
        del self.paths[WARM]
        assert self.paths == dict.fromkeys((f"/{number}" for number in range(LAST)), 1)
        assert self.total is not None
        assert (self.total.missing, self.total.expected) == ((), self.total.reported)
        assert self.total.lost == self.total.unseen
        unseen = self.total.unseen > 0
        assert is_warm or not unseen
        assert self.total.exactness is (Exactness.LOWER_BOUND if unseen else Exactness.EXACT)


@contextmanager
def running(*arguments: object, **environment: object) -> Iterator[subprocess.Popen[str]]:
    """A program, in a process group that is ended at the end."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(paths)}
        | {name: str(value) for name, value in environment.items()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def tell(process: subprocess.Popen[str]) -> str:
    """Send a line to a program, and give the line that it answers."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def request(port: int, path: str) -> str:
    """What the program answers; nothing while it does not."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    except (ConnectionError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


@contextmanager
def asked(job: SourceJob) -> Iterator[tuple[Subscription, Callable[..., bool]]]:
    """A query, and whether a number of agents run it, beside that of a process."""
    with connect(job.clients_address, timeout_s=20) as client:
        answer = client.subscribe(QUERY, timeout_s=20)

        def is_asked(agents: int, beside: int = 0) -> bool:
            time.sleep(0.1)  # a source job answers no client that asks all the time
            pids = {each["agent"]: each["pid"] for each in client.agents()}
            told = cast("list[dict[str, object]]", client.explain(QUERY)["agents"])
            run = {pids.get(each["agent"]) for each in told if each["state"] == "runs"}
            return len(run - {beside, None}) >= agents

        yield answer, is_asked


def end(
    job: SourceJob,
    process: subprocess.Popen[str],
    answer: Subscription,
    number: int = signal.SIGTERM,
) -> Ended:
    """Have a program end by a signal, and take what the query knows then."""
    began_s = time.monotonic()
    process.send_signal(number)
    return finish(job, process, answer, began_s)


def finish(
    job: SourceJob, process: subprocess.Popen[str], answer: Subscription, began_s: float
) -> Ended:
    """Wait for a program's end, and take what the query knows then."""
    printed, errors = process.communicate(timeout=LIMIT_S)
    ended = Ended(process.returncode, time.monotonic() - began_s, printed, errors)
    with connect(job.clients_address, timeout_s=20) as client:
        with suppress(AssertionError):
            until(lambda: not client.agents(), 1.0)
        ended.silent = [each["pid"] for each in client.agents()]
        client.cancel(answer.query_id)
    for piece in answer:
        ended.paths.update(str(row["path"]) for row in piece.rows())
    ended.total = answer.total
    return ended


def serve(
    job: SourceJob,
    program: Sequence[object],
    port: int,
    agents: int,
    *,
    is_warm: bool = False,
    is_recipe: bool = False,
    **environment: object,
) -> Ended:
    """Run a server, have each of its agents asked, send the last requests, and end it."""
    with (
        asked(job) as (answer, is_asked),
        running(*program, **{"AGENTS": job.agents_address} | environment) as process,
    ):

        def is_up() -> bool:
            assert process.poll() is None, process.communicate()
            return request(port, WARM if is_recipe else "/pid") != ""

        until(is_up, LIMIT_S)
        until(
            lambda: (is_warm and request(port, WARM), is_asked(agents, process.pid * is_warm))[1],
            LIMIT_S,
        )
        answers = [request(port, f"/{number}") for number in range(LAST)]
        assert is_recipe or answers == ["ACCEPTED"] * LAST
        assert all(answers)
        return end(job, process, answer)
