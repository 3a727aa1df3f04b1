"""A client that asks all of `questions.py` at once, and reads the answers in every form.

    python -m tests.beside.asking ADDRESS

It says, as JSON, how many rows came of each question.
"""

from __future__ import annotations

import contextlib
import json
import sys

from benchmarks.processes import until
from source_jobs.client import connect
from source_jobs.client.subscription import Subscription
from tests.beside.questions import QUERIES

TTL_MS = 60_000
LIMIT_S = 30.0


def rows_of(answer: Subscription) -> int:
    """How many rows came in the first window that has some."""
    for window in answer:
        rows = len(window.rows())
        assert window.table.num_rows == rows
        assert window.json_lines().count(b"\n") == rows
        if rows:
            return rows
    return 0


def ask(address: str) -> dict[str, int]:
    """How many rows came of each question, asked by the time of arrival and by the events' own."""
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(connect(address))
        until(lambda: bool(client.agents()), "there is a service")
        answers = {
            f"{query} {time}": stack.enter_context(
                client.subscribe(query, ttl_ms=TTL_MS, time=time or None, timeout_s=LIMIT_S)
            )
            for time in ("", "at")
            for query in QUERIES
        }
        return {query: rows_of(answer) for query, answer in answers.items()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(ask(sys.argv[1])) + "\n")
