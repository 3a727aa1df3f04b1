"""What a token may is what it may now, and what it may not see has no name for it."""

from __future__ import annotations

import json
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import trustme
from websockets.sync.client import connect as open_socket

from publish_agent import Agent
from source_jobs import connect
from source_jobs.api.auth.token_file import TokenFile
from source_jobs.api.auth.tokens import Scope, Token, TokenBook
from source_jobs.api.server import HttpServer, Upstream
from source_jobs.api.settings import Limits, Settings
from source_jobs.job import SourceJob
from tests.hostile.peers import Keys
from tests.live.support import until
from tests.source_jobs.api.support import Asker, add_token, serving

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("agent")]

ALL = "select n from requests"
SOON_S = 1.0
LEEWAY_S = 0.3
"""For the way to the readers; who is not shut out reads for as long as it likes."""
TRIES = 3
"""A busy machine may keep readers from hearing it: the least of some times is the server's."""


@contextmanager
def with_token(job: SourceJob, path: Path, *scopes: str, **more: object) -> Iterator[Asker]:
    secret = add_token(path, "ada", *scopes, **more)
    with serving(job, tokens=path) as server:
        yield Asker(server.url, secret)


def change(path: Path, **fields: object) -> None:
    """Change the first token of a file."""

    def changed(book: TokenBook) -> TokenBook:
        first, *others = book.tokens
        return TokenBook((msgspec.structs.replace(first, **fields), *others))

    TokenFile(path).change(changed)


def read_ndjson(asker: Asker) -> None:
    asker.stream(ALL)


def read_events(asker: Asker) -> None:
    with asker.events(asker.ask(ALL)) as events:
        *_, last = events
    assert last.name == "ended"
    assert "any more" in str(last.data["reason"])


def read_socket(asker: Asker) -> None:
    identity = asker.ask(ALL)
    url = f"ws{asker.url.removeprefix('http')}/api/queries/{identity}/events"
    headers = {"Authorization": f"Bearer {asker.token}"}
    with open_socket(url, proxy=None, additional_headers=headers) as connection:
        *_, last = connection
    assert json.loads(last)["event"] == "ended"


def read_trace(asker: Asker) -> None:
    assert asker.get("/api/trace?follow=requests.user=u1").status == 200


READS = (read_ndjson, read_events, read_socket, read_trace)


def revoke(path: Path) -> None:
    TokenFile(path).change(lambda book: book.without("ada"))


def expire(path: Path) -> None:
    change(path, expires_ms=1)


def take_stream(path: Path) -> None:
    change(path, streams=("pay*",))


def take_scopes(path: Path) -> None:
    change(path, scopes=())


@pytest.mark.parametrize("take", [revoke, expire, take_stream, take_scopes])
def test_a_token_loses_what_it_has_open_within_a_second(
    job: SourceJob, tmp_path: Path, take: Callable[[Path], None]
) -> None:
    took_s: list[float] = []
    while min(took_s, default=60.0) >= SOON_S + LEEWAY_S and len(took_s) < TRIES:
        took_s.append(_lost_after_s(job, tmp_path / f"t{len(took_s)}", take))
    assert min(took_s) < SOON_S + LEEWAY_S


def _lost_after_s(job: SourceJob, path: Path, take: Callable[[Path], None]) -> float:
    """How long the last of all readers read after something was taken from their token."""
    with with_token(job, path, "query", "trace") as asker, serving(job, tokens=path) as other:
        askers = (asker, Asker(other.url, asker.token))
        ended_s: list[float] = []

        def read(each: Callable[[Asker], None], asker: Asker) -> None:
            each(asker)
            ended_s.append(time.monotonic())

        threads = [threading.Thread(target=read, args=(r, a)) for r in READS for a in askers]
        for thread in threads:
            thread.start()
        until(lambda: other.door.running.readers == len(READS))
        time.sleep(0.3)
        assert not ended_s
        began_s = time.monotonic()
        take(path)
        for thread in threads:
            thread.join(20)
        assert len(ended_s) == len(threads)
        until(lambda: not other.door.running.alive)
        return max(ended_s) - began_s


def test_who_reads_anothers_query_loses_it_alone(job: SourceJob, tmp_path: Path) -> None:
    path = tmp_path / "t"
    root = add_token(path, "root", "admin")
    with with_token(job, path, "query") as asker:
        identity = asker.ask(ALL)
        with asker.events(identity) as own, Asker(asker.url, root).events(identity) as read:
            next(own)
            change(path, scopes=(Scope.QUERY,))
            *_, last = read
            assert last.data["reason"] == "the token 'root' may not read this any more"
            assert next(own).name == "rows"


def test_admin_reads_what_its_streams_allow(job: SourceJob, tmp_path: Path) -> None:
    path = tmp_path / "t"
    few = add_token(path, "few", "admin", streams=("pay*",))
    with with_token(job, path, "query") as asker:
        answer = Asker(asker.url, few).get(f"/api/queries/{asker.ask(ALL)}/events")
        assert answer.status == 403
        assert "may not read the stream 'requests'" in str(answer.error["message"])


def test_a_token_has_its_share_of_the_streams_that_may_be_open(
    job: SourceJob, tmp_path: Path
) -> None:
    ada, bob = (add_token(tmp_path / "t", name, "query") for name in ("ada", "bob"))
    with serving(job, tokens=tmp_path / "t", limits=Limits(readers_each=2)) as server:
        asker, other = Asker(server.url, ada), Asker(server.url, bob)
        identity = asker.ask(ALL)
        with asker.events(identity) as first, asker.events(identity) as second:
            next(first), next(second)
            answer = asker.get(f"/api/queries/{identity}/events")
            assert (answer.status, answer.headers["retry-after"]) == (429, "5")
            assert "as many as it may have" in str(answer.error["message"])
            assert asker.stream(ALL).status == 429
            assert other.stream("select n from requests limit 1").status == 200
        until(lambda: asker.stream("select n from requests limit 1").status == 200)


def test_a_group_belongs_to_its_token(job: SourceJob, tmp_path: Path) -> None:
    path = tmp_path / "t"
    bob = add_token(path, "bob", "query")
    with with_token(job, path, "query") as ada:
        numbers = []
        for asker in (ada, ada, Asker(ada.url, bob)):
            identity = asker.ask(ALL, group="workers")
            numbers.append(asker.get(f"/api/queries/{identity}").json["query"])
        assert numbers[0] == numbers[1] != numbers[2]
        shown = ada.get("/api/queries").json["queries"]
        assert {each["group"] for each in shown} == {"workers"}  # type: ignore[attr-defined]
    with serving(job) as server, connect(job.clients_address) as client:
        identity = Asker(server.url).ask(ALL, group="workers")
        mine = client.subscribe(ALL, group="workers").query_id
        assert Asker(server.url).get(f"/api/queries/{identity}").json["query"] == mine


def test_a_group_belongs_to_its_key(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    secrets = {name: keys.make(name, keys.clients) for name in ("ada", "bob")}
    server_key = keys.job.with_suffix("").with_suffix(".key")
    with keys.serve() as job:
        numbers = []
        for name in ("ada", "ada", "bob"):
            client = connect(
                job.clients_address, key=secrets[name], server_key=server_key, timeout_s=10
            )
            numbers.append((client.subscribe(ALL, group="workers").query_id, client))
        first, second, third = (number for number, _ in numbers)
        assert first == second != third
        for _, client in numbers:
            client.close()


def test_streams_that_a_token_may_not_read_have_no_name(
    job: SourceJob, agent: Agent, tmp_path: Path
) -> None:
    assert agent
    path = tmp_path / "t"
    full = add_token(path, "full", "query")
    with with_token(job, path, "query", streams=("secret", "secretz", "pay*")) as few:
        for asker, hint in ((few, False), (Asker(few.url, full), True)):
            identity = asker.ask("select n from secretz")
            (warning,) = asker.get(f"/api/queries/{identity}").json["warnings"]
            assert ("did you mean `secrets`?" in warning) is hint
            rates = asker.get("/metrics").body.decode()
            assert ('mql_stream_events_per_second{stream="secrets"}' in rates) is hint
            assert 'mql_stream_events_per_second{stream="payments"}' in rates
            assert ("secrets" in rates) is hint


@pytest.mark.usefixtures("agent")
def test_who_names_no_stream_hears_of_those_that_the_token_may_read(
    job: SourceJob, tmp_path: Path
) -> None:
    path = tmp_path / "t"
    full = add_token(path, "full", "query")
    long = f"select n where user == '{'x' * 1_000}'"
    with with_token(job, path, "query", streams=("pay*", "req*")) as few:
        for asker, names in ((few, ""), (Asker(few.url, full), ", secrets")):
            hint = f"add `from` and one of payments, requests{names}"
            for text in ("select n where n > 1", long):
                checked = asker("POST", "/api/check", {"query": text}).json
                refused = asker("POST", "/api/queries", {"query": text})
                explained = asker("POST", "/api/explain", {"query": text})
                assert [a.status for a in (refused, explained, asker.stream(text))] == [422] * 3
                assert checked == {"ok": False, "error": refused.error}
                assert explained.error == refused.error
                assert (refused.error["column"], refused.error["hint"]) == (9, hint)


def test_no_name_of_a_file_is_an_error(asker: Asker) -> None:
    for name in (
        "x" * 300,
        "x" * 300 + ".js",
        "js/" * 100 + "main.js",
        "..%2f..%2fserver.py",
        "%00",
    ):
        assert asker.get(f"/page/{name}").status == 404
    assert asker.get("/page/js/main.js").status == 200


def test_a_browser_that_came_by_tls_stays_with_it(tmp_path: Path, asker: Asker) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    settings = Settings(port=0, certificate=certificate, private_key=key)
    with HttpServer(Upstream("tcp://127.0.0.1:9"), settings) as server:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        for path in ("/", "/healthz", "/api/nothing"):
            told = Asker(server.url, context=context).get(path).headers
            assert told["strict-transport-security"] == "max-age=31536000"
    assert asker.get("/").headers["strict-transport-security"] is None


def test_a_file_of_tokens_that_is_none_never_stops_the_server(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "huge").write_bytes(b" " * (5 << 20))
    for name in ("fifo", "huge", "."):
        with pytest.raises(ValueError, match="no file of tokens"):
            TokenFile(tmp_path / name).load()


def test_a_token_that_is_made_again_is_another() -> None:
    book = TokenBook((Token("ada", "1"), Token("bob", "2", expires_ms=5)))
    assert book.caller("1", 9) is not None
    assert book.caller("2", 4) is not None
    assert book.caller("2", 5) is None
    assert book.caller("3", 0) is None
