"""Queries meant to hurt get a defined answer, and take little time and memory for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from mql.exec.limits import Limits
from mql.wire.messages import (
    Answering,
    Credit,
    Ended,
    Refuse,
    Rejected,
    Shown,
    Subscribe,
    Unknown,
)
from source_jobs.settings import Settings
from tests.fuzz.frames import resident_bytes
from tests.hostile.queries import BAD_FRAME, HURTFUL, Hurtful
from tests.publish_agent.support import Bench
from tests.source_jobs.protocol.stage import Stage

pytestmark = pytest.mark.timeout(120)

MOST_CPU_S = 3.0
"""Several times what the dearest of them takes on one core."""
MOST_BYTES = 200 << 20


@contextmanager
def bounded(cpu_s: float = MOST_CPU_S) -> Iterator[None]:
    """Assert that what is done inside takes little time and memory of this process."""
    began_s, before = time.process_time(), resident_bytes()
    yield
    assert time.process_time() - began_s < cpu_s
    assert resident_bytes() - before < MOST_BYTES


TO_AGENTS = (
    *("a megabyte of one text", "wide and deep", "nested repetitions", "a long path"),
    *("64 KB of columns", "many columns", "64 KB of equalities", "many having"),
)

hurtful = pytest.mark.parametrize("hurt", HURTFUL.values(), ids=HURTFUL)


@hurtful
def test_mql_check_says_what_is_wrong_or_nothing(hurt: Hurtful, tmp_path: Path) -> None:
    file = tmp_path / "query.mql"
    file.write_text(hurt.text, encoding="utf-8")
    with bounded():
        done = CliRunner().invoke(main, ["check", "--file", str(file)])
    if hurt.check is None:
        assert done.exit_code == 0, done.output[:500]
    else:
        assert hurt.check in done.output.replace("\n", " ")
        assert (done.exit_code, len(done.output) < 5_000) == (2, True)


@hurtful
def test_a_source_job_answers_or_refuses(hurt: Hurtful) -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    with bounded():
        request = client.ask(hurt.text)
        stage.pass_time(200)
    if hurt.live is None:
        assert client.got(Answering, request)
        assert agent.got(Subscribe)
        return
    if hurt.live == BAD_FRAME:
        assert client.got(Unknown)
        return
    (rejected,) = client.got(Rejected, request)
    assert hurt.live in rejected.reason
    assert len(rejected.reason) <= 1_000
    assert not agent.got(Subscribe)


@pytest.mark.parametrize("name", TO_AGENTS)
def test_an_agent_runs_or_refuses(name: str) -> None:
    """Also what no source job of ours would send it."""
    hurt, bench = HURTFUL[name], Bench(streams="requests")
    with bounded():
        bench.subscribe(1, hurt.text, stream="requests")
        bench.publish({"a": "abab" * 250}, {"a": 1, "b": {"c": 2}}, stream="requests")
        bench.settle()
    refused = [m.reason for m in bench.job.messages if isinstance(m, Refuse)]
    if hurt.live is None:
        assert not refused
        assert bench.got().total.seen == 2
    else:
        assert len(refused) == 1
        assert len(refused[0]) <= 1_000


def test_the_largest_patterns_that_are_taken_do_not_hold_up_a_service() -> None:
    """One event of a kilobyte against patterns of the greatest size."""
    bench = Bench()
    bench.subscribe(1, "select * from s where a ==~ /" + "[a-z]{1,990}" * 10 + "[0-9]/")
    with bounded(cpu_s=1.0):
        bench.publish({"a": "ab" * 500})
        bench.settle()
    assert bench.got().total.filtered_out == 1


def test_ten_thousand_subscriptions_of_one_client() -> None:
    stage = Stage()
    stage.agent("a", "requests")
    client, other = stage.client(), stage.client("other")
    with bounded(cpu_s=20):
        requests = [client.ask(f"select a{n} from requests") for n in range(10_000)]
        stage.pass_time(200)
    assert len(client.got(Answering)) == 200
    rejected = client.got(Rejected)
    assert {r.reason for r in rejected} == {"one client may ask 200 queries at once"}
    assert len(rejected) == len(requests) - 200
    assert len(stage.state.queries) == 200
    other.ask("select a from requests")
    stage.pass_time(200)
    assert other.got(Answering)


def test_queries_have_a_limit_together_of_their_texts() -> None:
    settings = Settings("job", text_bytes=100_000, text_bytes_per_client=200_000)
    stage = Stage(settings)
    client = stage.client()
    texts = [f"select a from s where b == '{'x' * 30_000}{n}'" for n in range(6)]
    asked = [client.ask(text) for text in texts]
    stage.pass_time(200)
    assert [bool(client.got(Answering, request)) for request in asked] == [True] * 3 + [False] * 3
    (rejected,) = client.got(Rejected, asked[-1])
    assert "as many as this source job takes" in rejected.reason
    client.send_cancel(client.query_of(asked[0]))
    again = client.ask(texts[-1])
    stage.pass_time(200)
    assert client.got(Answering, again)


def test_one_client_has_a_limit_of_its_own_which_costs_no_planning() -> None:
    stage = Stage()
    client, other = stage.client(), stage.client("other")
    text = f"select a from s where b in (1, {', '.join(map(str, range(9_000)))})"
    text += f" or c == '{'x' * (60_000 - len(text))}'"
    with bounded(cpu_s=12):
        asked = [client.ask(text.replace("b in (1,", f"b in (-{n},")) for n in range(60)]
        stage.pass_time(10_000)  # planning has a third of the time, and these take long
    assert [bool(client.got(Answering, request)) for request in asked[:6]] == [True] * 4 + [
        False
    ] * 2
    assert len(client.got(Rejected)) == 56
    assert "262,144 bytes together" in client.got(Rejected)[0].reason
    request = other.ask(text)
    stage.pass_time(3_000)
    assert other.got(Answering, request)


def test_limit_0_is_an_answer_without_rows_at_once() -> None:
    stage = Stage()
    agent, client = stage.agent("a", "requests"), stage.client()
    request = client.ask("select * from requests limit 0")
    stage.pass_time(300)
    agent.accept()
    stage.pass_time(300)
    ended = client.ended(request)
    assert isinstance(ended, Ended)
    assert (ended.reason, ended.failed) == ("limit", False)
    assert client.rows(request) == []
    assert not list(stage.state.queries)


def test_grouping_by_what_is_unique_ends_that_query_alone_at_its_limit() -> None:
    stage = Stage(Settings("job", held=Limits(groups=1_000)))
    agent, client = stage.agent("a", "requests"), stage.client()
    bad = client.ask("select count(*), p50(n) from requests group by id window 2")
    good = client.ask("select count(*) as n from requests window 1")
    stage.pass_time(100)
    agent.accept()
    now_ms = stage.now_ms
    with bounded():
        for asked in agent.got(Subscribe):
            agent.ship(asked, [(now_ms, {"id": n, "n": n}) for n in range(5_000)])
        stage.pass_time(4_000)
    ended = client.ended(bad)
    assert ended
    assert ended.failed
    assert "1,000 groups" in ended.reason
    assert sum(int(str(row["n"])) for row in client.rows(good)) == 5_000


def test_an_agent_that_groups_by_what_is_unique_ships_instead_of_holding() -> None:
    bench = Bench()
    bench.subscribe(1, "select count(*) from s group by id window 60", states=True, slot_ms=60_000)
    with bounded(cpu_s=20):
        for start in range(0, 60_000, 5_000):
            bench.publish(*({"id": n} for n in range(start, start + 5_000)))
            bench.tick()
    bench.goodbye()
    assert bench.got().total.shipped == 60_000


def test_who_never_reads_what_it_is_shown_is_shown_no_more() -> None:
    stage = Stage()
    for number in range(20):
        stage.agent(f"a{number}", "requests")
    client = stage.client(credit=20_000)
    asked = [client.show("agents") for _ in range(1_000)]
    assert len(client.got(Shown)) < 10
    assert "has not read" in client.got(Rejected, asked[-1])[0].reason
    client.send(Credit(1 << 20))
    assert client.got(Shown, client.show("agents"))
