"""The shell of a source job: two sockets, a clock, and a loop around the state.

Without keys it binds to this machine alone; with keys it lets in only those whose public keys are
in its allow-lists, and only as long as they are.
"""

from __future__ import annotations

import logging
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

import zmq
import zmq.auth.thread

import mql
from mql.host.connections import keep_alive
from mql.wire.codec import MAX_HEADER, MAX_PAYLOAD
from source_jobs.clock import Clock
from source_jobs.helper import Helper
from source_jobs.inbox import Letter
from source_jobs.protocol.job_state import JobState
from source_jobs.protocol.outbox import Send, Side
from source_jobs.query.live_query import Question
from source_jobs.reception import Reception
from source_jobs.security.addresses import check_addresses
from source_jobs.security.allow_list import AllowList
from source_jobs.security.connections import Door
from source_jobs.security.key_shares import Crowd
from source_jobs.security.keys import KeyPair, load_pair
from source_jobs.security.newcomers import STRANGERS_MAX, Threshold
from source_jobs.settings import Settings

AGENTS = "tcp://127.0.0.1:7766"
CLIENTS = "tcp://127.0.0.1:7767"

_LONGEST_POLL_MS = 100
_HELPED_POLL_MS = 5
"""So soon what a helper has done is taken."""
_LINGER_MS = 200
_ALLOWED_US = 1_000_000
"""So often the allow-lists are looked at."""
_FRAME_BYTES, _SLACK_BYTES = 2 * MAX_HEADER, 1 << 10
"""A longer frame ends the connection before it is read; one too long for a header is answered."""
_WAITING_MESSAGES, _UNREAD_MESSAGES = 10_000, 10
"""So many wait for a peer, and so many of one that have not been read: the rest stays with it."""
_SILENCE_S = 15.0
"""A connection over which nothing comes through for so long is none any more."""
_HANDSHAKE_MS = 2_000
"""A connection on which no greeting comes is given up: its peer tries again."""
_THREADS = {Side.AGENT: 0b01, Side.CLIENT: 0b10}
"""Of ZeroMQ: while it decrypts what one side sends, the other is not held up."""

_log = logging.getLogger("source_jobs")
_Take = Callable[[bytes, Sequence[bytes], int, bytes], list[Send]]


class SourceJob:
    """A source job that listens at two addresses from the moment it is made.

    `keys` is the source job's pair, or its secret file; with it `allow_agents` and
    `allow_clients` are directories of public keys, and `strangers_max` is how many connections of
    each side may have said nothing yet. `insecure` allows to listen to other machines without keys.
    Raises ValueError where the settings do not fit, OSError where an address is taken. `run` serves
    in this thread, `start` in one of its own; `stop` ends either, and a job
    that does neither.
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
        strangers_max: int = STRANGERS_MAX,
    ) -> None:
        allowed = {Side.AGENT: allow_agents, Side.CLIENT: allow_clients}
        check_addresses((agents, clients), keys, tuple(allowed.values()), insecure=insecure)
        pair = load_pair(keys) if isinstance(keys, str | Path) else keys
        self._clock = Clock()
        self._stopping = threading.Event()
        self._open = [True]  # whoever takes that out closes the sockets, also in a signal handler
        self._thread: threading.Thread | None = None
        self._context = zmq.Context(io_threads=2)
        self._guard: zmq.auth.thread.ThreadAuthenticator | None = None
        self._doors: dict[Side, Door] = {}
        self._crowd = Crowd()
        self._planner: Helper[Question] = Helper("source job planner")
        self._worker: Helper[tuple[object, int]] = Helper("source job worker")
        self._look_us = 0
        self._sockets: dict[Side, zmq.Socket[bytes]] = {}
        self._addresses: dict[Side, str] = {}
        self._receptions: dict[Side, Reception] = {}
        settings = settings or Settings(secrets.token_hex(8))
        longest = {
            Side.AGENT: max(_FRAME_BYTES, min(settings.agent_credit, MAX_PAYLOAD)),
            Side.CLIENT: _FRAME_BYTES,
        }
        try:
            if pair is not None:
                self._doors = {s: Door(AllowList(d)) for s, d in allowed.items() if d is not None}
                self._guard = _guard(self._context, self._doors)
            for side, address in ((Side.AGENT, agents), (Side.CLIENT, clients)):
                self._sockets[side] = self._bind(side, address, pair, longest[side])
                door = self._doors.get(side)
                self._receptions[side] = Reception(self._sockets[side], door, self._clock)
                endpoint = self._sockets[side].getsockopt(zmq.LAST_ENDPOINT)
                assert isinstance(endpoint, bytes)
                self._addresses[side] = endpoint.rstrip(b"\0").decode()
                if door is not None:
                    few = min(strangers_max, self._crowd.strangers_max)
                    door.threshold = Threshold(self._sockets[side], self._crowd, few)
        except BaseException:
            self._close()
            raise
        name, port = secrets.token_hex(8), self.clients_address.rpartition(":")[2]
        shown = f"{platform.node()}:{port}"
        settings = replace(settings, name=name, version=mql.__version__, shown=shown)
        self.state = JobState(
            settings,
            Random(secrets.randbits(64)),  # noqa: S311 - of samples
            self._planner,
            self._worker,
            lambda: time.thread_time_ns() // 1_000,
        )

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
        if not self._takes_over():
            return  # it was stopped before
        takers = {
            Side.AGENT: partial(self._take, self.state.from_agent),
            Side.CLIENT: partial(self._take, self.state.from_client),
        }
        poller = zmq.Poller()
        for socket in self._sockets.values():
            poller.register(socket, zmq.POLLIN)
        try:
            while not self._stopping.is_set():
                ready = dict(poller.poll(self._poll_ms()))
                for side, socket in self._sockets.items():
                    if socket in ready or self._receptions[side].inbox:
                        self._receptions[side].receive(takers[side])
                self._look_at_the_doors()
                self.state.note_clock(slews=self._clock.slews)
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
        if self._takes_over():
            self._close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _bind(
        self, side: Side, address: str, pair: KeyPair | None, longest: int
    ) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.ROUTER)
        socket.affinity = _THREADS[side]
        socket.linger = _LINGER_MS
        socket.maxmsgsize = longest + _SLACK_BYTES
        socket.sndhwm, socket.rcvhwm = _WAITING_MESSAGES, _UNREAD_MESSAGES
        keep_alive(socket, _SILENCE_S)
        socket.handshake_ivl = _HANDSHAKE_MS
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
        if any(each.inbox for each in self._receptions.values()):
            return 0
        wait_us = self.state.next_wake_us() - self._clock.now_us()
        is_helped = self._planner.is_busy or self._worker.is_busy
        longest_ms = _HELPED_POLL_MS if is_helped else _LONGEST_POLL_MS
        return max(0, min(longest_ms, -(-wait_us // 1000)))

    def _take(self, take: _Take, letter: Letter, now_us: int) -> None:
        self._guarded(lambda: take(letter.peer, letter.frames, now_us, letter.key))

    def _look_at_the_doors(self) -> None:
        """Shut out those whose keys are no longer on the allow-lists, and strangers that crowd."""
        for door in self._doors.values():
            if door.threshold is not None:
                door.threshold.look()
        now_us = self._clock.now_us()
        if now_us < self._look_us:
            return
        self._look_us = now_us + _ALLOWED_US
        self._crowd.tell()
        for reception in self._receptions.values():
            reception.tell()
        for side, door in self._doors.items():
            door.allowed.tell()
            if door.refresh():
                _log.info("keys of %ss were revoked", side)
                allowed = door.allowed.keys
                self._receptions[side].keep(allowed)
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

    def _takes_over(self) -> bool:
        """Whether closing the sockets is the caller's from now on."""
        with suppress(IndexError):
            return self._open.pop()
        return False

    def _close(self) -> None:
        self._planner.close()
        self._worker.close()
        for door in self._doors.values():
            if door.threshold is not None:
                door.threshold.close()
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
