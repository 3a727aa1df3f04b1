"""What an on-call engineer does on the page, in a real browser, against real services."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect

from examples import live
from mql.ledger import Completeness, Gone, Tally, as_data
from publish_agent import Agent
from source_jobs import connect
from source_jobs.api.server import HttpServer, Upstream
from source_jobs.api.settings import Settings
from source_jobs.client import Client, HttpClient
from tests.live.support import until
from tests.page.conftest import LIMIT_MS, Publisher
from tests.source_jobs.api.support import add_token

pytestmark = [pytest.mark.timeout(100), pytest.mark.alone]
"""Windows are exact, and the browser is in time, where services get their share of the machine."""
expect.set_options(timeout=LIMIT_MS)

BY = "e['_agent']['service']"
WINDOWS = f"select count(*) as n, {BY} as service from requests window 1 group by {BY}"


def until_ended(page: Page) -> None:
    """Wait until an answer is over; say why, if it failed."""
    state = page.locator(".state")
    expect(state).to_have_text(re.compile("Ended|Failed"))
    assert state.inner_text() == "Ended", page.locator(".wrong").inner_text()


def write(page: Page, query: str) -> None:
    """Put a query into the editor, as a person pastes one."""
    page.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(query)


def run(page: Page, query: str) -> None:
    write(page, query)
    page.keyboard.press("Control+Enter")


def rows(page: Page) -> int:
    text = page.locator(".count").inner_text()
    found = re.match(r"([\d,]+) rows", text)
    return int(found[1].replace(",", "")) if found else 0


def until_rows(page: Page, most: int) -> None:
    page.wait_for_function(
        "most => Number(document.querySelector('.count').textContent.split(' ')[0]"
        ".replaceAll(',', '')) > most",
        arg=most,
    )


def test_an_error_is_under_the_caret_while_one_types(page: Page) -> None:
    write(page, "select * from requests wher status == 500")
    expect(page.locator(".wrong")).to_contain_text("line 1, column 24: unexpected `wher`")
    expect(page.locator(".wrong .hint")).to_contain_text("did you mean `where`?")
    expect(page.locator(".cm-lintRange-error")).to_have_text("wher")
    write(page, "select * from requests where status == 500")
    expect(page.locator(".wrong")).to_be_hidden()
    expect(page.locator(".cm-lintRange-error")).to_have_count(0)


@pytest.mark.usefixtures("services")
def test_a_query_without_a_stream_is_marked_where_from_is_missing(page: Page) -> None:
    write(page, "select path where status == 500")
    expect(page.locator(".wrong")).to_contain_text("line 1, column 12: a live query names its")
    expect(page.locator(".wrong .hint")).to_contain_text(re.compile("from.* requests"))
    expect(page.locator(".cm-lintRange-error")).to_have_text(" ")


@pytest.mark.usefixtures("services")
def test_what_agents_publish_can_be_completed(page: Page) -> None:
    expect(page.locator(".catalogue")).to_contain_text("latency_ms")
    expect(page.locator(".catalogue")).to_contain_text("requests")
    write(page, "select lat")
    page.keyboard.type("e")
    expect(page.locator(".cm-tooltip-autocomplete")).to_contain_text("latency_ms")
    page.keyboard.press("Tab")
    page.keyboard.type(" from req")
    expect(page.locator(".cm-tooltip-autocomplete")).to_contain_text("requests")
    page.keyboard.press("Tab")
    expect(page.locator(".cm-content")).to_have_text("select latency_ms from requests")


@pytest.mark.usefixtures("services")
def test_rows_come_and_the_chart_moves(page: Page) -> None:
    run(page, WINDOWS)
    expect(page.locator(".badge")).to_have_text("exact")
    expect(page.locator(".chip.agents")).to_have_text("2 of 2 agents")
    expect(page.locator(".legend button")).to_have_count(2)
    expect(page.locator(".chartbox header")).to_contain_text(re.compile(r"\d windows"))
    chart = page.locator(".chart")
    image = chart.screenshot()
    until(lambda: chart.screenshot() != image)
    page.locator(".stop").click()
    until_ended(page)


@pytest.mark.usefixtures("services")
def test_a_value_becomes_a_condition_and_an_event_is_shown_as_it_is(page: Page) -> None:
    run(page, "select * from requests where n > 0 or n < 0")
    until_rows(page, 20)
    page.locator(".pause").click()
    page.locator(".grid .row .cell.value", has_text="500").first.click()
    page.get_by_role("menuitem", name="Add to where").click()
    expect(page.locator(".cm-content")).to_have_text(
        "select * from requests where (n > 0 or n < 0) and status == 500"
    )
    until_rows(page, 3)
    page.locator(".grid .row .open").first.click()
    event = page.locator(".inspector .json")
    expect(event).to_contain_text('"big": 9007199254740993')  # which is no double
    assert "200" not in page.locator(".grid .row .cell.number").all_inner_texts()
    event.locator(".string", has_text="/").first.click()
    expect(page.get_by_role("menuitem", name="Add to where")).to_contain_text("path == '/")


@pytest.mark.usefixtures("services")
def test_rows_can_be_filtered_sorted_and_held_back(page: Page) -> None:
    run(page, "select n, path, status from requests")
    until_rows(page, 60)
    page.keyboard.press("Escape")
    page.keyboard.press("p")
    expect(page.locator(".state")).to_contain_text("rows wait")
    held = rows(page)
    page.keyboard.press("/")
    page.keyboard.insert_text("/<b>")
    expect(page.locator(".tablebar")).to_contain_text("match")
    paths = page.locator(".grid .row .cell.text").all_inner_texts()
    assert set(paths) == {"/<b>&amp;"}  # text, never HTML
    page.get_by_role("columnheader", name="n", exact=True).click()
    numbers = [
        int(text) for text in page.locator(".grid .row .cell:nth-child(3)").all_inner_texts()
    ]
    assert numbers == sorted(numbers, reverse=True) or numbers == sorted(numbers)
    assert rows(page) == held
    page.locator(".pause").click()
    until_rows(page, held)
    page.locator(".stop").click()


@pytest.mark.usefixtures("services")
def test_a_user_is_traced_across_three_services(page: Page) -> None:
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    expect(page.locator(".follow .stream")).to_have_count(2)
    expect(page.get_by_label("Property of requests")).to_have_value("user_id")
    page.get_by_label("Property of payments").select_option("payer")
    page.get_by_label("The value to follow").fill("u1")
    page.keyboard.press("Enter")
    for service in ("web", "shop", "bank"):
        expect(page.locator(".timeline .service", has_text=service).first).to_be_visible()
    expect(page.locator(".lanes")).to_be_visible()
    colours = page.locator(".timeline .entry").evaluate_all(
        "rows => new Set(rows.map(row => getComputedStyle(row).borderLeftColor)).size"
    )
    assert colours == 3
    expect(page.locator(".timeline .entry").nth(8)).to_be_visible()  # it follows live
    page.locator(".timeline .entry").first.click()
    expect(page.locator(".inspector")).to_contain_text('"u1"')
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".trace .state")).to_have_text("Ended")


def test_a_killed_agent_shows_in_the_completeness(page: Page, job: live.Addresses) -> None:
    doomed, other = Publisher(job, "doomed", "lives"), Publisher(job, "other", "lives")
    try:
        with connect(job.clients) as client:
            until(lambda: {"doomed", "other"} <= there(client, "lives"))
        run(page, "select count(*) as n from lives window 1")
        expect(page.locator(".chip.agents")).to_have_text("2 of 2 agents")
        expect(page.locator(".badge")).to_have_text("exact")
        doomed.kill()
        expect(page.locator(".badge")).to_have_text("lower bound")
        expect(page.locator(".chip.bad").first).to_be_visible()
        expect(page.locator(".work .status").first).to_contain_text("1 of 2 agents")
    finally:
        doomed.kill()
        other.kill()


def there(client: Client | HttpClient, stream: str) -> set[object]:
    """The services that offer a stream."""
    return {each["service"] for each in client.agents() if stream in list(each["streams"])}  # type: ignore[call-overload]


WHOLE = Completeness(0, 1_000, expected=2, reported=2, tally=Tally(0, shipped=10))
SAMPLED = Tally(0, shipped=1, budget=9, weight=10)
CASES: list[dict[str, object]] = [
    {},
    {"partial": True, "covered_ms": 300},
    {"expected": 0, "reported": 0, "tally": Tally(0)},
    {"expected": 0, "reported": 0},
    {"reported": 1, "missing": ("a@h",)},
    {"reported": 1, "refused": ("a@h",)},
    {"rate": 0.1},
    {"tally": SAMPLED, "rate": 0.1},
    {"tally": SAMPLED + Tally(0, buffer=1), "rate": 0.1},
    {"tally": Tally(0, shipped=283, buffer=717)},
    {"tally": Tally(0, shipped=9, credit=1)},
    {"tally": Tally(0, shipped=9, failed=1)},
    {"tally": Tally(0, shipped=9, upstream=1)},
    *({count: 1} for count in ("transit", "late", "no_time", "unseen", "subscriber")),
    {"clock_ms": 10},
    {"clock_ms": 11},
    {"gone": (Gone("a@h", 0),)},
]
SHOW = """async (all) => {
  const { Completeness } = await import("/page/js/results/completeness.js");
  return all.map((known) => {
    const shown = new Completeness();
    shown.add(known);
    shown.draw();
    const chips = [...shown.element.querySelectorAll(".chip")].map((chip) => chip.textContent);
    return [shown.element.querySelector(".badge").dataset.kind, chips];
  });
}"""


def test_the_page_means_the_same_by_exact_and_by_share(page: Page) -> None:
    cases = [msgspec.structs.replace(WHOLE, **changes) for changes in CASES]
    shown = page.evaluate(SHOW, [as_data(known) for known in cases])
    for known, (kind, chips) in zip(cases, shown, strict=True):
        is_silent = known.silent and not known.tally.seen
        assert kind == ("no agents" if is_silent else known.exactness), known
        shares = [chip for chip in chips if re.fullmatch(r"[\d.]+%", chip)]
        percent = f"{known.share * 100:.1f}".removesuffix(".0") + "%"
        assert shares == ([] if known.partial or known.share == 1 else [percent]), known


def test_names_that_turn_text_round_are_spelled_out(page: Page, job: live.Addresses) -> None:
    evil = Publisher(job, "shop\u202egnad\u2066\x1b[2J<b>", "strange")
    try:
        run(page, "select e['_agent']['service'] as who, n from strange")
        shown = "shop\\u202egnad\\u2066\\u001b[2J<b>"
        expect(page.locator(".work")).to_contain_text(shown)
        assert not re.search("[\u202e\u2066\x1b]", page.locator("body").inner_text())
        page.goto(f"{job.http}/#/agents")
        expect(page.locator("tr", has_text="gnad")).to_contain_text(shown)
    finally:
        evil.kill()


@pytest.mark.usefixtures("services")
def test_queries_are_listed_and_cancelled(page: Page, job: live.Addresses) -> None:
    with connect(job.clients) as client:
        answer = client.subscribe("select n from requests where n < 0")
        page.goto(f"{job.http}/#/queries")
        row = page.locator(f"tr[data-query='{answer.query_id}']")
        expect(row).to_contain_text("select n from requests where n < 0")
        row.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Cancel the query").click()
        expect(row).to_have_count(0)
        while answer.ended is None:
            answer.get(5.0)
        assert answer.ended == "cancelled by anybody via http"
    page.goto(f"{job.http}/#/agents")
    expect(page.locator("tr[data-service='bank']")).to_contain_text("connected")


def test_a_link_brings_the_query_along(page: Page) -> None:
    write(page, WINDOWS)
    page.locator(".share").click()
    expect(page.locator(".toast")).to_contain_text("Link copied")
    link = page.evaluate("navigator.clipboard.readText()")
    page.goto("about:blank")
    page.goto(link)
    expect(page.locator(".cm-content")).to_have_text(WINDOWS)


@pytest.mark.usefixtures("services")
def test_where_tokens_are_wanted_the_page_asks_for_one(
    browser: Browser, job: live.Addresses, tmp_path: Path
) -> None:
    secret = add_token(tmp_path / "t", "ada", "query", streams=("requests",))
    settings = Settings(port=0, tokens=tmp_path / "t")
    with HttpServer(Upstream(job.clients), settings) as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url)
        expect(page.locator("dialog")).to_contain_text("A token, please")
        page.get_by_label("Token").fill("mql_wrong")
        page.keyboard.press("Enter")
        expect(page.locator("dialog")).to_contain_text("not known")
        page.get_by_label("Token").fill(secret)
        page.keyboard.press("Enter")
        expect(page.locator("#token")).to_have_text("ada")
        run(page, "select n from payments")
        expect(page.locator(".wrong")).to_contain_text("may not read the stream 'payments'")
        run(page, "select n from requests")
        until_rows(page, 5)
        context.close()


@pytest.mark.usefixtures("services")
def test_a_query_is_kept_as_a_recipe_and_remembered(page: Page) -> None:
    run(page, "select n from requests limit 2")
    until_ended(page)
    page.get_by_role("button", name="Recipes").click()
    page.get_by_role("menuitem", name="Save this query").click()
    page.get_by_label("Name").fill("Two of them")
    page.keyboard.press("Enter")
    write(page, "select status from requests")
    page.get_by_role("button", name="Recipes").click()
    page.get_by_role("menuitem", name="Two of them").click()
    expect(page.locator(".cm-content")).to_have_text("select n from requests limit 2")
    page.get_by_role("button", name="Recipes").click()
    page.get_by_role("menuitem", name="requests a second, by service").click()
    expect(page.locator(".cm-content")).to_contain_text("window 1 group by")
    page.get_by_role("button", name="History").click()
    page.get_by_role("menuitem", name="select n from requests limit 2").click()
    expect(page.locator(".cm-content")).to_have_text("select n from requests limit 2")


def test_it_works_at_phone_width_in_both_colours(browser: Browser, job: live.Addresses) -> None:
    backs = set()
    for scheme in ("dark", "light"):
        context = browser.new_context(
            viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True
        )
        page = context.new_page()
        for view in ("query", "trace", "agents", "queries"):
            page.goto(f"{job.http}/#/{view}")
            expect(page.locator(f".tabs a[data-view={view}]")).to_have_attribute(
                "aria-current", "page"
            )
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 360, f"{view} is {wide} pixels wide"
        backs.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        context.close()
    assert len(backs) == 2


def test_fifty_thousand_rows_a_minute_do_not_freeze_it(page: Page, job: live.Addresses) -> None:
    """Three seconds at 1,000 rows each: no task of the page's thread takes long."""
    agent = Agent(service="busy", source_jobs=[job.agents])
    with contextlib.closing(agent):
        stream = agent.stream("flood")
        run(page, "select * from flood")
        expect(page.locator(".chip.agents")).to_have_text("1 of 1 agent")
        page.evaluate(
            "window.longest = 0; new PerformanceObserver(list => {"
            " for (const task of list.getEntries())"
            " window.longest = Math.max(window.longest, task.duration) })"
            ".observe({type: 'longtask'})"
        )
        start, sent = time.monotonic(), 0
        while time.monotonic() - start < 3:
            for _ in range(int((time.monotonic() - start) * 1_000) - sent):
                stream.publish({"n": sent, "text": "y" * 40, "nested": {"a": [1, 2, 3]}})
                sent += 1
            page.wait_for_timeout(20)
        until_rows(page, sent - 1)
        assert page.evaluate("window.longest") < 1_000
        page.locator(".stop").click()
