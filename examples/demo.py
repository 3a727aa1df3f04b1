"""An incident in a small shop, found twice: in recorded events, and in services that run.

    python -m examples.demo

makes build/demo/requests.ndjson (always the same 30,000 events, ten minutes) and asks. From minute
4 to 7 the new version of `checkout` fails for users of one payment provider. Then it runs the shop
itself (examples/live.py) and asks that.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from examples import live

EVENTS = 30_000
START_MS = 1_767_265_200_000  # 2026-01-01 11:00 UTC
STEP_MS = 20
FILE = Path("build/demo/requests.ndjson")

_SERVICES = {
    "catalog": ["/items", "/items/{id}", "/search"],
    "checkout": ["/cart", "/pay"],
    "accounts": ["/login", "/me"],
}
_COUNTRIES = ["DE", "FR", "JP", "KR", "NL", "US"]
_PROVIDERS = ["card", "card", "paypal", "giropay"]

QUESTIONS = (
    (
        "Is something wrong? Errors per minute and service.",
        "select count(*) as 'errors', service from requests where status >= 500 "
        "window 60 group by service order by errors desc",
    ),
    (
        "What do the failing requests have in common?",
        "select count(*) as 'errors', e['payment']['provider'] as 'provider', "
        "e['deploy']['version'] as 'version' from requests "
        "where status >= 500 and service == 'checkout' "
        "group by e['payment']['provider'], e['deploy']['version'] order by errors desc limit 3",
    ),
)


def make_events(path: Path) -> None:
    """Write the demo's events, one JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(event) + "\n" for event in events())


def events() -> Iterator[dict[str, object]]:
    """The events in order of time; always the same ones."""
    dice = random.Random(7)
    for number in range(EVENTS):
        time = START_MS + number * STEP_MS
        minute = number * STEP_MS / 60_000
        service = dice.choices(list(_SERVICES), [6, 3, 2])[0]
        incident = service == "checkout" and 4 <= minute < 7
        version = "2.8.1" if minute < 4 else "2.9.0" if minute < 7 else "2.8.1"
        provider = dice.choice(_PROVIDERS)
        failing = incident and provider == "giropay" and dice.random() < 0.8
        event: dict[str, object] = {
            "time": time,
            "service": service,
            "node": f"{service}-{dice.randrange(4)}",
            "user_id": f"u{int(dice.paretovariate(0.8)) % 5000}",
            "country": dice.choice(_COUNTRIES),
            "path": dice.choice(_SERVICES[service]).replace("{id}", str(dice.randrange(900))),
            "status": 503 if failing else dice.choices([200, 404, 500], [970, 28, 2])[0],
            "latency_ms": round(dice.lognormvariate(3.2, 0.6) * (4 if incident else 1), 1),
            "deploy": {"version": version, "canary": dice.random() < 0.1},
        }
        if service == "checkout":
            event["payment"] = {"provider": provider, "amount": round(dice.uniform(3, 300), 2)}
        yield event


def main() -> int:
    """Make the events, ask the questions, show the answers; then the same of running services."""
    make_events(FILE)
    print(f"1. Recorded events: {EVENTS:,} made-up ones in {FILE}\n", flush=True)
    for question, query in QUESTIONS:
        print(f"── {question}", flush=True)
        command = ["run", query, str(FILE), *(["--time", "time"] if " window " in query else [])]
        print(f'$ mql run "{query}" {FILE}{" --time time" * (" window " in query)}\n', flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "cli", *command, "--output", "table"], check=False
        )
        if done.returncode:
            return done.returncode
        print(flush=True)
    print("2. Running services, asked while they work\n", flush=True)
    return live.main()


if __name__ == "__main__":
    sys.exit(main())
