"""The requests of a run, and what they are answered with."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import quote

from prometheus_client.parser import text_string_to_metric_families
from websockets.sync.client import connect as open_socket
from websockets.typing import Subprotocol

from tests.live.support import until
from tests.source_jobs.api.support import Answer, Asker, read_events
from tests.surface.noted import LATER, ROWS, TRACED, WINDOWS, Seen, keys_in, note_metrics

_SECRET = "x" * 40
"""As long as that of a token."""


def send_requests(found: Seen, ask: Asker) -> None:
    note = partial(_note, found.responses)
    for path in ("/api/language", "/api/streams", "/api/agents", "/api/metrics"):
        note(f"GET {path}", ask.get(path))
    for what in ("streams", "agents"):
        note(f"GET /api/{what}?brief=1", ask.get(f"/api/{what}?brief=1&limit=1"))
    note("POST /api/check", ask("POST", "/api/check", {"query": ROWS}))
    warned = {"query": "select path from requests window 1 order by -ms"}
    note("POST /api/check, with a warning", ask("POST", "/api/check", warned))
    note("POST /api/check, wrong", ask("POST", "/api/check", {"query": "select a frm s"}))
    made = ask("POST", "/api/queries", {"query": WINDOWS, "group": "g"})
    note("POST /api/queries", made)
    found.responses["POST /api/queries"].add(f"header location: {_place(made)}")
    identity = str(made.json["id"])
    with ask.events(identity) as events:
        for event in events:
            _note_event(found, "event-stream of a query", event.name, event.data)
            if event.name == "rows":
                break
    rows = ask.ask(ROWS)
    with ask.events(rows) as events:
        for event in events:
            _note_event(found, "event-stream of a query for rows", event.name, event.data)
            if "times_ms" in event.data:
                break
    ask("DELETE", f"/api/queries/{rows}")
    note("POST /api/explain", ask("POST", "/api/explain", {"query": WINDOWS}))
    note("GET /api/queries", ask.get("/api/queries"))
    _socket(found, ask, identity)
    until(lambda: ask.get(f"/api/queries/{identity}").json["ended"])
    note("GET /api/queries/{id}", ask.get(f"/api/queries/{identity}"))
    note("a refusal", ask.get("/api/queries/none"))
    note("a refusal of a query", ask("POST", "/api/queries", {"query": "select a frm s"}))
    _traces(found, ask)
    wanted = {"mql.audit: query started", "mql.audit: query read", "mql.audit: query ended"}
    until(lambda: wanted <= found.logged.keys())
    for path in ("/healthz", "/readyz", "/metrics", "/api/openapi.json"):
        note(f"GET {path}", ask.get(path), keys=False)
    text = ask.get("/metrics").body.decode()
    note_metrics(found.metrics, text_string_to_metric_families(text))


def _place(answer: Answer) -> str:
    return str(answer.headers["location"]).replace(str(answer.json["id"]), "{id}")


def _note(into: dict[str, set[str]], name: str, answer: Answer, *, keys: bool = True) -> None:
    media = answer.headers["content-type"] or "nothing"
    noted = into.setdefault(name, set())
    noted.add(f"({answer.status}, {media.partition('; version')[0]})")
    if keys and answer.body:
        noted |= keys_in(answer.json)


def _note_event(found: Seen, where: str, name: str, data: object) -> None:
    if name not in LATER:
        found.events.setdefault(f"{where}, data of {name}", set()).update(keys_in(data))


def _socket(found: Seen, ask: Asker, identity: str) -> None:
    """Read an answer until there are rows, and then to its end, which a request brings."""
    url = f"{ask.url.replace('http', 'ws', 1)}/api/queries/{identity}/events"
    offered = [Subprotocol("mql"), Subprotocol(f"mql.token.{_SECRET}")]
    has_rows = False
    with open_socket(url, subprotocols=offered, proxy=None) as connection:
        keys = found.events["WebSocket"] = {f"subprotocol {connection.subprotocol}"}
        for message in connection:
            told = json.loads(message)
            keys |= set(told)
            _note_event(found, "WebSocket", told["event"], told["data"])
            if told["event"] == "rows" and not has_rows:
                has_rows = True
                done = ask("DELETE", f"/api/queries/{identity}")
                _note(found.responses, "DELETE /api/queries/{id}", done)


def _traces(found: Seen, ask: Asker) -> None:
    """Both forms of a trace, side by side: each takes as long as it lives."""

    def events(path: str) -> None:
        connection, response = ask.open("GET", path)
        for event in read_events(response):
            _note_event(found, "event-stream of a trace", event.name, event.data)
        connection.close()

    def lines(path: str) -> None:
        answer = ask.get(path, Accept="application/x-ndjson")
        keys = found.events.setdefault("NDJSON of a trace", set())
        for line in filter(None, answer.body.splitlines()):
            told = json.loads(line)
            keys |= set() if "_gap" in told else keys_in(told)

    for ttl_ms in (1_200, 3_000, 9_000):  # a machine may stall
        path = f"/api/trace?follow={quote(TRACED)}&ttl_ms={ttl_ms}"
        with ThreadPoolExecutor() as pool:
            for each in [pool.submit(events, path), pool.submit(lines, path)]:
                each.result()
        came = found.events.get("event-stream of a trace, data of events", set())
        if came and "time_ms" in found.events["NDJSON of a trace"]:
            return
    raise AssertionError("a trace without events")
