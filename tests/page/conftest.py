"""The page in headless Chromium, and services that publish what it shows."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from examples import live
from source_jobs import connect
from tests.live.support import until

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = "no Chromium here: the page is not tested (apt-get install chromium; `make test` does it)"
LIMIT_MS = 20_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for longer than it is needed: its driver runs an event loop in this thread."""
    if CHROMIUM is None:
        pytest.skip(MISSING)
    with sync_playwright() as driver:
        # Everything it loads comes from this machine, so root may do without its sandbox.
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def job() -> Iterator[live.Addresses]:
    """A source job and its HTTP server, each in a process of its own, as `mql serve` has them."""
    with live.source_job() as addresses:
        yield addresses


@pytest.fixture
def page(browser: Browser, job: live.Addresses) -> Iterator[Page]:
    """A page of its own, on which no script fails."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    made = context.new_page()
    made.set_default_timeout(LIMIT_MS)
    wrong: list[str] = []

    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.goto(job.http)
    expect(made.locator(".cm-content")).to_be_focused()
    yield made
    context.close()
    assert not wrong


class Publisher:
    """A service in a process of its own, which can be killed."""

    def __init__(self, job: live.Addresses, service: str, stream: str, rate: int = 40) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.page.publisher", job.agents, service, stream,
             str(rate)],
            cwd=ROOT,
        )  # fmt: skip

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def services(job: live.Addresses) -> Iterator[dict[str, Publisher]]:
    """Three services: two publish `requests`, one `payments`."""
    made = {
        "web": Publisher(job, "web", "requests"),
        "shop": Publisher(job, "shop", "requests"),
        "bank": Publisher(job, "bank", "payments"),
    }
    with connect(job.clients) as client:
        until(lambda: {each["service"] for each in client.agents()} >= set(made), 20)
    yield made
    for each in made.values():
        each.kill()
