"""The client over HTTP: the interface of the ZeroMQ client, and connections that break."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from mql.errors import QueryError
from source_jobs import connect
from source_jobs.api.server import HttpServer
from source_jobs.client import (
    Client,
    Gap,
    HttpClient,
    LiveWindow,
    SourceJobError,
    Subscription,
)
from source_jobs.job import SourceJob
from tests.cli.support import command, environment
from tests.http.support import add_token, serving
from tests.live.support import until

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("agent")]


@pytest.fixture
def client(server: HttpServer) -> Iterator[HttpClient]:
    with connect(server.url) as made:
        assert isinstance(made, HttpClient)
        yield made


def test_it_has_all_that_the_other_client_has() -> None:
    public = {name for name in dir(Client) if not name.startswith("_")} - {"metrics"}
    assert public <= {name for name in dir(HttpClient) if not name.startswith("_")} | {"address"}


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


def test_rows_have_their_times_and_a_limit_ends_them(client: HttpClient) -> None:
    answer = client.subscribe("select n, user from requests limit 20")
    pieces = list(answer)
    rows = [row for piece in pieces for row in piece.rows()]
    times = [time for piece in pieces for time in piece.times_ms()]
    assert [row["n"] for row in rows] == list(range(rows[0]["n"], rows[0]["n"] + 20))  # type: ignore[call-overload,operator]
    assert times == sorted(times)  # type: ignore[type-var]
    assert (answer.ended, answer.query_id) != (None, None)


def test_what_there_is_can_be_shown_and_cancelled(client: HttpClient) -> None:
    assert {stream["stream"] for stream in client.streams()} >= {"requests", "payments"}
    assert [agent["service"] for agent in client.agents()] == ["web"]
    assert "scan requests" in str(client.explain("select * from requests")["plan"])
    answer = client.subscribe("select n from requests where n < 0")
    assert answer.query_id in [query["query"] for query in client.queries()]
    assert answer.query_id is not None
    client.cancel(answer.query_id)
    list(answer)
    assert answer.ended == "cancelled by anybody via http"
    with pytest.raises(SourceJobError, match="no query 999999 is running"):
        client.cancel(999_999)


def test_errors_are_those_of_the_other_client(client: HttpClient, tmp_path: Path) -> None:
    assert tmp_path
    with pytest.raises(QueryError, match="did you mean `from`"):
        client.subscribe("select a frm s")
    with pytest.raises(SourceJobError, match=r"no source job at http://127.0.0.1:9"):
        connect("http://127.0.0.1:9", timeout_s=0.2)
    for wrong in ("http://", "https://u:p@host", "http://host:x"):
        with pytest.raises(ValueError, match=r"no address|cannot be used"):
            connect(wrong)
    client.close()
    with pytest.raises(SourceJobError, match="closed"):
        client.streams()


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


def test_it_is_an_async_iterator_too(client: HttpClient) -> None:
    async def read() -> int:
        answer = client.subscribe("select n from requests limit 5", timeout_s=None)
        return sum([len(piece.rows()) async for piece in answer])

    assert asyncio.run(read()) == 5


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
