"""A picture of each view of the page, made of the demo's shop by a headless Chromium.

    python -m examples.screenshots

writes build/screenshots/*.png, in dark and in light, for a desk and for a phone.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page, sync_playwright

from examples import live

WHERE = Path("build/screenshots")
LATENCY = """\
select count(*) as requests, p95(latency_ms) as p95, e['_agent']['service'] as service
from requests window 1 group by e['_agent']['service']"""
FAILING = "select * from requests where status >= 500"
WRONG = "select count(*) from requests wher status >= 500 window 1"


def main() -> int:
    """Make all pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("No Chromium here: apt-get install chromium", file=sys.stderr)
        return 1
    WHERE.mkdir(parents=True, exist_ok=True)
    with live.shop() as shop, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme in ("dark", "light"):
            with page(browser, 1360, 860, scheme) as desk:
                take(desk, shop.http, f"desk-{scheme}")
        with page(browser, 390, 844, "dark") as phone:
            take(phone, shop.http, "phone")
        browser.close()
    print(f"{len(list(WHERE.glob('*.png')))} pictures in {WHERE}")
    return 0


@contextmanager
def page(browser: Browser, width: int, height: int, scheme: str) -> Iterator[Page]:
    """A page of a size, in dark or light."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    try:
        yield context.new_page()
    finally:
        context.close()


def take(page: Page, url: str, name: str) -> None:
    """Go through the views as a person does, and picture each."""

    def show(view: str, **parameters: str) -> None:
        page.goto(f"{url}/#/{view}?{urlencode(parameters)}")
        page.wait_for_timeout(600)

    def shoot(what: str) -> None:
        page.screenshot(path=WHERE / f"{name}-{what}.png")

    show("query", q=LATENCY)
    page.locator(".run").click()
    page.wait_for_timeout(12_000)
    shoot("windows")
    show("query", q=FAILING)
    page.locator(".run").click()
    page.wait_for_timeout(4_000)
    page.locator(".pause").click()
    page.locator(".grid .row .open").first.click()
    shoot("rows")
    page.locator(".stop").click()
    show("query", q=WRONG)
    page.locator(".wrong").wait_for()
    shoot("error")
    show("trace", value="u17")
    page.locator(".follow .strong").click()
    page.wait_for_timeout(8_000)
    shoot("trace")
    for view in ("agents", "queries"):
        show(view)
        page.wait_for_timeout(1_000)
        shoot(view)


if __name__ == "__main__":
    sys.exit(main())
