"""Who comes in: tokens, scopes, limits, names, origins, TLS, over real sockets."""

from __future__ import annotations

import json
import logging
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as open_socket

from publish_agent import Agent
from source_jobs import connect
from source_jobs.api.auth.token_file import TokenFile
from source_jobs.api.settings import Limits, Settings
from source_jobs.client import SourceJobError
from source_jobs.job import SourceJob
from tests.live.support import until
from tests.source_jobs.api.support import Asker, add_token, serving

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("agent")]

ONE = "select n from requests limit 1"


def test_without_a_token_nothing_is_told_but_health(job: SourceJob, tmp_path: Path) -> None:
    secret = add_token(tmp_path / "t", "ada", "query")
    with serving(job, tokens=tmp_path / "t") as server:
        asker = Asker(server.url)
        until(lambda: asker.get("/readyz").status == 200)
        assert asker.get("/healthz").status == 200
        assert asker.get("/").status == 200
        for path in ("streams", "agents", "queries", "language", f"stream?q={ONE}"):
            answer = asker.get(f"/api/{path}".replace(" ", "%20"))
            assert (answer.status, answer.error["kind"]) == (401, "token")
            assert answer.headers["www-authenticate"] == 'Bearer realm="mql"'
        assert asker.get("/metrics").status == 401
        assert asker.get(f"/api/streams?token={secret}").status == 401  # addresses are logged
        assert Asker(server.url, f"{secret}x").get("/api/streams").status == 401
        assert Asker(server.url, secret).get("/api/streams").status == 200
        assert Asker(server.url, secret).get("/metrics").status == 200
        TokenFile(tmp_path / "t").change(lambda book: book.without("ada"))
        assert Asker(server.url, secret).get("/api/streams").status == 401


def test_each_scope_opens_its_doors_and_no_others(job: SourceJob, tmp_path: Path) -> None:
    tokens = tmp_path / "t"
    names = {name: add_token(tokens, name, name) for name in ("query", "trace", "admin")}
    with serving(job, tokens=tokens) as server:
        askers = {name: Asker(server.url, secret) for name, secret in names.items()}
        asked = {name: each.stream(ONE).status for name, each in askers.items()}
        assert asked == {"query": 200, "trace": 403, "admin": 200}
        path = "/api/trace?follow=requests.user=u1&ttl_ms=700"
        traced = {name: each.get(path).status for name, each in askers.items()}
        assert traced == {"query": 403, "trace": 200, "admin": 200}

        identity = askers["query"].ask("select n from requests where n < 0")
        number = askers["query"].get(f"/api/queries/{identity}").json["query"]
        for name, status in (("trace", 404), ("admin", 200)):
            assert askers[name].get(f"/api/queries/{identity}").status == status
        listed = {
            name: [q["query"] for q in each.get("/api/queries").json["queries"]]
            for name, each in askers.items()
        }
        assert number not in listed["trace"]
        assert number in listed["query"]
        assert number in listed["admin"]
        assert askers["query"]("DELETE", f"/api/queries/{number}").status == 403
        assert askers["trace"]("DELETE", f"/api/queries/{identity}").status == 404
        assert askers["admin"]("DELETE", "/api/queries/999999").status == 404
        assert askers["admin"]("DELETE", f"/api/queries/{number}").status == 204
        with askers["query"].events(identity) as events:
            *_, last = events
        assert last.data["reason"] == "cancelled by admin via http"


def test_a_token_reads_its_streams_only(job: SourceJob, tmp_path: Path) -> None:
    secret = add_token(tmp_path / "t", "ada", "query", "trace", streams=("req*", "pay*"))
    with serving(job, tokens=tmp_path / "t") as server:
        asker = Asker(server.url, secret)
        assert asker.stream(ONE).status == 200
        for query in (
            "select * from secrets",
            "select * from requests, secrets",
            "select * from requests join secrets 5 seconds on n",
        ):
            answer = asker("POST", "/api/queries", {"query": query})
            assert answer.status == 403
            assert "'secrets'" in str(answer.error["message"])
            assert asker("POST", "/api/explain", {"query": query}).status == 403
        assert asker.get("/api/trace?follow=secrets.user=u1").status == 403
        streams = [stream["stream"] for stream in asker.get("/api/streams").json["streams"]]
        assert set(streams) == {"requests", "payments"}
        (agent,) = asker.get("/api/agents").json["agents"]
        assert set(agent["streams"]) == {"requests", "payments"}


def test_at_each_limit_the_asker_is_told(job: SourceJob, tmp_path: Path) -> None:
    few = add_token(tmp_path / "t", "few", "query", queries=2)
    rare = add_token(tmp_path / "t", "rare", "query", per_minute=12)
    limits = Limits(queries=3, readers=1, body_bytes=1_000)
    with serving(job, tokens=tmp_path / "t", limits=limits) as server:
        asker, other = Asker(server.url, few), Asker(server.url, rare)
        first = asker.ask("select n from requests where n < 0")
        asker.ask("select n from requests where n < 1")
        answer = asker("POST", "/api/queries", {"query": ONE})
        assert (answer.status, answer.headers["retry-after"]) == (429, "5")
        assert "as many as it may ask at once" in str(answer.error["message"])
        assert (
            other("POST", "/api/queries", {"query": "select n from requests where n < 2"}).status
            == 201
        )
        assert other("POST", "/api/queries", {"query": ONE}).status == 503
        answer = other.get("/api/streams")
        assert (answer.status, int(str(answer.headers["retry-after"]))) == (429, 5)

        with asker.events(first) as events:
            next(events)
            assert asker.get(f"/api/queries/{first}/events").status == 503
        assert asker("POST", "/api/check", {"query": "x" * 2_000}).status == 413
        assert asker("POST", "/api/check", b"{}", Content_Type="text/plain").status == 415
        assert asker("POST", "/api/check", b"{").status == 400
        assert asker("POST", "/api/check", {"query": "q", "more": 1}).status == 400
        asker("DELETE", f"/api/queries/{first}")
        until(lambda: asker("POST", "/api/queries", {"query": ONE}).status == 201)


def test_a_query_that_nobody_reads_ends(job: SourceJob) -> None:
    with serving(job, limits=Limits(idle_s=0.5)) as server:
        asker = Asker(server.url)
        identity = asker.ask("select n from requests where n < 0")
        until(lambda: asker.get(f"/api/queries/{identity}").json["ended"])
        ended = asker.get(f"/api/queries/{identity}").json["ended"]
        assert ended["reason"] == "nobody read it for 0 s"
        until(lambda: asker.get(f"/api/queries/{identity}").status == 404)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost"}, 200),
        ({"Host": "[::1]:7768"}, 200),
        ({"Host": "evil.example"}, 403),  # a name that was made to point here
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "ops.example"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://ops.example"}, 200),
        ({"Host": "localhost:1", "Origin": "http://localhost:1"}, 200),
        ({"Host": "localhost:1", "Origin": "http://localhost:2"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_strangers_pages_and_names_are_refused(
    job: SourceJob, headers: dict[str, str], status: int
) -> None:
    with serving(job, cors=("https://ops.example",), names=("ops.example",)) as server:
        answer = Asker(server.url, headers=headers).get("/api/language")
        assert answer.status == status
        allowed = answer.headers["access-control-allow-origin"]
        assert allowed == (
            "https://ops.example" if headers.get("Origin") == "https://ops.example" else None
        )


def test_a_link_from_elsewhere_opens_the_page_with_its_policy(job: SourceJob) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    with serving(job, cors=("https://ops.example",)) as server:
        asker = Asker(server.url, headers=link)
        answer = asker.get("/")
        assert answer.status == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert asker.get("/").headers["content-security-policy"] != policy  # a nonce of its own
        assert asker.get("/page/js/main.js").status == 200
        tag = asker.get("/page/js/main.js").headers["etag"]
        assert asker.get("/page/js/main.js", If_None_Match=tag).status == 304
        asked = {"Origin": "https://ops.example", "Access-Control-Request-Method": "POST"}
        answer = Asker(server.url, headers=asked)("OPTIONS", "/api/queries")
        assert answer.status == 204
        assert "authorization" in answer.headers["access-control-allow-headers"]


def test_a_websocket_is_let_in_by_the_same_rules(job: SourceJob, tmp_path: Path) -> None:
    secret = add_token(tmp_path / "t", "ada", "query")
    with serving(job, tokens=tmp_path / "t") as server:
        identity = Asker(server.url, secret).ask("select n from requests limit 5")
        url = f"ws{server.url.removeprefix('http')}/api/queries/{identity}/events"
        for more, status in (
            ({}, 401),
            ({"additional_headers": {"Authorization": "Bearer mql_x"}}, 401),
            ({"origin": "https://evil.example"}, 403),
        ):
            with pytest.raises(InvalidStatus) as refused, open_socket(url, proxy=None, **more):
                pass
            assert refused.value.response.status_code == status
        protocols = ["mql", f"mql.token.{secret}"]
        with open_socket(url, proxy=None, subprotocols=protocols) as connection:  # type: ignore[arg-type]
            assert json.loads(connection.recv())["event"] == "started"
            assert connection.subprotocol == "mql"


def test_tls_by_certificate_files(job: SourceJob, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key, ca = (tmp_path / name for name in ("tls.crt", "tls.key", "ca.crt"))
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(ca))
    secret = add_token(tmp_path / "t", "ada", "query")
    settings = {"certificate": certificate, "private_key": key, "tokens": tmp_path / "t"}
    with serving(job, **settings) as server:
        assert server.url.startswith("https://")
        trusting = ssl.create_default_context(cafile=str(ca))
        assert Asker(server.url, secret, trusting).stream(ONE).status == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            Asker(server.url, secret, ssl.create_default_context()).get("/healthz")
        with connect(server.url, token=secret, ca=ca) as client:
            assert sum(len(window.rows()) for window in client.subscribe(ONE)) == 1
        with pytest.raises(SourceJobError, match="certificate verify failed"):
            connect(server.url, token=secret, timeout_s=0.2)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (Settings("0.0.0.0"), "without tokens anybody there could ask"),  # noqa: S104
        (Settings("::", tokens=Path("t")), "without TLS tokens and events would cross"),
        (Settings(certificate=Path("c")), "TLS needs both files"),
        (Settings(cors=("*",)), "no origin such as"),
    ],
)
def test_what_would_let_in_anybody_is_refused_at_the_start(settings: Settings, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        settings.check()
    Settings("0.0.0.0", insecure=True).check()  # noqa: S104
    Settings("0.0.0.0", 1, Path("t"), Path("c"), Path("k")).check()  # noqa: S104


def test_each_query_leaves_its_lines_in_the_audit(
    job: SourceJob, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = add_token(tmp_path / "t", "ada", "query")
    caplog.set_level(logging.INFO, "mql.audit")
    with serving(job, tokens=tmp_path / "t") as server:
        Asker(server.url, secret).stream("select n from requests limit 7")
        until(lambda: len(caplog.records) >= 3)
    told = {record.getMessage(): record.fields for record in caplog.records}  # type: ignore[attr-defined]
    for fields in told.values():
        assert (fields["caller"], fields["peer"]) == ("ada", "127.0.0.1")
        assert fields["query"] == "select n from requests limit 7"
    assert (told["query ended"]["rows"], told["query ended"]["reason"]) == (7, "limit")
    assert (told["query read"]["rows"], told["query read"]["format"]) == (7, "ndjson")
    assert told["query read"]["bytes"] > 0
    assert secret not in caplog.text


def test_a_source_job_that_is_away_is_said(tmp_path: Path) -> None:
    from source_jobs.api.server import HttpServer, Upstream

    assert tmp_path
    with HttpServer(Upstream("tcp://127.0.0.1:9"), Settings(port=0)) as server:
        asker = Asker(server.url)
        assert asker.get("/healthz").status == 200
        assert asker.get("/readyz").status == 503
        with ThreadPoolExecutor() as threads:  # each waits for the source job
            answer, metrics = threads.map(asker.get, ("/api/streams", "/metrics"))
        assert (answer.status, answer.error["kind"]) == (503, "source job")
        assert b"mql_source_job_up 0.0" in metrics.body


def test_metrics_tell_of_all_and_never_of_a_query_or_a_user(job: SourceJob, agent: Agent) -> None:
    assert agent
    with serving(job) as server:
        asker = Asker(server.url)
        # Agents tell what a query costs every second.
        asker.stream("select n from requests", ttl_ms=1_600)
        text = asker.get("/metrics").body.decode()
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(figures["mql_source_job_up"]) == 1
    assert float(figures['mql_events_total{fate="shipped"}']) >= 50
    assert float(figures["mql_rows_total"]) >= 50
    assert float(figures['mql_agents{service="web",state="connected"}']) == 1
    assert float(figures["mql_query_agent_seconds_total"]) > 0
    causes = {"buffer", "budget", "credit", "failed", "upstream", "transit", "late", "subscriber"}
    assert all(f'mql_dropped_events_total{{cause="{cause}"}}' in figures for cause in causes)
    assert float(figures['mql_http_requests_total{route="/api/stream",status="200"}']) == 1
    assert float(figures['mql_http_sent_bytes_total{format="ndjson"}']) > 0
    assert "mql_agent_lag_seconds" in text
    assert "mql_stream_events_per_second" in text
    assert "select" not in text
