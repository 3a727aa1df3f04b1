"""The shell of a source job: two sockets, a clock, and a loop around the state.

Without keys it binds to this machine alone; with keys it lets in only those whose public keys are
in its allow-lists, and only as long as they are.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

import zmq
import zmq.auth.thread

import mql
from mql.wire.codec import MAX_PAYLOAD
from source_jobs.addresses import check_addresses
from source_jobs.allowed import AllowList
from source_jobs.clock import Clock
from source_jobs.door import Door
from source_jobs.keys import KeyPair, load_pair
from source_jobs.outbox import Send, Side
from source_jobs.settings import Settings
from source_jobs.state import JobState

AGENTS = "tcp://127.0.0.1:7766"
CLIENTS = "tcp://127.0.0.1:7767"

_LONGEST_POLL_MS = 100
_MOST_AT_ONCE = 1_000
_CLIENTS_TURN_US = 20_000
"""So long clients are listened to before agents and the queries have their turn: planning takes
long, and what else comes waits in order, a message of each client in turn."""
_LINGER_MS = 200
_ALLOWED_US = 1_000_000
"""So often the allow-lists are looked at."""
_SLACK_BYTES = 1 << 10
_WAITING_MESSAGES = 10_000
_PROBE_MS = 5_000
"""So often ZeroMQ makes sure that a connection is still one."""

_log = logging.getLogger(__name__)
_Take = Callable[[bytes, Sequence[bytes], int, bytes], list[Send]]


class SourceJob:
    """A source job that listens at two addresses from the moment it is made.

    `keys` is the source job's pair, or its secret file; with it `allow_agents` and
    `allow_clients` are directories of public keys. `insecure` allows to listen to other machines
    without keys. Raises ValueError where the settings do not fit, OSError where an address is
    taken. `run` serves in this thread, `start` in one of its own; `stop` ends either.
    """

    def __init__(
        self,
        agents: str = AGENTS,
        clients: str = CLIENTS,
        *,
        keys: KeyPair | str | Path | None = None,
        allow_agents: str | Path | None = None,
        allow_clients: str | Path | None = None,
        insecure: bool = False,
        settings: Settings | None = None,
    ) -> None:
        allowed = {Side.AGENT: allow_agents, Side.CLIENT: allow_clients}
        check_addresses((agents, clients), keys, tuple(allowed.values()), insecure=insecure)
        pair = load_pair(keys) if isinstance(keys, str | Path) else keys
        name = secrets.token_hex(8)
        settings = replace(settings or Settings(name), name=name, version=mql.__version__)
        self.state = JobState(settings, Random(secrets.randbits(64)))  # noqa: S311 - of samples
        self._clock = Clock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._context = zmq.Context()
        self._guard: zmq.auth.thread.ThreadAuthenticator | None = None
        self._doors: dict[Side, Door] = {}
        self._look_us = 0
        self._sockets: dict[Side, zmq.Socket[bytes]] = {}
        self._addresses: dict[Side, str] = {}
        try:
            if pair is not None:
                self._doors = {s: Door(AllowList(d)) for s, d in allowed.items() if d is not None}
                self._guard = _guard(self._context, self._doors)
            for side, address in ((Side.AGENT, agents), (Side.CLIENT, clients)):
                self._sockets[side] = self._bind(side, address, pair)
                endpoint = self._sockets[side].getsockopt(zmq.LAST_ENDPOINT)
                assert isinstance(endpoint, bytes)
                self._addresses[side] = endpoint.rstrip(b"\0").decode()
        except BaseException:
            self._close()
            raise

    @property
    def agents_address(self) -> str:
        """Where agents connect to, with the port that it got."""
        return self._addresses[Side.AGENT]

    @property
    def clients_address(self) -> str:
        """Where clients connect to, with the port that it got."""
        return self._addresses[Side.CLIENT]

    def run(self) -> None:
        """Serve until `stop` is called, which any thread and any signal handler may do."""
        takers: dict[Side, _Take] = {
            Side.AGENT: self.state.from_agent,
            Side.CLIENT: self.state.from_client,
        }
        poller = zmq.Poller()
        for socket in self._sockets.values():
            poller.register(socket, zmq.POLLIN)
        try:
            while not self._stopping.is_set():
                ready = dict(poller.poll(self._poll_ms()))
                for side, socket in self._sockets.items():
                    if socket in ready:
                        self._receive(side, takers[side])
                self._look_at_the_doors()
                self._guarded(lambda: self.state.tick(self._clock.now_us()))
        finally:
            self._close()

    def start(self) -> Self:
        """Serve in a thread of its own."""
        self._thread = threading.Thread(target=self.run, name="source job", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving, and wait until the thread, if there is one, is done."""
        self._stopping.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _bind(self, side: Side, address: str, pair: KeyPair | None) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.ROUTER)
        socket.linger = _LINGER_MS
        socket.maxmsgsize = MAX_PAYLOAD + _SLACK_BYTES
        socket.sndhwm = _WAITING_MESSAGES
        socket.heartbeat_ivl = _PROBE_MS
        socket.heartbeat_timeout = 3 * _PROBE_MS
        socket.ipv6 = "[" in address
        if side is Side.CLIENT:
            socket.router_mandatory = True
        if pair is not None:
            socket.zap_domain = side.encode()
            socket.curve_server = True
            socket.curve_publickey, socket.curve_secretkey = pair.public, pair.secret
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            socket.close(0)
            reason = f"cannot listen at {address}: {os.strerror(error.errno or 0)}"
            raise OSError(error.errno, reason) from None
        return socket

    def _poll_ms(self) -> int:
        wait_us = self.state.next_wake_us() - self._clock.now_us()
        return max(0, min(_LONGEST_POLL_MS, -(-wait_us // 1000)))

    def _receive(self, side: Side, take: _Take) -> None:
        socket, began_us = self._sockets[side], self._clock.now_us()
        for _ in range(_MOST_AT_ONCE):
            try:
                heard = self._hear(side, socket)
            except zmq.Again:
                return
            if heard is not None:
                peer, frames, key = heard
                now_us = self._clock.now_us()
                self._guarded(lambda: take(peer, frames, now_us, key))  # noqa: B023 - called at once
            if side is Side.CLIENT and self._clock.now_us() - began_us > _CLIENTS_TURN_US:
                return

    def _hear(
        self, side: Side, socket: zmq.Socket[bytes]
    ) -> tuple[bytes, Sequence[bytes], bytes] | None:
        """The next message: peer, frames and key; None if it came by a key that is revoked."""
        door = self._doors.get(side)
        if door is None:
            peer, *frames = socket.recv_multipart(zmq.NOBLOCK)
            return peer, frames, b""
        came, *parts = socket.recv_multipart(zmq.NOBLOCK, copy=False)
        key = door.key_of(came.bytes, came)
        return None if key is None else (came.bytes, [part.bytes for part in parts], key)

    def _look_at_the_doors(self) -> None:
        """Shut out those whose keys are no longer on the allow-lists."""
        now_us = self._clock.now_us()
        if now_us < self._look_us:
            return
        self._look_us = now_us + _ALLOWED_US
        for side, door in self._doors.items():
            if door.refresh():
                _log.info("keys of %ss were revoked", side)
                allowed = door.allowed.keys
                self._guarded(lambda: self.state.shut_out(side, allowed, now_us))  # noqa: B023 - called at once

    def _guarded(self, step: Callable[[], list[Send]]) -> None:
        """Do what the state wants done. A bug in it is logged, and harms nobody else."""
        try:
            sends = step()
        except Exception:  # noqa: BLE001 - the others have to go on
            _log.exception("a message, or the time, was not handled")
            return
        for send in sends:
            self._send(send)

    def _send(self, send: Send) -> None:
        socket = self._sockets[send.side]
        try:
            socket.send_multipart([send.peer, *send.frames], zmq.NOBLOCK, copy=False)
        except zmq.ZMQError:
            for following in self.state.unsent(send, self._clock.now_us()):
                self._send(following)

    def _close(self) -> None:
        for socket in self._sockets.values():
            socket.close()
        if self._guard is not None:
            self._guard.stop()
        self._context.term()


def _guard(
    context: zmq.Context[zmq.Socket[bytes]], doors: dict[Side, Door]
) -> zmq.auth.thread.ThreadAuthenticator:
    """Lets in those whose public keys are in the allow-list for their side."""
    guard = zmq.auth.thread.ThreadAuthenticator(context)
    guard.start()
    try:
        for side, door in doors.items():
            guard.configure_curve_callback(side.value, door.allowed)
    except BaseException:
        guard.stop()
        raise
    return guard
