"""The agent's background thread: it has the sockets and the clock, and calls the state."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import threading
import time
from collections import deque

from publish_agent.figures import Figures
from publish_agent.identity import Identity
from publish_agent.keys import Keys
from publish_agent.running import planned
from publish_agent.scratch import keep_scratch
from publish_agent.settings import Settings
from publish_agent.sockets import Change, Resolver, Sockets
from publish_agent.state import AgentState, Send
from publish_agent.stream import CLOSED, Stream

_log = logging.getLogger("publish_agent")

_EPOCH_NS = time.time_ns() - time.monotonic_ns()
_LONGEST_WAIT_MS = 1_000
_LOOK_UP_US = 10_000_000
_PAUSE_S, _LONGEST_S = 0.5, 60.0
"""Before an agent that failed begins anew: longer each time."""
LINGER_MS = 200
CLOSE_S = 0.4


class Worker:
    """A thread that runs an agent until it is closed."""

    def __init__(self, settings: Settings, keys: Keys | None) -> None:
        self._settings = settings
        self._keys = keys
        self._new: deque[Stream] = deque()
        self._all: list[Stream] = []
        self._stop = threading.Event()
        self._state: AgentState | None = None
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="mql-agent", daemon=True)

    def start(self) -> None:
        """Begin. Raises RuntimeError where no thread can be started."""
        try:
            self._thread.start()
        except RuntimeError:
            self._reader.close()
            self._writer.close()
            raise

    def offer(self, stream: Stream) -> None:
        """Offer one more stream. From any thread."""
        self._all.append(stream)
        self._new.append(stream)
        self._wake()

    def figures(self) -> Figures:
        """The agent in numbers. From any thread."""
        state = self._state
        return Figures() if state is None else state.figures()

    def close(self) -> None:
        """Send what is left, say goodbye, and end; within half a second, whatever happens."""
        self._stop.set()
        self._wake()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(CLOSE_S)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it will wake anyway; closed: it has ended
            self._writer.send(b"\0")

    def _run(self) -> None:
        pause_s = _PAUSE_S
        keep_scratch()
        while not self._stop.is_set():
            sockets, began_s = None, time.monotonic()
            try:
                planned("select a from s where b == 1", "")  # or the first query waits for this
                sockets = Sockets(self._keys)
                self._loop(sockets)
            except Exception:  # noqa: BLE001 - a host never hears of our bugs, but in its log
                _log.exception("the agent begins anew")
                self._new.extend(self._all)
                pause_s = _PAUSE_S if time.monotonic() - began_s > _LONGEST_S else pause_s * 2
                pause_s = min(pause_s, _LONGEST_S)
            finally:
                for stream in self._all:
                    stream.taker = CLOSED if self._stop.is_set() else None
                    stream.peek = None
                if sockets is not None:
                    sockets.close(LINGER_MS)
            self._stop.wait(pause_s)
        self._reader.close()
        self._writer.close()

    def _loop(self, sockets: Sockets) -> None:
        identity = Identity(secrets.token_hex(8), os.getpid(), secrets.token_hex(16))
        state = AgentState(
            self._settings,
            identity,
            time.monotonic_ns,
            epoch_ns=_EPOCH_NS,
            cpu_ns=time.thread_time_ns,
        )
        self._state = state
        resolver = Resolver(self._settings.source_jobs, self._wake)
        sockets.wake_by(self._reader.fileno())
        look_up_us = 0
        while not self._stop.is_set():
            now_us = _now_us()
            if not look_up_us or (resolver.needed and abs(now_us - look_up_us) > _LOOK_UP_US):
                look_up_us = now_us
                resolver.look_up()
            self._step(state, sockets, resolver)
            wait_us = state.next_wake_us() - _now_us()
            if not self._stop.is_set():
                sockets.wait(max(0, min(-(-wait_us // 1000), _LONGEST_WAIT_MS)))
        _send(state.goodbye(_now_us()), state, sockets)

    def _step(self, state: AgentState, sockets: Sockets, resolver: Resolver) -> None:
        if sockets.is_ready(self._reader.fileno()):
            self._reader.recv(4096)
        while resolver.found:
            sockets.connect(resolver.found.popleft())
        while self._new:
            state.adopt(self._new.popleft())
        for link, change in sockets.changes():
            if change is Change.UP:
                _send(state.connect(link, _now_us()), state, sockets)
            else:
                state.disconnect(link, _now_us())
        for link, frames in sockets.messages():
            _send(state.receive(link, frames, _now_us()), state, sockets)
        _send(state.tick(_now_us()), state, sockets)


def _send(sends: list[Send], state: AgentState, sockets: Sockets) -> None:
    for send in sends:
        if not sockets.send(send):
            state.unsent(send)


def _now_us() -> int:
    """The wall clock of the start and the time since: the agent's clock, which nobody can set."""
    return (time.monotonic_ns() + _EPOCH_NS) // 1000
