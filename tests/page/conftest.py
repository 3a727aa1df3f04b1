"""The page in headless Chromium, and services that publish what it shows."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from source_jobs.api.server import HttpServer, Upstream
from source_jobs.api.settings import Settings
from source_jobs.job import SourceJob
from tests.live.support import source_job

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = "no Chromium here: the page is not tested (apt-get install chromium; `make test` does it)"
LIMIT_MS = 10_000


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(MISSING)
    with sync_playwright() as driver:
        # Everything it loads comes from this machine, so root may do without its sandbox.
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def job() -> Iterator[SourceJob]:
    with source_job() as made:
        yield made


@pytest.fixture(scope="session")
def server(job: SourceJob) -> Iterator[HttpServer]:
    with HttpServer(Upstream(job.clients_address), Settings(port=0)) as made:
        yield made


@pytest.fixture
def page(browser: Browser, server: HttpServer) -> Iterator[Page]:
    """A page of its own, on which no script fails and nothing is refused by the policy."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    made = context.new_page()
    made.set_default_timeout(LIMIT_MS)
    wrong: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and "inline style" not in message.text:
            wrong.append(message.text)

    made.on("console", note)
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.goto(server.url)
    yield made
    context.close()
    assert not wrong


class Publisher:
    """A service in a process of its own, which can be killed."""

    def __init__(self, job: SourceJob, service: str, stream: str, rate: int = 40) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.page.publisher", job.agents_address, service, stream,
             str(rate)],
            cwd=ROOT,
        )  # fmt: skip

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def services(job: SourceJob) -> Iterator[dict[str, Publisher]]:
    """Three services: two publish `requests`, one `payments`."""
    made = {
        "web": Publisher(job, "web", "requests"),
        "shop": Publisher(job, "shop", "requests"),
        "bank": Publisher(job, "bank", "payments"),
    }
    yield made
    for each in made.values():
        each.kill()
