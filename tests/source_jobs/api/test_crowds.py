"""Crowds at the door: those who connect and say little, and a server that runs out of descriptors.

`make crowds` runs the same with 1,600 connections and with a minute of patience.
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from source_jobs.api.connections.places import KEPT_FOR_HEALTH
from source_jobs.api.server import BACKLOG, HttpServer, Upstream
from source_jobs.api.settings import Limits, Settings
from source_jobs.job import SourceJob
from tests.live.support import until
from tests.source_jobs.api.support import Asker, serving

pytestmark = pytest.mark.timeout(120)

NOBODY = Upstream("tcp://127.0.0.1:9")
CROWD = int(os.environ.get("MQL_CONNECTIONS", "120"))
REQUEST_S = 0.5
PROMPT_S = 2.0


def address(url: str) -> tuple[str, int]:
    host, _, port = url.partition("://")[2].rpartition(":")
    return host, int(port)


@contextmanager
def alone(**limits: object) -> Iterator[HttpServer]:
    """A server without a source job."""
    with HttpServer(NOBODY, Settings(port=0, limits=Limits(**limits))) as server:  # type: ignore[arg-type]
        yield server


@contextmanager
def crowd(server: HttpServer, count: int, say: bytes = b"") -> Iterator[list[socket.socket]]:
    sockets = []
    try:
        for _ in range(count):
            sockets.append(socket.create_connection(address(server.url), 5))
            if say:
                sockets[-1].sendall(say)
        yield sockets
    finally:
        for each in sockets:
            each.close()


def given_up(server: HttpServer, cause: str) -> float:
    name = "mql_http_given_up_connections_total"
    return server.door.metrics.registry.get_sample_value(name, {"cause": cause}) or 0.0


def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(4_096) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def closed_after(connection: socket.socket, limit_s: float = 10.0) -> float:
    began = time.monotonic()
    until(lambda: is_closed(connection), limit_s)
    return time.monotonic() - began


@pytest.mark.parametrize("say", [b"", b"GET /api/language HTTP/1.1\r\nHost: 127.0.0.1"])
def test_a_crowd_that_asks_nothing_keeps_nobody_away(say: bytes) -> None:
    most = CROWD // 3
    with alone(connections=most) as server, crowd(server, CROWD, say) as sockets:
        for path in ("/healthz", "/api/language", "/page/js/main.js"):
            began = time.monotonic()
            assert Asker(server.url).get(path).status == 200
            assert time.monotonic() - began < PROMPT_S
        closed = sum(map(is_closed, sockets))
        assert closed >= CROWD - most - KEPT_FOR_HEALTH
        assert all(map(is_closed, sockets[:closed]))  # who has waited longest goes first
        assert given_up(server, "room") == closed


def test_while_all_places_are_taken_health_has_its_own(job: SourceJob, agent: object) -> None:
    assert agent
    with serving(job, limits=Limits(connections=2)) as server:
        asker = Asker(server.url)
        identity = asker.ask("select n from requests where n < 0")
        with asker.events(identity) as first, asker.events(identity) as second:
            next(first), next(second)
            for _ in range(3):
                answer = asker.get("/api/language")
                assert (answer.status, answer.headers["retry-after"]) == (503, "5")
                assert "as many as there may be" in str(answer.error["message"])
                assert asker.get("/healthz").status == 200
                until(lambda: asker.get("/readyz").status == 200)  # it asks the source job
        until(lambda: asker.get("/api/language").status == 200)


def test_the_first_byte_and_the_headers_come_in_time_or_not_at_all() -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 900
    with alone(request_s=REQUEST_S) as server, crowd(server, 3) as (silent, slow, again):
        again.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b"200 OK" in again.recv(4_096)
        for connection in (slow, again):
            began = time.monotonic()
            with suppress(OSError):
                for byte in request:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.005)
            closed_after(connection)
            assert time.monotonic() - began < REQUEST_S + PROMPT_S
        assert closed_after(silent) < PROMPT_S
        assert given_up(server, "late") == 3


def test_a_body_that_comes_slowly_is_refused() -> None:
    head = b"POST /api/check HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with alone(request_s=REQUEST_S) as server, crowd(server, 1) as (connection,):
        connection.sendall(head + b"Content-Length: 100\r\n\r\n{")
        connection.settimeout(PROMPT_S)
        assert b" 408 " in connection.recv(4_096)
        assert closed_after(connection) < PROMPT_S


def test_who_does_not_read_what_was_asked_for_is_given_up() -> None:
    request = b"GET /page/vendor/codemirror.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with alone(unread_s=0.2) as server:
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.connect(address(server.url))
            connection.sendall(request * 10)
            until(lambda: given_up(server, "unread") == 1)
        until(lambda: server.door.places.busy == 0)


def test_a_handshake_comes_in_time_or_not_at_all(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    limits = Limits(request_s=REQUEST_S, connections=10)
    settings = Settings(port=0, certificate=certificate, private_key=key, limits=limits)
    with HttpServer(NOBODY, settings) as server:
        with crowd(server, 80) as sockets:
            assert Asker(server.url, context=trusting).get("/healthz").status == 200
            assert max(map(closed_after, sockets)) < PROMPT_S
        with crowd(server, 1, b"GET / HTTP/1.1\r\n\r\n") as (connection,):
            assert closed_after(connection) < PROMPT_S
        assert Asker(server.url, context=trusting).get("/healthz").status == 200


WITHOUT_DESCRIPTORS = """
import resource, socket, sys, threading, time, urllib.request
descriptors, crowd = int(sys.argv[1]), int(sys.argv[2])
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
from source_jobs.api.server import HttpServer, Upstream
from source_jobs.api.settings import Settings
resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard))
with HttpServer(Upstream("tcp://127.0.0.1:9"), Settings(port=0)) as server:
    print(server.url, server.door.places.most, flush=True)
    sys.stdin.readline()
    taken = []
    try:
        while True:
            taken.append(open("/dev/null"))
    except OSError:
        print(len(taken), flush=True)
    sys.stdin.readline()
    for each in taken:
        each.close()
    print("free", flush=True)
    sys.stdin.readline()
"""


def test_without_descriptors_it_says_so_once_and_goes_on() -> None:
    descriptors = CROWD * 2 + 200
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT_DESCRIPTORS, str(descriptors), str(CROWD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def say(line: str = "") -> str:
        print(line, file=process.stdin, flush=True)
        return process.stdout.readline()  # type: ignore[union-attr]

    url, most = process.stdout.readline().split()
    try:
        assert int(most) < descriptors - 128  # fewer places than there would be with more of them
        asker = Asker(url)
        with crowd_at(url, CROWD):
            assert asker.get("/healthz").status == 200
        assert int(say()) > 0
        with crowd_at(url, min(CROWD, BACKLOG // 2)):  # who is not taken waits in the kernel
            time.sleep(1.0)  # attempts without a descriptor, one after another
        assert say() == "free\n"
        until(lambda: asker.get("/healthz").status == 200)
    finally:
        _, told = process.communicate("\n", timeout=20)
    lines = told.splitlines()
    assert lines == ["connections cannot be taken: Too many open files"]


@contextmanager
def crowd_at(url: str, count: int) -> Iterator[None]:
    sockets = [socket.create_connection(address(url), 5) for _ in range(count)]
    yield
    for each in sockets:
        each.close()
