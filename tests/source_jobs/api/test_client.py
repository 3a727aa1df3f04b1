"""The client over HTTP: the interface of the ZeroMQ client, and connections that break."""

from __future__ import annotations

import platform
import socket
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from publish_agent import Agent
from source_jobs import JobSource, connect
from source_jobs.api.server import HttpServer, Upstream
from source_jobs.api.settings import Limits, Settings
from source_jobs.client import (
    AwayError,
    Gap,
    HttpClient,
    LiveWindow,
    SourceJobError,
    Subscription,
)
from source_jobs.client.http.answer_reader import Following
from source_jobs.job import SourceJob
from tests.cli.support import command, environment
from tests.live.support import source_job, until
from tests.source_jobs.api.support import add_token, serving

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("agent")]


@pytest.fixture
def client(server: HttpServer) -> Iterator[HttpClient]:
    with connect(server.url) as made:
        assert isinstance(made, HttpClient)
        yield made


def test_the_same_query_gives_the_same_over_both(client: HttpClient, job: SourceJob) -> None:
    query = "select count(*) as n, user from requests window 1 group by user"
    with connect(job.clients_address) as other:
        both = [each.subscribe(query) for each in (client, other)]
        answers = [dict(islice(whole_windows(answer), 4)) for answer in both]
    shared = sorted(answers[0].keys() & answers[1].keys())
    assert shared
    for start_ms in shared:
        mine, theirs = answers[0][start_ms], answers[1][start_ms]
        assert mine.rows() == theirs.rows()
        assert mine.table.equals(theirs.table)
        assert mine.completeness == theirs.completeness


def test_an_address_is_told_from_what_is_none() -> None:
    with pytest.raises(SourceJobError, match=r"no source job at http://127.0.0.1:9"):
        connect("http://127.0.0.1:9", timeout_s=0.2)
    for wrong in ("http://", "https://u:p@host", "http://host:x"):
        with pytest.raises(ValueError, match=r"no address|cannot be used"):
            connect(wrong)


def test_a_token_lets_in_and_its_lack_is_told(
    job: SourceJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = add_token(tmp_path / "t", "ada", "query")
    with serving(job, tokens=tmp_path / "t") as server:
        with (
            connect(server.url) as client,
            pytest.raises(SourceJobError, match="a token is needed"),
        ):
            client.subscribe("select n from requests")
        monkeypatch.setenv("MQL_TOKEN", secret)
        with connect(server.url) as client:
            assert len(client.streams()) == 3


def test_the_command_asks_over_http_too(server: HttpServer) -> None:
    asked = ("query", "select user from requests where user == 'u1' limit 2")
    done = subprocess.run(
        command(*asked, "--source-job", server.url),
        capture_output=True,
        env=environment(),
        timeout=30,
        check=True,
    )
    assert done.stdout.splitlines() == [b'{"user":"u1"}'] * 2
    assert b"1 of 1 agent" in done.stderr


def test_a_connection_that_breaks_is_made_again_without_a_gap(
    client: HttpClient, server: HttpServer
) -> None:
    answer = client.subscribe("select n from requests")
    numbers = read(answer, 50)
    (following,) = client._followings
    break_off(client)
    numbers += read(answer, 300)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    answer.close()
    until(lambda: not [f for f in server.door.running.alive if f.id == following._identity])


def test_a_server_that_was_away_leaves_a_gap(job: SourceJob) -> None:
    with serving(job) as first:
        client = connect(first.url)
        assert isinstance(client, HttpClient)
        answer = client.subscribe("select n from requests")
        read(answer, 20)
        # As if it had lost its memory: the query is not known any more.
        for feed in first.door.running:
            del first.door.running._feeds[feed.id]
        break_off(client)
        gap = next(piece.gap for piece in answer if piece.gap is not None)
        assert isinstance(gap, Gap)
        assert gap.from_ms is not None
        assert gap.to_ms is not None
        assert gap.to_ms >= gap.from_ms
        assert read(answer, 5)
        client.close()


WORDS = "no source job at tcp://127.0.0.1:9: it is full"


@pytest.mark.parametrize(
    ("error", "again"), [(AwayError(WORDS), True), (SourceJobError(WORDS), False)]
)
def test_it_asks_again_by_the_class_of_an_error_not_by_its_words(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, error: SourceJobError, *, again: bool
) -> None:
    asked: list[object] = []

    def ask(*arguments: object) -> None:
        asked.append(arguments)
        raise error

    monkeypatch.setattr(Following, "ask", ask)
    with connect(server.url) as client:
        answer = client.subscribe("select n from requests", timeout_s=None)
        if again:
            until(lambda: len(asked) >= 3)
        else:
            with pytest.raises(SourceJobError, match="full"):
                answer.get(5)
            assert len(asked) == 1


def test_what_is_away_and_what_is_refused_are_two_kinds(job: SourceJob) -> None:
    with HttpServer(Upstream("tcp://127.0.0.1:9"), Settings(port=0)) as server:
        client = connect(server.url, timeout_s=None)
        with pytest.raises(AwayError, match="no source job at"):
            client.streams()
        client.close()
    with serving(job, limits=Limits(queries=1)) as server, connect(server.url) as client:
        client.subscribe("select n from requests")
        with pytest.raises(SourceJobError, match="as many as there may be") as refused:
            client.subscribe("select n from requests")
        assert not isinstance(refused.value, AwayError)


def whole_windows(answer: Subscription) -> Iterator[tuple[int | None, LiveWindow]]:
    for window in answer:
        if window.closes and window.completeness and not window.completeness.partial:
            yield window.start_ms, window


def break_off(client: HttpClient) -> None:
    """Break the one connection that reads, as a network does."""
    (following,) = client._followings
    assert following._connection is not None
    following._connection.sock.shutdown(socket.SHUT_RDWR)


def read(answer: Subscription, count: int) -> list[int]:
    """So many numbers, or a few more."""
    numbers: list[int] = []
    for piece in answer:
        assert piece.gap is None
        numbers += [row["n"] for row in piece.rows()]  # type: ignore[misc]
        if len(numbers) >= count:
            return numbers
    raise AssertionError(answer.ended)


def shown_name(job: SourceJob) -> str:
    return f"{platform.node()}:{job.clients_address.rpartition(':')[2]}"


def test_an_answer_over_http_is_a_stream_whose_events_keep_their_times(
    server: HttpServer, job: SourceJob
) -> None:
    with source_job() as last, connect(last.clients_address) as other:
        agent = Agent(service="end", source_jobs=[last.agents_address], cpu_share=100.0)
        query = "select count(*) as n from requests window 0.5"
        with (
            JobSource(server.url, query, "end", agent) as source,
            other.subscribe(
                "select _window_start as at from end window 0.5", timeout_s=None
            ) as answer,
        ):
            windows = [w for w in islice((w for w in answer if w.closes), 8) if w.completeness]
            feeds = last.state.agents.feeds("")
            assert source.taken.rows
        agent.close()
    exact = [w for w in windows if w.completeness and w.completeness.exactness == "exact"]
    assert exact
    for window in exact:
        assert [row["at"] for row in window.rows()] == [window.start_ms]
    assert [feed.shown for feed in feeds] == [shown_name(job)]


def test_a_job_that_would_feed_itself_over_http_is_told_the_circle(
    server: HttpServer, job: SourceJob
) -> None:
    agent = Agent(service="loop", source_jobs=[job.agents_address])
    with JobSource(server.url, "select * from loop", "loop", agent) as source:
        until(lambda: source.error is not None)
    agent.close()
    name = shown_name(job)
    assert str(source.error) == f"a circle of source jobs: {name} → {name}"
    assert not source.started
