"""Planning is done beside the event loop: long texts stall nobody, and callers have their turns."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mql.errors import QueryError
from source_jobs.api.errors import Refusal
from source_jobs.api.planning.outline import Outline, outline_of
from source_jobs.api.planning.planner import Planner
from source_jobs.api.planning.turns import WAITING_MAX, Turns
from source_jobs.settings import QUERY_BYTES
from tests.source_jobs.api.support import Asker

TEXTS = int(os.environ.get("MQL_TEXTS", "2"))
STALL_S = 0.05
TRIES = 3


def longest(start: str, each: str, end: str = "") -> str:
    """The longest text of that form that is taken."""
    count = (QUERY_BYTES - len(start) - len(end)) // len(each.format(99_999))
    return (start + "".join(each.format(10_000 + i) for i in range(count)))[:-2] + end


COLUMNS = longest("select ", "a{}, ", " from s")
CONDITIONS = longest("select a from s where ", "a{} == 1 or ", "")[:-2]


@pytest.mark.alone
@pytest.mark.timeout(600)
def test_the_event_loop_goes_on_while_the_longest_texts_are_checked() -> None:
    stalls = [_stalls_while_checking()]
    while min(each["clock_s"] for each in stalls) > STALL_S and len(stalls) < TRIES:
        stalls.append(_stalls_while_checking())  # who had the interpreter had no processor
    assert min(each["processor_s"] for each in stalls) <= STALL_S
    assert min(each["clock_s"] for each in stalls) <= STALL_S


def _stalls_while_checking() -> dict[str, float]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.source_jobs.api.stalls", "tcp://127.0.0.1:9"],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        check(url, "select a from s")
        process.stdin.write("\n")
        process.stdin.flush()
        texts = [COLUMNS, CONDITIONS] * (TEXTS // 2) + [f"select a from s{i}" for i in range(20)]
        with ThreadPoolExecutor(len(texts)) as threads:
            found = list(threads.map(lambda text: check(url, text), texts))
        told, _ = process.communicate("\n", timeout=30)
    assert found == [False] * (TEXTS // 2 * 2) + [True] * 20
    return dict(json.loads(told))


def check(url: str, text: str) -> bool:
    connection, response = Asker(url, limit_s=500).open("POST", "/api/check", {"query": text})
    try:
        assert response.status == 200
        return bool(json.loads(response.read())["ok"])
    finally:
        connection.close()


def test_a_text_that_is_too_long_is_refused_by_its_length(asker: Asker) -> None:
    for text in ("x" * (QUERY_BYTES + 1), "é" * (QUERY_BYTES // 2 + 1)):
        body = json.dumps({"query": text}, ensure_ascii=False).encode()
        for path in ("check", "explain", "queries"):
            answer = asker("POST", f"/api/{path}", body)
            assert (answer.status, answer.error["kind"]) == (413, "too large")
            assert answer.error["message"] == "the query is longer than 65,536 bytes"


TEXT = f"select a, b from s where a == '{'x' * 1_000}'"
UNNAMED = f"select a where a == '{'x' * 1_000}'"
WRONG = f"select {'a, ' * 500} frm s"


def test_a_long_text_is_planned_as_a_short_one_is() -> None:
    async def plan() -> None:
        planner = Planner()
        for text in ("select a, b from s", TEXT):
            assert await planner.outline("ada", text) == outline_of(text)
        for text in ("select a frm s", WRONG, "select a", UNNAMED):
            with pytest.raises(QueryError) as expected:
                outline_of(text)
            with pytest.raises(QueryError) as found:
                await planner.outline("ada", text)
            assert str(found.value) == str(expected.value)
            assert type(found.value) is type(expected.value)
        planner.close()

    asyncio.run(plan())


def test_a_process_that_is_lost_or_too_slow_is_replaced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def plan() -> None:
        planner = Planner()
        await planner.outline("ada", TEXT)
        planner._process._process.kill()  # type: ignore[union-attr]
        planner._process._process.wait()  # type: ignore[union-attr]
        with pytest.raises(Refusal, match="try again") as refused:
            await planner.outline("ada", TEXT)
        assert refused.value.status == 503
        assert await planner.outline("ada", TEXT)
        monkeypatch.setattr("source_jobs.api.planning.planner._LONGEST_S", 0.01)
        with pytest.raises(Refusal, match="too long to plan"):
            await planner.outline("ada", COLUMNS)
        monkeypatch.setattr("source_jobs.api.planning.planner._LONGEST_S", 30)
        assert await planner.outline("ada", TEXT)
        monkeypatch.setattr("source_jobs.api.planning.planner._IDLE_S", 0.01)
        await planner.outline("ada", TEXT)
        await asyncio.sleep(0.5)
        assert planner._process._process is None  # it had nothing to do
        planner.close()

    asyncio.run(plan())
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "the process that plans queries was lost"
    ]


def test_callers_have_their_turns_and_each_may_wait_for_so_much() -> None:
    done: list[str] = []

    async def plan(text: str) -> Outline:
        await asyncio.sleep(0)
        done.append(text)
        return outline_of("select a from s")

    async def ask() -> None:
        turns = Turns(plan)
        wishes = [asyncio.create_task(turns.take("ada", f"a{i}")) for i in range(WAITING_MAX + 9)]
        wishes += [asyncio.create_task(turns.take("bob", f"b{i}")) for i in range(3)]
        answers = await asyncio.gather(*wishes, return_exceptions=True)
        refused = [each for each in answers if isinstance(each, Refusal)]
        assert [each.status for each in refused] == [429] * 9
        assert await turns.take("ada", "again")

    asyncio.run(ask())
    assert done[:6] == ["a0", "b0", "a1", "b1", "a2", "b2"]
    assert done[-1] == "again"
    assert len(done) == WAITING_MAX + 4
