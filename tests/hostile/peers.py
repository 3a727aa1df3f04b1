"""A source job with keys, everybody's keys, raw sockets, and a tap on the wire."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import zmq

from mql.wire.codec import encode
from mql.wire.messages import PROTOCOL, Ask, Connect, Hello, Message
from source_jobs.job import SourceJob
from source_jobs.security.keys import KeyPair, load_pair, make_keys
from source_jobs.security.newcomers import STRANGERS_MAX

ANY_PORT = "tcp://127.0.0.1:*"
CONNECT = Connect(PROTOCOL, "a raw client", "nobody", "1", 1 << 24)


def hello(name: str, proof: str = "") -> Hello:
    now_us = time.time_ns() // 1000
    return Hello(PROTOCOL, name, "raw", "host", 1, "1", now_us, {}, ("requests",), proof)


def ask(text: str, request: int = 1) -> Ask:
    return Ask(request, text)


@dataclass
class Keys:
    """Where keys lie: pairs in `own`, and the two allow-lists."""

    root: Path
    job: Path = field(init=False)

    def __post_init__(self) -> None:
        self.own, self.agents, self.clients = (
            self.root / name for name in ("own", "agents", "clients")
        )
        for directory in (self.agents, self.clients):
            directory.mkdir()
        self.job = make_keys("job", self.own)[1]

    def make(self, name: str, *lists: Path) -> Path:
        """A pair of keys, the public one in some allow-lists; the secret file."""
        public, secret = make_keys(name, self.own)
        for allowed in lists:
            (allowed / public.name).write_bytes(public.read_bytes())
        return secret

    def revoke(self, name: str, allowed: Path) -> None:
        (allowed / f"{name}.key").unlink()

    @contextmanager
    def serve(self, strangers_max: int = STRANGERS_MAX) -> Iterator[SourceJob]:
        job = SourceJob(
            ANY_PORT,
            ANY_PORT,
            keys=self.job,
            allow_agents=self.agents,
            allow_clients=self.clients,
            strangers_max=strangers_max,
        )
        with job:
            yield job


class Raw:
    """A DEALER that says what it likes."""

    def __init__(
        self,
        address: str,
        secret: Path | None = None,
        server: Path | None = None,
        *,
        linger_ms: int = 0,
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.linger = linger_ms
        self.socket.sndtimeo = 200
        if secret is not None and server is not None:
            pair: KeyPair = load_pair(secret)
            self.socket.curve_publickey, self.socket.curve_secretkey = pair.public, pair.secret
            self.socket.curve_serverkey = load_pair(server).public
        self._monitor = self.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.socket.connect(address)

    @property
    def was_cut(self) -> bool:
        """Whether the other side has ended a connection."""
        return bool(self._monitor.poll(10_000))

    def say(self, message: Message, payload: bytes | None = None) -> None:
        self.send(encode(message, payload))

    def send(self, frames: Sequence[bytes | memoryview]) -> None:
        """Send; where ZeroMQ has given the connection up there is nobody to send to."""
        with suppress(zmq.Again):
            self.socket.send_multipart(frames)

    def hears_that(self, message: Message, within_s: float = 10.0) -> bool:
        """Whether a message comes within a time; what comes before it is dropped."""
        wanted, end = [bytes(frame) for frame in encode(message)], time.monotonic() + within_s
        while (left := end - time.monotonic()) > 0:
            if self.socket.poll(int(left * 1000)) and self.socket.recv_multipart() == wanted:
                return True
        return False

    def hears(self, within_s: float) -> list[list[bytes]]:
        """All that comes within a time."""
        heard, end = [], time.monotonic() + within_s
        while (left := end - time.monotonic()) > 0:
            if self.socket.poll(int(left * 1000)):
                heard.append(self.socket.recv_multipart())
        return heard

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.disable_monitor()
        self._monitor.close(0)
        self.socket.close(0)
        self._context.term()


class Tap:
    """A TCP proxy on loopback that keeps all bytes that pass, both ways."""

    def __init__(self, address: str) -> None:
        self._target = int(address.rpartition(":")[2])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._seen: list[bytes] = []
        self._ends: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def bytes(self) -> bytes:
        return b"".join(self._seen)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._ends += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._seen.append(data)
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
