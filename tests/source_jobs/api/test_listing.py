"""Long lists over HTTP: pages with a bound in bytes, whatever there is, and no hidden name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from mql.wire.codec import encode
from mql.wire.messages import PROTOCOL, Hello
from source_jobs.api.server import HttpServer
from source_jobs.client import connect
from source_jobs.job import SourceJob
from source_jobs.protocol.pages import PAGE_BYTES_MAX
from source_jobs.settings import Settings
from tests.live.support import ANY_PORT
from tests.source_jobs.api.support import Asker, add_token, serving

AGENTS, STREAMS = 200, 1_000
SLACK = 1_000


@pytest.fixture(scope="module")
def crowded() -> Iterator[SourceJob]:
    """A source job of which 200 agents want to offer a thousand long names each."""
    settings = Settings("job", gone_ms=3_600_000, look_ms=10)
    job = SourceJob(ANY_PORT, ANY_PORT, settings=settings)
    now_us = time.time_ns() // 1_000
    for agent in range(AGENTS):
        names = [f"{agent:03} {number:04} ".ljust(200, "n") for number in range(STREAMS)]
        offered = ("requests", *names) if agent == 0 else tuple(names)
        hello = Hello(PROTOCOL, f"a{agent:03}", f"s{agent}", "h", 1, "1", now_us, {}, offered)
        frames = [bytes(frame) for frame in encode(hello)]
        job.state.from_agent(f"peer {agent}".encode(), frames, now_us)
    with job:
        yield job


@pytest.fixture(scope="module")
def server(crowded: SourceJob) -> Iterator[HttpServer]:
    with serving(crowded) as made:
        yield made


def all_of(asker: Asker, what: str, more: str = "") -> tuple[list[dict[str, object]], int]:
    """What all pages say, and how many there are."""
    found: list[dict[str, object]] = []
    after, pages = "", 0
    while True:
        answer = asker.get(f"/api/{what}?after={after.replace(' ', '+')}{more}")
        assert answer.status == 200
        assert len(answer.body) <= PAGE_BYTES_MAX + SLACK
        pages += 1
        found += cast("list[dict[str, object]]", answer.json[what])
        after = str(answer.json.get("after", ""))
        if not after:
            return found, pages


def test_streams_and_agents_come_in_pages(server: HttpServer) -> None:
    asker = Asker(server.url)
    for what, least in (("streams", 9_000), ("agents", AGENTS)):
        found, pages = all_of(asker, what)
        assert len(found) >= least
        assert pages > 1
    first = asker.get("/api/streams?limit=3").json
    names = [s["stream"] for s in cast("list[dict[str, object]]", first["streams"])]
    assert len(names) == 3
    assert first["after"] == names[-1]


def test_the_clients_get_all_pages(server: HttpServer, crowded: SourceJob) -> None:
    with connect(server.url) as over_http, connect(crowded.clients_address) as over_zmq:
        assert len(over_http.streams()) == len(over_zmq.streams()) > 9_000
        assert len(over_http.agents()) == len(over_zmq.agents()) == AGENTS
        for client in (over_http, over_zmq):
            some, after = client.page("streams", limit=2, brief=True)
            assert len(some) == 2
            assert "fields" not in some[0]
            assert client.page("streams", after, 1)[0][0]["stream"] > some[1]["stream"]  # type: ignore[operator]


def test_metrics_are_few_whatever_streams_there_are(server: HttpServer) -> None:
    answer = Asker(server.url).get("/metrics")
    assert answer.status == 200
    lines = answer.body.decode().splitlines()
    assert sum(line.startswith("mql_stream_events_per_second{") for line in lines) == 101
    assert len(answer.body) < 200_000


def test_a_page_tells_of_no_stream_that_is_hidden(crowded: SourceJob, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    secret = add_token(tokens, "narrow", "query", streams=("requests", "001 0007*", "002 0001*"))
    with serving(crowded, tokens=tokens) as server:
        asker = Asker(server.url, secret)
        seen = [str(s["stream"])[:8] for s in all_of(asker, "streams")[0]]
        assert seen == ["001 0007", "002 0001", "requests"]
        first = asker.get("/api/streams?limit=1").json
        assert str(first["after"]).startswith("001 0007")
        assert [str(s["stream"])[:8] for s in all_of(asker, "streams", "&limit=1")[0]] == seen


@pytest.mark.parametrize("wrong", ["limit=-1", "limit=x", "limit=1e3", "limit=9999999", "brief=2"])
def test_a_page_that_is_none_is_refused(server: HttpServer, wrong: str) -> None:
    assert Asker(server.url).get(f"/api/streams?{wrong}").status == 400
    assert Asker(server.url).get(f"/api/streams?after={'n' * 1_001}").status == 400
