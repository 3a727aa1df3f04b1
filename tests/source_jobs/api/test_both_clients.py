"""One suite for both clients, over ZeroMQ and over HTTP: a program needs not know which it has."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator

import pytest

from mql.errors import QueryError
from source_jobs import connect
from source_jobs.api.server import HttpServer
from source_jobs.client import AwayError, Client, HttpClient, SourceJobError
from source_jobs.job import SourceJob
from tests.live.support import until

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("agent")]

FOR_OTHERS = {"knows"}
"""What only the HTTP server says, which asks for others."""


@pytest.fixture(params=["zeromq", "http"])
def client(
    request: pytest.FixtureRequest, server: HttpServer, job: SourceJob
) -> Iterator[Client | HttpClient]:
    with connect(server.url if request.param == "http" else job.clients_address) as made:
        yield made


def test_they_have_the_same_methods_which_take_the_same() -> None:
    names = {name for name in dir(Client) if not name.startswith("_")}
    assert names <= {name for name in dir(HttpClient) if not name.startswith("_")}
    for name in names:
        mine, theirs = getattr(Client, name), getattr(HttpClient, name)
        if not callable(mine):
            assert isinstance(mine, property) == isinstance(theirs, property)
            continue
        taken = [set(inspect.signature(each).parameters) for each in (mine, theirs)]
        assert taken[0] - FOR_OTHERS == taken[1], name


def test_rows_have_their_times_and_a_limit_ends_them(client: Client | HttpClient) -> None:
    answer = client.subscribe("select n, user from requests limit 20")
    pieces = list(answer)
    rows = [row for piece in pieces for row in piece.rows()]
    times = [time for piece in pieces for time in piece.times_ms()]
    assert [row["n"] for row in rows] == list(range(rows[0]["n"], rows[0]["n"] + 20))  # type: ignore[call-overload,operator]
    assert times == sorted(times)  # type: ignore[type-var]
    assert answer.ended == "limit"
    assert answer.query_id is not None
    assert answer.start_ms is not None
    assert answer.total is not None


def test_a_time_to_live_ends_it(client: Client | HttpClient) -> None:
    answer = client.subscribe("select n from requests where n < 0", ttl_ms=300)
    list(answer)
    assert answer.ended == "time to live is over"


def test_a_group_shares_the_rows(client: Client | HttpClient) -> None:
    query = "select n from requests limit 40"
    both = [client.subscribe(query, group="both") for _ in range(2)]
    assert both[0].query_id == both[1].query_id
    shared = [row["n"] for answer in both for piece in answer for row in piece.rows()]
    assert len(shared) == len(set(shared)) == 40


def test_what_there_is_is_shown(client: Client | HttpClient) -> None:
    assert client.connected
    assert client.reachable
    assert {stream["stream"] for stream in client.streams()} >= {"requests", "payments"}
    assert [agent["service"] for agent in client.agents()] == ["web"]
    assert "scan requests" in str(client.explain("select * from requests")["plan"])
    before = client.metrics()["queries"]
    client.subscribe("select n from requests limit 1")
    assert client.metrics()["queries"] == before + 1  # type: ignore[operator]


def test_a_query_is_listed_and_cancelled(client: Client | HttpClient) -> None:
    answer = client.subscribe("select n from requests where n < 0")
    assert answer.query_id in [query["query"] for query in client.queries()]
    assert answer.query_id is not None
    client.cancel(answer.query_id)
    list(answer)
    assert str(answer.ended).startswith("cancelled by ")
    with pytest.raises(SourceJobError, match="no query 999999 is running"):
        client.cancel(999_999)


def test_a_wrong_query_is_told_with_its_place(client: Client | HttpClient) -> None:
    for ask in (client.subscribe, client.explain):
        with pytest.raises(QueryError, match="did you mean `from`") as wrong:
            ask("select a frm s")
        assert (wrong.value.line, wrong.value.column) == (1, 10)


def test_a_query_without_a_stream_is_refused_with_those_that_there_are(
    client: Client | HttpClient,
) -> None:
    for ask in (client.subscribe, client.explain):
        with pytest.raises(QueryError, match="has no `from`") as wrong:
            ask("select n where n > 1")
        assert (wrong.value.line, wrong.value.column) == (1, 9)
        assert wrong.value.hint == "add `from` and one of payments, requests, secrets"
    with pytest.raises(QueryError, match="no source job has told which there are"):
        client.subscribe("select n where n > 1", timeout_s=None)


def test_an_answer_is_an_async_iterator_too(client: Client | HttpClient) -> None:
    async def read() -> int:
        answer = client.subscribe("select n from requests limit 5", timeout_s=None)
        return sum([len(piece.rows()) async for piece in answer])

    assert asyncio.run(read()) == 5


def test_closing_ends_what_was_asked(client: Client | HttpClient) -> None:
    with connect(client.address) as other:
        answer = client.subscribe("select n from requests where n < 0")
        number = answer.query_id
        client.close()
        client.close()
        list(answer)
        assert answer.ended is not None
        until(lambda: number not in [query["query"] for query in other.queries()])
    for call in (
        client.streams,
        client.metrics,
        lambda: client.subscribe("select n from requests"),
    ):
        with pytest.raises(SourceJobError, match="closed"):
            call()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "http://127.0.0.1:9"])
def test_where_nobody_is_it_says_so(address: str) -> None:
    with pytest.raises(AwayError, match=f"no source job at {address}"):
        connect(address, timeout_s=0.2)
