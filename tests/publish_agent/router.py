"""A source job as far as an agent can tell, with a real socket; and programs as processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import zmq

from mql.columnar.layout import EVENT
from mql.ledger import Tally
from mql.wire.codec import encode, from_agents
from mql.wire.messages import (
    PROTOCOL,
    Accept,
    AgentMessage,
    Batch,
    Beat,
    Heartbeat,
    Hello,
    Message,
    Subscribe,
    Welcome,
)
from mql.wire.payload import read_batch

ROOT = Path(__file__).resolve().parents[2]
ALL = "select * from requests"


class Router:
    """A source job as far as an agent can tell: it welcomes, beats, and keeps what comes."""

    def __init__(self, port: int | None = None, name: str = "job", secret: bytes = b"") -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.ROUTER)
        self.socket.linger = 0
        if secret:
            self.socket.curve_secretkey, self.socket.curve_server = secret, True
        if port is None:
            self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        else:
            self.port = port
            self.socket.bind(f"tcp://127.0.0.1:{port}")
        self.name = name
        self.frames: list[bytes] = []
        self.messages: list[tuple[bytes, AgentMessage, bytes]] = []
        self._decoder = from_agents()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def send(self, peer: bytes, message: Message) -> None:
        self.socket.send_multipart([peer, *encode(message)])

    def run(self, until: Callable[[], object], seconds: float = 5.0) -> None:
        """Take messages until something holds."""
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, f"it did not come: {[m for _, m, _ in self.messages]}"
            if self.socket.poll(20):
                self._take()

    def _take(self) -> None:
        peer, *frames = self.socket.recv_multipart()
        self.frames += frames
        message, payload = self._decoder.decode(frames)
        self.messages.append((peer, message, payload))
        now = time.time_ns() // 1000
        match message:
            case Hello():
                self.send(peer, Welcome(PROTOCOL, self.name, 1 << 26, message.sent_us, now, now))
            case Heartbeat():
                self.send(peer, Beat(message.sent_us, now, now))
            case _:
                pass

    def of(self, kind: type[AgentMessage]) -> list[AgentMessage]:
        return [message for _, message, _ in self.messages if isinstance(message, kind)]

    def peers(self) -> dict[str, bytes]:
        """The agents that have said hello, by name."""
        return {m.agent: peer for peer, m, _ in self.messages if isinstance(m, Hello)}

    def subscribe(self, query: int, text: str, peer: bytes | None = None) -> None:
        """Ask an agent, and wait until it has accepted."""
        self.run(self.peers)
        accepted = len(self.of(Accept))
        peer = peer or next(iter(self.peers().values()))
        self.send(peer, Subscribe(query, 0, "requests", text, 1000))
        self.run(lambda: len(self.of(Accept)) > accepted)

    def total(self, query: int = 1) -> Tally:
        total = Tally(0)
        for message in self.of(Batch):
            assert isinstance(message, Batch)
            for part in message.parts:
                if part.query == query:
                    for tally in part.tallies:
                        total += tally
        return total

    def texts(self) -> list[str]:
        """The events that came, as text."""
        payloads = [payload for _, message, payload in self.messages if payload]
        return [str(t).strip() for p in payloads for t in read_batch(p).column(EVENT).to_pylist()]

    def close(self) -> None:
        self.socket.close(0)
        self._context.term()


def program(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
