"""An agent runs where nothing is compiled, and a system has no forks: in Python, as on Windows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from source_jobs.client import connect
from source_jobs.job import SourceJob

ROOT = Path(__file__).parents[2]
EVENTS, LIMIT_MS = 50, 30_000


def test_a_service_is_asked_on_a_system_that_is_not_unix() -> None:
    with (
        SourceJob("tcp://127.0.0.1:*", "tcp://127.0.0.1:*") as job,
        connect(job.clients_address) as client,
    ):
        service = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.beside.elsewhere", job.agents_address],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert service.stdin is not None
        assert service.stdout is not None

        def publish() -> None:
            service.stdin.write("publish\n")  # type: ignore[union-attr]
            service.stdin.flush()  # type: ignore[union-attr]
            assert service.stdout.readline() == "published\n"  # type: ignore[union-attr]

        publish()
        while not client.agents():
            pass
        numbers: list[object] = []
        with client.subscribe("select number from requests", ttl_ms=LIMIT_MS) as answer:
            while len(numbers) < EVENTS:
                publish()
                window = answer.get(0.01)
                assert window is not None or answer.ended is None
                numbers += [row["number"] for row in window.rows()] if window else []
        service.stdin.close()
        service.stdout.close()
        assert service.wait(30) == 0
    first = numbers[0]
    assert isinstance(first, int)
    assert numbers == list(range(first, first + len(numbers)))
