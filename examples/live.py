"""A small shop of three services under load, asked while it runs.

    python -m examples.live

starts a source job and three HTTP services as processes of their own, on free ports, puts load on
them, asks questions of them, shows the answers with how complete they are, and stops everything.

    python -m examples.live stay

keeps it running at the usual ports, with the page, until Ctrl-C.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import IO, NamedTuple

SERVICES = {"catalog": ["/items", "/search"], "checkout": ["/cart", "/pay"], "accounts": ["/me"]}
PROVIDERS = ["card", "giropay", "paypal"]
FREE = "tcp://127.0.0.1:*"
USUAL = ("tcp://127.0.0.1:7766", "tcp://127.0.0.1:7767", "7768")
REQUESTS_PER_SECOND = 150
USERS = 60

ERRORS = (
    "select count(*) as errors, e['_agent']['service'] as service from requests "
    "where status >= 500 window 1 group by e['_agent']['service'] order by errors desc"
)
CAUSE = (
    "select count(*) as failures, path, e['payment']['provider'] as provider from requests "
    "where status == 503 window 2 group by path, e['payment']['provider']"
)
QUESTIONS = (
    ("Which services fail, second by second?", ("query", ERRORS, "--for", "6s")),
    ("What do the failing requests have in common?", ("query", CAUSE, "--for", "5s")),
    ("What happens to one user?", ("trace", "requests.user_id=u17", "--for", "4s")),
    ("Which services are there?", ("agents",)),
)


class Addresses(NamedTuple):
    """Where a source job listens: for agents, for clients, and for browsers."""

    agents: str
    clients: str
    http: str


def main() -> int:
    """Run the shop, ask, and stop."""
    with shop() as (_, clients, _):
        print(
            f"A source job, and {len(SERVICES)} HTTP services in processes of their own, "
            f"which answer {REQUESTS_PER_SECOND} requests a second.\n",
            flush=True,
        )
        for question, command in QUESTIONS:
            ask(question, command, clients)
    print("Everything is stopped. Your own services: docs/agent.md, docs/live.md")
    print("To watch the shop on the page: make demo-live, and open http://127.0.0.1:7768")
    print("For your own services it is served by: mql serve --http 7768")
    return 0


def stay() -> int:
    """Run the shop with the page, until Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt), shop(USUAL) as (_, _, http):
        print(f"The shop runs. Open {http} in a browser; Ctrl-C stops everything.\n")
        print("Try: Recipes, Errors of requests; then Trace, user u17.", flush=True)
        while True:
            time.sleep(3600)
    return 0


def ask(question: str, command: tuple[str, ...], clients: str) -> None:
    """Show a question and its command, and run it. Raises CalledProcessError."""
    shown = " ".join(f'"{word}"' if " " in word else word for word in command)
    print(f"── {question}\n$ mql {shown}\n", flush=True)
    subprocess.run(
        [sys.executable, "-m", "cli", *command, "--output", "table"],
        env=os.environ | {"MQL_SOURCE_JOB": clients},
        check=True,
        timeout=30,
    )
    print(flush=True)


@contextlib.contextmanager
def shop(at: tuple[str, str, str] = (FREE, FREE, "*")) -> Iterator[Addresses]:
    """Run it all; where the source job listens."""
    with contextlib.ExitStack() as stack:
        addresses = stack.enter_context(source_job(*at))
        ports = {name: stack.enter_context(service(name, addresses.agents)) for name in SERVICES}
        stack.enter_context(load(ports))
        yield addresses


@contextlib.contextmanager
def source_job(agents: str = FREE, clients: str = FREE, http: str = "*") -> Iterator[Addresses]:
    """Run a source job with its HTTP server; where it listens."""
    options = ("--agents", agents, "--clients", clients, "--http", http)
    with (
        tempfile.TemporaryFile("w+") as log,
        process("cli", "serve", *options, log=log) as started,
    ):
        assert started.stdout is not None
        found: dict[str, str] = {}
        while not set(Addresses._fields) <= set(found):
            line = started.stdout.readline()
            if not line:
                log.seek(0)
                raise OSError(f"no source job at {agents}, {clients} and {http}: {log.read()}")
            side, _, address = line.strip().partition(" ")
            found[side.rstrip(":")] = address.strip()
        until_ready(found["http"])
        yield Addresses(found["agents"], found["clients"], found["http"])


def until_ready(url: str) -> None:
    """Wait until a server answers, and its source job. Raises OSError after a minute."""
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=10):  # noqa: S310 - our own
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


@contextlib.contextmanager
def service(name: str, agents: str) -> Iterator[int]:
    """Run a service; the port where it answers."""
    with process("examples.service", name, "--source-job", agents) as started:
        assert started.stdout is not None
        yield int(started.stdout.readline())


@contextlib.contextmanager
def process(
    module: str, *arguments: str, log: IO[str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run a module of Python as a process, which ends when its standard input does."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", module, *arguments],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
    ) as started:
        try:
            yield started
        finally:
            assert started.stdin is not None
            started.stdin.close()
            if module == "cli":
                started.terminate()
            started.wait(10)


@contextlib.contextmanager
def load(ports: dict[str, int]) -> Iterator[None]:
    """Put load on the services from a thread."""
    ended = threading.Event()
    thread = threading.Thread(target=_requests, args=(ports, ended))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _requests(ports: dict[str, int], ended: threading.Event) -> None:
    connections = {
        name: http.client.HTTPConnection("127.0.0.1", port) for name, port in ports.items()
    }
    dice = random.Random(7)
    start, number = time.monotonic(), 0
    while not ended.is_set():
        for _ in range(int((time.monotonic() - start) * REQUESTS_PER_SECOND) - number):
            name = dice.choice(list(ports))
            user, provider = f"u{dice.randrange(USERS)}", dice.choice(PROVIDERS)
            path = dice.choice(SERVICES[name])
            connections[name].request("GET", f"{path}?user={user}&provider={provider}")
            connections[name].getresponse().read()
            number += 1
            if ended.is_set():
                break
        time.sleep(0.01)
    for connection in connections.values():
        connection.close()


if __name__ == "__main__":
    sys.exit(stay() if sys.argv[1:] == ["stay"] else main())
