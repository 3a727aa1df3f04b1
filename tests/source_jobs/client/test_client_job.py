"""The client, a source job and agents together, in one process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from publish_agent import Agent
from source_jobs import JobSource
from source_jobs.client import Client, SourceJobError, connect
from source_jobs.job import SourceJob
from source_jobs.security.keys import make_keys
from tests.live.support import publishing, source_job, until

pytestmark = pytest.mark.timeout(60)


def request(number: int) -> dict[str, object]:
    return {"number": number, "status": 500 if number % 3 == 0 else 200}


@pytest.fixture(scope="module")
def job() -> Iterator[SourceJob]:
    with source_job() as job, publishing(job, "checkout", {"requests": request}):
        yield job


@pytest.fixture
def client(job: SourceJob) -> Iterator[Client]:
    with connect(job.clients_address) as client:
        until(client.agents)
        yield client


def take(answer: object, count: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for window in answer:  # type: ignore[attr-defined]
        rows += window.rows()
        if len(rows) >= count:
            break
    return rows


def test_rows_come_in_order_with_their_times(client: Client) -> None:
    with client.subscribe("select number from requests where status >= 500") as answer:
        window = next(window for window in answer if window.num_rows)
        rows = window.rows() + take(answer, 10)
    numbers = [row["number"] for row in rows]
    assert all(number % 3 == 0 for number in numbers)  # type: ignore[operator]
    assert numbers == list(range(numbers[0], numbers[-1] + 1, 3))  # type: ignore[arg-type, call-overload, operator]
    assert all(time is not None and time > 1_600_000_000_000 for time in window.times_ms())


def test_windows_say_how_complete_they_are(client: Client) -> None:
    with client.subscribe("select count(*) as n from requests window 0.2", ttl_ms=1500) as answer:
        windows = list(answer)
    whole = [w for w in windows if w.completeness and not w.completeness.partial]
    assert len(whole) >= 4
    for window in whole:
        assert window.completeness is not None
        assert window.completeness.exactness == "exact"
        assert window.rows() == [{"n": window.completeness.tally.seen}]
        assert (window.start_ms, window.end_ms) == (
            window.completeness.start_ms,
            window.completeness.end_ms,
        )
    assert answer.ended == "time to live is over"


def test_a_group_shares_the_rows_and_others_get_all(client: Client) -> None:
    query = "select number from requests"
    with (
        client.subscribe(query, group="g") as one,
        client.subscribe(query, group="g") as two,
        client.subscribe(query) as all_of_it,
    ):
        alone = take(all_of_it, 60)
        shares = [take(each, 15) for each in (one, two)]
    numbers = [{row["number"] for row in rows} for rows in shares]
    assert all(numbers)
    assert not numbers[0] & numbers[1]
    assert [row["number"] for row in alone] == list(
        range(alone[0]["number"], alone[-1]["number"] + 1)  # type: ignore[arg-type, call-overload, operator]
    )


def test_what_there_is_can_be_shown(client: Client) -> None:
    with client.subscribe("select number from requests") as answer:
        take(answer, 1)
        (agent,) = client.agents()
        assert agent["service"] == "checkout"
        assert answer.query_id in {each["query"] for each in client.queries()}
        until(lambda: any(stream["fields"] for stream in client.streams()))
        (stream,) = client.streams()
        assert stream["stream"] == "requests"
        explained = client.explain("select number from requests")
        assert "in the services" in str(explained["plan"])


def test_a_cancelled_query_ends_for_all(client: Client) -> None:
    query = "select number, status from requests"
    with client.subscribe(query) as one, client.subscribe(query) as other:
        assert one.query_id == other.query_id
        assert one.query_id is not None
        client.cancel(one.query_id)
        for answer in (one, other):
            list(answer)
            assert str(answer.ended).startswith("cancelled by ")
        with pytest.raises(SourceJobError, match="no query"):
            client.cancel(one.query_id)


def test_a_source_jobs_output_is_another_ones_stream(job: SourceJob) -> None:
    with source_job() as second, connect(second.clients_address) as client:
        agent = Agent(service="errors", source_jobs=[second.agents_address])
        query = "select count(*) as n from requests where status >= 500 window 0.2"
        with JobSource(job.clients_address, query, "errors", agent.publish) as source:
            with client.subscribe("select * from errors") as answer:
                rows = take(answer, 3)
            assert source.taken.rows >= 3
        agent.close()
    assert [set(row) for row in rows[:3]] == [{"_window_start", "_window_end", "n"}] * 3
    starts = [row["_window_start"] for row in rows]
    assert starts == sorted(starts)  # type: ignore[type-var]
    assert source.ended == "closed"


def test_what_a_source_knows_to_be_lost_is_told_to_those_who_ask_further_on() -> None:
    query = "select count(*) as n from requests window 0.2"
    with source_job() as first, source_job() as second, connect(second.clients_address) as client:
        origin = Agent(service="shop", source_jobs=[first.agents_address])
        agent = Agent(service="errors", source_jobs=[second.agents_address])
        origin.stream("requests")
        with (
            JobSource(first.clients_address, query, "errors", agent.publish, agent.lost) as source,
            client.subscribe("select n from errors") as answer,
        ):
            take(answer, 2)
            origin.lost("requests", 5)
            upstream = 0
            while not upstream:
                window = answer.get(5)
                assert window is not None
                if window.completeness is not None:
                    upstream = window.completeness.tally.upstream
                    exactness = window.completeness.exactness
                    assert not upstream or exactness == "lower bound"
        origin.close()
        agent.close()
    assert upstream == source.taken.lost == 5


def test_only_those_with_an_allowed_key_come_in(tmp_path: Path) -> None:
    server, secret = make_keys("job", tmp_path / "job")
    for side in ("agents", "clients"):
        (tmp_path / side).mkdir()
    _, agent_key = make_keys("agent", tmp_path / "agents")
    _, client_key = make_keys("client", tmp_path / "clients")
    _, stranger = make_keys("stranger", tmp_path)
    allowed = {"allow_agents": tmp_path / "agents", "allow_clients": tmp_path / "clients"}
    keys = {"key": str(agent_key), "server_key": str(server)}
    with (
        source_job(keys=secret, **allowed) as job,
        publishing(job, "checkout", {"requests": request}, **keys),
    ):
        address = job.clients_address
        with connect(address, key=client_key, server_key=server) as client:
            until(client.agents)
            with client.subscribe("select number from requests") as answer:
                assert take(answer, 3)
        with pytest.raises(SourceJobError, match="keys"):
            connect(address, key=stranger, server_key=server, timeout_s=1)
        with pytest.raises(SourceJobError, match="keys"):
            connect(address, timeout_s=1)
        with pytest.raises(ValueError, match="both"):
            connect(address, key=client_key)
