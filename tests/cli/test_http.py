"""`mql serve --http` and `mql token`, as processes."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.live.http import check_extra
from mql.errors import MQLError
from tests.cli.support import command, environment
from tests.live.support import until
from tests.source_jobs.api.support import Asker

pytestmark = pytest.mark.timeout(60)
START_S = 30.0
ANY = "tcp://127.0.0.1:*"


@contextmanager
def serve(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A source job with an HTTP server; its process, and where it is."""
    process = subprocess.Popen(
        command("serve", "--agents", ANY, "--clients", ANY, "--http", "*", *arguments),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    try:
        assert process.stdout is not None
        told = dict(process.stdout.readline().split() for _ in range(3))
        yield process, told["http:"]
    finally:
        process.kill()
        process.communicate()


def answers(url: str) -> bool:
    host, port = url.partition("://")[2].split(":")
    with socket.socket() as made:
        return made.connect_ex((host, int(port))) == 0


def get(url: str, path: str, token: str | None = None) -> int:
    """The status of an answer; 0 while there is none."""
    try:
        return Asker(url, token).get(path).status
    except OSError:
        return 0


def mql(*arguments: str, code: int = 0, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment(), cwd=cwd, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_it_serves_audits_and_ends_with_its_source_job(tmp_path: Path) -> None:
    audit = tmp_path / "audit.ndjson"
    with serve("--audit", str(audit)) as (process, url):
        until(lambda: get(url, "/readyz") == 200, START_S)
        query = "select%20a%20from%20s&ttl_ms=300"
        assert get(url, f"/api/stream?q={query}") == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert not answers(url)
    lines = [json.loads(line) for line in audit.read_text(encoding="utf-8").splitlines()]
    assert {line["message"] for line in lines} == {"query started", "query read", "query ended"}
    assert all(line["query"] == "select a from s" for line in lines)


def test_a_killed_source_job_leaves_no_server_behind() -> None:
    with serve() as (process, url):
        until(lambda: get(url, "/healthz") == 200, START_S)
        process.kill()
        until(lambda: not answers(url))


def test_tokens_are_made_listed_and_revoked_while_it_runs(tmp_path: Path) -> None:
    tokens = str(tmp_path / "tokens.json")
    secret = mql("token", "create", "ada", "--scope", "query", "--for", "1h", "--tokens", tokens)
    secret = secret.strip()
    assert secret.startswith("mql_")
    (told,) = map(json.loads, mql("token", "list", "--tokens", tokens).splitlines())
    assert (told["name"], told["scopes"]) == ("ada", "query")
    assert secret not in Path(tokens).read_text(encoding="utf-8")
    with serve("--tokens", tokens) as (_, url):
        until(lambda: get(url, "/readyz") == 200, START_S)
        assert get(url, "/api/streams") == 401
        assert get(url, "/api/streams", secret) == 200
        mql("token", "revoke", "ada", "--tokens", tokens)
        assert get(url, "/api/streams", secret) == 401


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("serve", "--http", "0.0.0.0:*"), "without tokens anybody there could ask"),
        (("serve", "--http", "nowhere:x"), "is no address such as 7768"),
        (("serve", "--http", "*", "--tokens", "none.json"), "cannot read the tokens in none.json"),
        (("serve", "--http", "*", "--tls-cert", "c"), "TLS needs both files"),
        (
            ("serve", "--http", "*", "--tls-cert", "c", "--tls-key", "k"),
            "certificate cannot be used",
        ),
        (("token", "revoke", "nobody"), "there is no token 'nobody'"),
        (("token", "create", "a b"), "is no name"),
        (("token", "list"), "cannot read the tokens in tokens.json"),
    ],
)
def test_what_makes_no_sense_is_refused_at_the_start(
    tmp_path: Path, arguments: tuple[str, ...], reason: str
) -> None:
    if arguments[0] == "serve":
        arguments = ("serve", "--agents", ANY, "--clients", ANY, *arguments[1:])
    assert reason in mql(*arguments, code=2, cwd=tmp_path)


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        told = mql("serve", "--agents", ANY, "--clients", ANY, "--http", port, code=1)
    assert f"cannot listen at 127.0.0.1:{port}" in told


def test_without_the_extra_it_says_what_to_install() -> None:
    with pytest.raises(MQLError, match="hint: pip install no-such-module"):
        check_extra(("uvicorn", "no_such_module"))
