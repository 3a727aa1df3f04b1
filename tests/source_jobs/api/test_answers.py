"""Answers over real sockets: each format, taken up again, and what slow readers are told."""

from __future__ import annotations

import io
import json
import socket
import time
from itertools import islice

import pyarrow as pa
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as open_socket

from publish_agent import Agent
from source_jobs.api.server import HttpServer
from source_jobs.api.settings import Limits
from source_jobs.job import SourceJob
from tests.live.support import publishing, until
from tests.source_jobs.api.support import Asker, Event, read_events, serving

pytestmark = pytest.mark.timeout(60)


def numbers(events: list[Event]) -> list[int]:
    rows = [row for event in events if event.name == "rows" for row in event.data["rows"]]
    return [row["n"] for row in rows]


def test_a_query_is_made_read_described_and_ended(asker: Asker) -> None:
    made = asker(
        "POST", "/api/queries", {"query": "select n, status from requests", "ttl_ms": 60_000}
    )
    assert made.status == 201
    told = made.json
    assert made.headers["location"] == f"/api/queries/{told['id']}"
    assert told["columns"] == [
        {"path": ["n"], "property": "n"},
        {"path": ["status"], "property": "status"},
    ]
    assert "ships n, status" in str(told["plan"])
    with asker.events(str(told["id"])) as events:
        first = next(events)
        assert (first.name, first.data["query"], first.data["warnings"]) == (
            "started",
            told["query"],
            [],
        )
        rows = next(event for event in events if event.name == "rows" and event.data["rows"])
        assert len(rows.data["times_ms"]) == len(rows.data["rows"])
        assert set(rows.data["rows"][0]) == {"n", "status"}
        told_of = (event.data.get("completeness") for event in events)
        known = next(each for each in told_of if each and each["seen"])
        assert known["expected"] == known["reported"] == 1
        about = asker.get(f"/api/queries/{told['id']}").json
        assert about["readers"] == 1
        assert about["rows"] > 0
        listed = asker.get("/api/queries").json["queries"]
        assert [q["id"] for q in listed if q["query"] == told["query"]] == [told["id"]]
        assert asker("DELETE", f"/api/queries/{told['id']}").status == 204
        *_, last = events
    assert (last.name, last.data["reason"]) == ("ended", "cancelled by anybody")
    assert asker.get(f"/api/queries/{told['id']}").json["ended"]["reason"] == "cancelled by anybody"


def test_a_wrong_query_is_refused_with_its_place(asker: Asker) -> None:
    answer = asker("POST", "/api/queries", {"query": "select a\nfrm s"})
    assert answer.status == 422
    assert answer.error["line"] == 2
    assert answer.error["column"] == 1
    assert answer.error["hint"] == "did you mean `from`?"
    told = asker("POST", "/api/check", {"query": "select a\nfrm s"}).json
    assert told == {"ok": False, "error": answer.error}
    assert asker("POST", "/api/check", {"query": "select a from s"}).json["ok"] is True
    assert asker.stream("select count(*) from requests").status == 422  # no window
    assert (
        "scan requests"
        in asker("POST", "/api/explain", {"query": "select * from requests"}).json["plan"]
    )


def test_reading_goes_on_where_it_broke_off(asker: Asker) -> None:
    identity = asker.ask("select n from requests")
    with asker.events(identity) as events:
        before = list(islice((e for e in events if e.id), 10))
    time.sleep(0.3)
    with asker.events(identity, Last_Event_ID=str(before[-1].id)) as events:
        assert next(events).name == "started"
        after = list(islice((e for e in events if e.id), 10))
    with asker.events(f"{identity}", Accept="text/event-stream") as events:
        again = list(islice((e for e in events if e.id), 20))
    assert [e.id for e in before + after] == list(range(1, 21))
    assert numbers(again) == numbers(before + after)
    got = numbers(before + after)
    assert got == list(range(got[0], got[0] + len(got)))
    asker("DELETE", f"/api/queries/{identity}")


def test_what_is_gone_from_the_replay_is_said(job: SourceJob, agent: Agent) -> None:
    assert agent
    with serving(job, limits=Limits(replay_pieces=3)) as server:
        asker = Asker(server.url)
        identity = asker.ask("select n from requests")
        feed = next(iter(server.door.running))
        until(lambda: feed.replay.number > 20)
        with asker.events(identity, Last_Event_ID="4") as events:
            _, gap, first = islice(events, 3)
        assert gap.name == "gap"
        assert first.id is not None
        assert gap.data == {"from_ms": None, "to_ms": None, "pieces": first.id - 5, "rows": None}
        with asker.events(identity) as events:
            _, gap, first = islice(events, 3)
        assert gap.data["pieces"] == first.id - 1
        assert gap.data["rows"] > 0


def test_a_slow_reader_loses_rows_and_hears_how_many_while_others_get_all(job: SourceJob) -> None:
    fat = {"fat": lambda n: {"n": n, "text": "x" * 20_000}}
    limits = Limits(replay_pieces=20, heartbeat_s=1.0)
    with publishing(job, "fat", fat), serving(job, limits=limits) as server:
        asker = Asker(server.url)
        until(lambda: job.state.agents.offering("fat"))
        identity = asker.ask("select * from fat")
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as slow:
            slow.sendall(
                f"GET /api/queries/{identity}/events HTTP/1.0\r\nHost: {host}\r\n\r\n".encode()
            )
            with asker.events(identity) as events:
                quick = list(islice((e for e in events if e.id), 400))
            assert server.door.running.alive
            assert asker("DELETE", f"/api/queries/{identity}").status == 204
            rest = io.BufferedReader(socket.SocketIO(slow, "r"))
            while rest.readline().strip():
                pass
            late = list(read_events(rest))  # type: ignore[arg-type]
        got = numbers(quick)
        assert got == list(range(got[0], got[0] + len(got)))
        lost = sum(event.data["rows"] for event in late if event.name == "gap")
        read = numbers(late)
        assert lost > 0
        assert len(read) + lost == read[-1] - read[0] + 1
        assert late[-1].name == "ended"
        told = asker.get("/metrics").body.decode().splitlines()
        assert f"mql_http_reader_lost_rows_total {float(lost)}" in told


def test_one_request_is_a_query_and_its_answer(asker: Asker) -> None:
    answer = asker.stream("select n, user from requests where user == 'u1' limit 3")
    assert answer.headers["content-type"] == "application/x-ndjson"
    *rows, last = map(json.loads, answer.body.splitlines())
    assert [row["user"] for row in rows] == ["u1"] * 3
    assert last["_ended"]["reason"] == "limit"
    lines = asker.stream("select count(*) as n from requests window 1", ttl_ms=2_200, ledger=1)
    told = [json.loads(line) for line in lines.body.splitlines()]
    known = [line["_ledger"] for line in told if "_ledger" in line]
    assert known
    assert all(k["seen"] == row["n"] for k, row in zip(known, told[::2], strict=False))


def test_the_query_of_one_request_ends_with_its_reader(server: HttpServer, asker: Asker) -> None:
    connection, response = asker.open("GET", "/api/stream?q=select%20user%20from%20requests")
    assert response.readline()
    feeds = [f for f in server.door.running.alive if f.outline.text == "select user from requests"]
    assert len(feeds) == 1
    response.close()
    connection.close()
    until(lambda: feeds[0].closing is not None)
    assert feeds[0].closing
    assert feeds[0].closing.reason == "its reader left"


def test_an_answer_comes_as_arrow_with_its_completeness(asker: Asker) -> None:
    accept = "application/vnd.apache.arrow.stream"
    answer = asker.stream("select n, user from requests limit 40", accept=accept)
    assert answer.headers["content-type"] == accept
    reader = pa.ipc.open_stream(answer.body)
    assert reader.schema == pa.schema({"n": pa.int64(), "user": pa.string()})
    rows, ended = 0, {}
    for batch, metadata in reader.iter_batches_with_custom_metadata():
        rows += batch.num_rows
        ended = json.loads(metadata[b"mql.ended"]) if metadata and b"mql.ended" in metadata else {}
    assert rows == 40
    assert ended["reason"] == "limit"
    windows = asker.stream(
        "select count(*) as n from requests window 1", ttl_ms=1_500, accept=accept
    )
    table = pa.ipc.open_stream(windows.body).read_all()
    assert table.column_names == ["_window_start", "_window_end", "n"]


def test_no_format_fits_is_said(asker: Asker) -> None:
    assert asker.stream("select n from requests", accept="image/png").status == 406
    kinds = "text/html;q=0.9, application/x-ndjson;q=0.5, image/png"
    assert asker.stream("select n from requests limit 1", accept=kinds).status == 200


def test_the_same_events_come_over_a_websocket(server: HttpServer, asker: Asker) -> None:
    identity = asker.ask("select n from requests limit 50")
    url = f"ws{server.url.removeprefix('http')}/api/queries/{identity}/events"
    with open_socket(url, subprotocols=["mql"], proxy=None) as connection:
        told = [json.loads(message) for message in connection]
    assert connection.subprotocol == "mql"
    assert [message["event"] for message in (told[0], told[-1])] == ["started", "ended"]
    ids = [message["id"] for message in told if message["event"] == "rows"]
    assert sum(len(m["data"]["rows"]) for m in told if m["event"] == "rows") == 50
    with open_socket(f"{url}?after={ids[0]}", proxy=None) as connection:
        rest = [json.loads(message) for message in connection]
    assert [message["id"] for message in rest if message["event"] == "rows"] == ids[1:]
    with (
        pytest.raises(InvalidStatus) as refused,
        open_socket(url.replace(identity, "none"), proxy=None),
    ):
        pass
    assert refused.value.response.status_code == 404
    told = asker.get("/metrics").body.decode()
    route = 'mql_http_requests_total{route="/api/queries/{id}/events"'
    assert f'{route},status="101"}}' in told
    assert f'{route},status="404"}}' in told


def test_who_has_read_all_of_an_answer_is_told_to_stay_away(asker: Asker) -> None:
    for query in ("select n from requests limit 3", "select n from requests where n < 0"):
        identity = asker.ask(query, ttl_ms=500)
        with asker.events(identity) as events:
            *_, before, last = events
        assert last.name == "ended"
        again = asker.get(f"/api/queries/{identity}/events", Last_Event_ID=str(last.id))
        assert again.status == 204
        if before.id:
            with asker.events(identity, Last_Event_ID=str(before.id)) as events:
                assert [event.name for event in events] == ["started", "ended"]
    assert asker.get(f"/api/queries/{identity}/events", Last_Event_ID="x").status == 400


def test_silence_is_filled_with_heartbeats(job: SourceJob, agent: Agent) -> None:
    assert agent
    with serving(job, limits=Limits(heartbeat_s=0.2)) as server:
        asker = Asker(server.url)
        # Only the completeness of each second comes, and between that a word.
        lines = asker.stream("select n from requests where n < 0", ttl_ms=1_500).body
        assert lines.startswith(b"\n\n")
        events = asker.stream(
            "select n from requests where n < 0", ttl_ms=900, accept="text/event-stream"
        )
        assert b"\n: heartbeat\n\n" in events.body


def test_a_trace_is_one_timeline_of_several_streams(asker: Asker) -> None:
    path = "/api/trace?follow=requests.user=u1&follow=payments.user=u1&ttl_ms=1500"
    answer = asker.get(path, Accept="application/x-ndjson")
    told = [json.loads(line) for line in answer.body.splitlines() if line]
    entries = [line for line in told if "event" in line]
    assert {entry["stream"] for entry in entries} == {"requests", "payments"}
    assert {entry["service"] for entry in entries} == {"web"}
    assert all(entry["event"]["user"] == "u1" for entry in entries)
    times = [entry["time_ms"] for entry in entries]
    assert times == sorted(times)
    assert sorted(e["_ended"]["stream"] for e in told if "_ended" in e) == ["payments", "requests"]
    lines = asker.get(path.replace("1500", "1000")).body.splitlines()
    names = {line for line in lines if line.startswith(b"event:")}
    assert names == {b"event: started", b"event: events", b"event: completeness", b"event: ended"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/trace", 400),
        ("/api/trace?follow=nonsense", 400),
        ("/api/trace?follow=a.b=1&ttl_ms=no", 400),
        ("/api/trace?follow=a.e['b'][*]=1", 200),
        ("/api/stream", 400),
        ("/api/stream?q=select%20a%20from%20s&ttl_ms=-1", 400),
        ("/api/stream?q=select%20a%20from%20s&what=1", 400),
        ("/api/queries/none", 404),
        ("/api/queries/123456", 405),
        ("/nowhere", 404),
        ("/page/../settings.py", 404),
        ("/page/%2e%2e/settings.py", 404),
        ("/page/js", 404),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_shape(asker: Asker, path: str, status: int) -> None:
    if status == 405:
        answer = asker("PUT", path)
    elif status == 200:
        answer = asker.get(f"{path}&ttl_ms=700")
    else:
        answer = asker.get(path)
    assert answer.status == status, answer.body
    if status != 200:
        assert set(answer.error) >= {"kind", "message"}
