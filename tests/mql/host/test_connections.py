"""No connection that fails ends the process that has it, however full it is."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import socket as sockets
import struct
import time
from random import Random

import pytest
import zmq

from mql.host.connections import keep_alive
from publish_agent import Agent
from publish_agent.runtime import sockets as agents_sockets
from source_jobs.client import connect, link
from source_jobs.job import SourceJob

SPAWN = multiprocessing.get_context("spawn")
SILENCE_S, LASTS_S, LIMIT_S = 0.3, 3.0, 30.0
MARK = 10
"""So many messages wait in the receiver's socket, then it reads no more."""


def receive(kind: int, address: str) -> None:
    """Read some of what comes from peers, or for some time none."""
    dice, until_s = Random(1), time.monotonic() + LASTS_S  # noqa: S311
    with zmq.Context() as context, context.socket(kind) as socket:
        socket.rcvhwm, socket.linger, socket.immediate = MARK, 0, True
        socket.reconnect_ivl = 50
        keep_alive(socket, SILENCE_S)
        if kind == zmq.ROUTER:
            socket.bind(address)
        else:
            socket.connect(address)
        while time.monotonic() < until_s:
            with contextlib.suppress(zmq.Again):
                if kind == zmq.DEALER:
                    socket.send(b"hello", zmq.NOBLOCK)
                for _ in range(dice.choice([0, 5, 50, 5_000])):
                    socket.recv_multipart(zmq.NOBLOCK)
            time.sleep(dice.uniform(0.05, 0.8))


def greeted(connection: sockets.socket, kind: bytes) -> None:
    """Greet as ZeroMQ does: version 3.0 of its protocol, without a mechanism."""
    kinds = bytes([len(b"Socket-Type")]) + b"Socket-Type" + len(kind).to_bytes(4) + kind
    ready = bytes([len(b"READY")]) + b"READY" + kinds
    connection.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
    connection.sendall(bytes([4, len(ready)]) + ready)


def flood(connection: sockets.socket, kind: bytes, dice: Random) -> None:
    """Send more than the other side takes, and then break the connection."""
    with connection, contextlib.suppress(OSError):
        connection.settimeout(0.1)
        greeted(connection, kind)
        time.sleep(0.05)
        message = bytes([0, 200]) + bytes(200)
        with contextlib.suppress(TimeoutError):
            for _ in range(dice.choice([1, 20, 2_000])):
                connection.sendall(message * 50)
        time.sleep(dice.choice([0.0, 0.1, 0.3, 0.5]))
        if dice.random() < 0.5:
            connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("kind", [zmq.ROUTER, zmq.DEALER])
def test_no_peer_that_is_killed_ends_who_reads_too_little(kind: int) -> None:
    """With ZeroMQ's heartbeats libzmq gives up: "Assertion failed: !_io_error"."""
    dice, server = Random(2), sockets.create_server(("127.0.0.1", 0))  # noqa: S311
    server.settimeout(0.5)
    host, port = server.getsockname()
    if kind == zmq.ROUTER:
        server.close()
    receiver = SPAWN.Process(target=receive, args=(kind, f"tcp://{host}:{port}"), daemon=True)
    receiver.start()
    while receiver.is_alive():
        with contextlib.suppress(OSError):
            if kind == zmq.ROUTER:
                flood(sockets.create_connection((host, port)), b"DEALER", dice)
            else:
                flood(server.accept()[0], b"ROUTER", dice)
    server.close()
    code = receiver.exitcode
    assert code == 0, code and signal.Signals(-code).name


def test_no_socket_of_ours_has_the_heartbeats_of_zeromq(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[zmq.Socket[bytes]] = []

    def noting(socket: zmq.Socket[bytes], silence_s: float) -> None:
        keep_alive(socket, silence_s)
        made.append(socket)

    for module in ("source_jobs.job", "source_jobs.client.link", "publish_agent.runtime.sockets"):
        monkeypatch.setattr(f"{module}.keep_alive", noting)
    with SourceJob("tcp://127.0.0.1:*", "tcp://127.0.0.1:*") as job:
        with connect(job.clients_address), contextlib.closing(publishing(job.agents_address)):
            until = time.monotonic() + LIMIT_S
            while len(made) < 4 and time.monotonic() < until:
                time.sleep(0.01)
            assert len(made) == 4
            assert all(socket.heartbeat_ivl == 0 for socket in made)
            assert all(socket.tcp_keepalive == 1 for socket in made)


def connections(server: zmq.Socket[bytes], wanted: int) -> int:
    """How many connections come to who never answers, until as many as wanted have."""
    peers: set[bytes] = set()
    until_s = time.monotonic() + LIMIT_S
    while len(peers) < wanted and time.monotonic() < until_s:
        if server.poll(100):
            peers.add(server.recv_multipart()[0])
    return len(peers)


def publishing(address: str) -> Agent:
    agent = Agent("service", address)
    agent.publish("requests", {"a": 1})
    return agent


@pytest.mark.parametrize("side", ["agent", "client"])
def test_a_connection_over_which_nothing_comes_is_made_anew(
    side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something in between keeps it up whose own connection has long been none."""
    monkeypatch.setattr(agents_sockets, "_SILENCE_S", SILENCE_S)
    monkeypatch.setattr(link, "_SILENCE_S", SILENCE_S)
    with zmq.Context() as context, context.socket(zmq.ROUTER) as server:
        server.bind("tcp://127.0.0.1:*")
        server.linger = 0
        address = server.last_endpoint.decode()
        made = publishing(address) if side == "agent" else connect(address, timeout_s=None)
        with contextlib.closing(made):
            assert connections(server, 3) == 3
