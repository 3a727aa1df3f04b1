"""A service that publishes events of all kinds until its standard input ends.

At the end it says, as JSON, what was imported after `publish_agent`.
"""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from publish_agent import Agent
from tests.beside.imports import Imports


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def event(number: int) -> dict[str, object]:
    """Values of all kinds; those of `mixed` change theirs."""
    mixed = [number, number / 2, f"text {number}", True, None, [number, "a"], {"k": number}]
    return {
        "path": f"/api/items/{number % 7}",
        "status": 200 + number % 5 * 100,
        "latency_ms": number % 100 / 3,
        "user": {"id": f"ü{number % 50}", "card": "4111"},
        "spans": [{"ms": number % 9, "ok": number % 2 == 0}, {"ms": 4}],
        "mixed": mixed[number % len(mixed)],
        "flag": number % 3 == 0,
        "at": datetime.now(UTC).isoformat(),
        "when": datetime.now(UTC),
        "price": Decimal("1.50"),
        "trace": UUID(int=number),
    }


def user(number: int) -> dict[str, object]:
    """An event to join others with."""
    at = datetime.now(UTC).isoformat()
    return {"id": f"ü{number % 50}", "path": f"/api/items/{number % 7}", "at": at}


def main() -> None:
    imports = Imports()
    imports.watch()
    agent = Agent(
        "service", sys.argv[1:], redact=["user.card"], tags={"zone": "z"}, cpu_share=100.0
    )
    stop = threading.Event()

    def publish() -> None:
        number = 0
        while not stop.wait(0.01):
            agent.publish("requests", event(number))
            agent.publish("users", user(number))
            number += 1

    thread = threading.Thread(target=publish, name="publisher")
    thread.start()
    sys.stdin.read()
    stop.set()
    thread.join()
    agent.close()
    say(json.dumps([asdict(each) for each in imports.seen]))


if __name__ == "__main__":
    main()
