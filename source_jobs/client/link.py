"""The thread that has a client's socket: feeds the core, and does what it says."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence

import zmq

from mql.host.connections import keep_alive
from mql.host.greetings import FAILED, is_refusal
from mql.host.host_log import log_apart
from mql.host.native_threads import Thread
from mql.host.socket_monitor import event_of
from mql.host.system import socketpair
from source_jobs.client.actions import Action, Deliver, Reply, Transmit
from source_jobs.client.client_state import ClientState
from source_jobs.client.mailbox import Mailbox
from source_jobs.security.keys import KeyPair

Command = Callable[[int], Sequence[Action]]

_AT_ONCE = 256
"""Messages that are taken before wishes get their turn."""

_REFUSED = "refused by key: this one is not among the keys that the source job lets in"
_OTHER_KEYS = "the handshake failed: it wants keys (--key, --server-key), or other ones than these"

_REFUSED_US = 1_000_000
"""After so long who was not let in tries again, which ZeroMQ by itself does not."""

_SILENCE_S = 6.0
"""A connection over which nothing comes for so long is made anew."""

_ASLEEP_US = 2_000_000
"""Who has not looked for so long was stopped, and has yet to read what came."""

_log = logging.getLogger("source_jobs")


class Link:
    """Runs a `ClientState` over a socket, in a thread of its own."""

    def __init__(
        self,
        address: str,
        state: ClientState,
        deliver: Callable[[Deliver | Reply], None],
        keys: tuple[KeyPair, bytes] | None = None,
    ) -> None:
        """Connect. Raises ValueError if the address is none."""
        self._state = state
        self._deliver = deliver
        self._commands: deque[Command] = deque()
        self._gone: Mailbox[None] = Mailbox()
        self._wake, self._waker = socketpair()
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        events = FAILED | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        self._monitor = self._socket.get_monitor_socket(events)
        self._address = address
        self._knock_us: int | None = None
        self._heard_us = self._looked_us = 0
        self._closing = False
        try:
            self._connect(address, keys)
        except (zmq.ZMQError, TypeError) as error:
            self._close_sockets()
            raise ValueError(
                f"{address!r} is no address such as tcp://host:7767 ({error})"
            ) from None
        self._thread = Thread(self._run, "mql-client")
        self._thread.start()

    def post(self, command: Command) -> None:
        """Have a command run in the thread; never waits, also in a signal handler."""
        self._commands.append(command)
        with contextlib.suppress(OSError):
            self._waker.send(b"!")

    def close(self, timeout_s: float = 1.0) -> None:
        """Say what is left to be said, and end the thread."""

        def close(_now_us: int) -> Sequence[Action]:
            self._closing = True
            return self._state.close()

        self.post(close)
        with contextlib.suppress(TimeoutError):
            self._gone.get(timeout_s)
            self._thread.join(timeout_s)

    def _connect(self, address: str, keys: tuple[KeyPair, bytes] | None) -> None:
        options = {
            zmq.LINGER: 200,
            zmq.IMMEDIATE: 1,  # while nobody is there, nothing piles up
            zmq.RECONNECT_IVL: 100,
            zmq.RECONNECT_IVL_MAX: 1_000,
            zmq.HANDSHAKE_IVL: 2_000,
            zmq.CONNECT_TIMEOUT: 1_500,
            zmq.SNDHWM: 10_000,
            zmq.RCVHWM: 0,  # credit bounds what comes
            zmq.IPV6: 1,
        }
        for option, value in options.items():
            self._socket.setsockopt(option, value)
        keep_alive(self._socket, _SILENCE_S)
        if keys is not None:
            own, server = keys
            self._socket.curve_publickey, self._socket.curve_secretkey = own.public, own.secret
            self._socket.curve_serverkey = server
        self._socket.connect(address)

    def _run(self) -> None:
        poller = zmq.Poller()
        for each in (self._socket, self._monitor, self._wake):
            poller.register(each, zmq.POLLIN)
        try:
            while not self._closing:
                wait_us = self._state.next_wake_us() - _now_us()
                poller.poll(max(0, wait_us // 1_000 + 1))
                self._turn()
        except Exception as error:  # noqa: BLE001 - a bug of ours must not leave readers waiting
            log_apart(_log, logging.ERROR, "the client's thread ended", error=error)
            self._do(self._state.close())
        finally:
            self._close_sockets()
            self._gone.put(None)

    def _turn(self) -> None:
        """Take what has come and been wished, then what time brings."""
        with contextlib.suppress(OSError):
            self._wake.recv(4_096)
        with contextlib.suppress(zmq.Again):
            while True:
                self._note(*event_of(self._monitor.recv_multipart(zmq.NOBLOCK)))
        if self._knock_us is not None and _now_us() >= self._knock_us:
            self._knock_again()
        while self._commands:
            self._do(self._commands.popleft()(_now_us()))
        with contextlib.suppress(zmq.Again):
            for _ in range(_AT_ONCE):
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
                self._heard_us = _now_us()
                self._do(self._state.receive(frames, _now_us()))
        self._look_for_silence()
        self._do(self._state.tick(_now_us()))

    def _note(self, event: int, value: int) -> None:
        """Take what the socket says of its connection."""
        self._state.linked = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
        if self._state.linked:
            self._knock_us = None  # ZeroMQ has tried again by itself
            self._heard_us = _now_us()
            self._state.refused = ""
        elif event != zmq.EVENT_DISCONNECTED:
            if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self._state.refused = _REFUSED
            if is_refusal(event, value):
                self._state.trouble = self._state.refused or _OTHER_KEYS
            self._knock_us = _now_us() + _REFUSED_US

    def _look_for_silence(self) -> None:
        """Have a connection made anew over which nothing comes, but while nobody looked."""
        before_us, self._looked_us = self._looked_us, _now_us()
        if self._looked_us - before_us > _ASLEEP_US:
            self._heard_us = self._looked_us
        if self._state.linked and self._looked_us - self._heard_us > _SILENCE_S * 1_000_000:
            self._knock_again()

    def _knock_again(self) -> None:
        self._knock_us, self._state.linked = None, False
        with contextlib.suppress(zmq.ZMQError):  # it has no connection any more
            self._socket.disconnect(self._address)
        self._socket.connect(self._address)

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Transmit(frames):
                    # What cannot be sent now is asked again when there is a connection.
                    with contextlib.suppress(zmq.Again):
                        self._socket.send_multipart(frames, zmq.NOBLOCK)
                case Deliver() | Reply():
                    self._deliver(action)

    def _close_sockets(self) -> None:
        with contextlib.suppress(zmq.ZMQError):
            self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close()
        self._context.term()
        self._wake.close()
        self._waker.close()


def _now_us() -> int:
    return time.monotonic_ns() // 1_000
