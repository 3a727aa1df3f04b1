"""The agent's background thread: it has the sockets and the clock, and calls the state."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import time
import traceback
from _socket import socketpair
from collections.abc import Mapping

import zmq

from mql.native_threads import Event, Thread
from publish_agent.addresses import MAX_ADDRESSES, Addresses
from publish_agent.figures import Figures
from publish_agent.identity import Identity
from publish_agent.keys import Keys
from publish_agent.notes import NOTES, Line
from publish_agent.resolver import Resolver
from publish_agent.room import NoRoomError, check_memory, make_context
from publish_agent.running import planned
from publish_agent.scratch import keep_scratch
from publish_agent.settings import Settings
from publish_agent.sockets import Change, Sockets
from publish_agent.state import AgentState, Send
from publish_agent.stream import CLOSED, Stream

_EPOCH_NS = time.time_ns() - time.monotonic_ns()
_LONGEST_WAIT_MS = 1_000
_LOOK_UP_US = 10_000_000
_PAUSE_S, _LONGEST_S = 0.5, 60.0
"""Before an agent that failed begins again: longer each time."""
_AGAIN_S = 5.0
"""After so long an agent for which there was no room looks again."""
LINGER_MS = 200
CLOSE_S = 0.4


class Worker:
    """A thread that runs an agent until it is closed.

    `streams` are the agent's, which any thread adds to. They are never taken away.
    """

    def __init__(
        self, settings: Settings, keys: Keys | None, streams: Mapping[str, Stream]
    ) -> None:
        """Raises OSError where descriptors are short."""
        self._settings = settings
        self._keys = keys
        self._streams = streams
        self._adopted = 0
        self._stop = Event()
        self._close_by_s = math.inf
        self._pause_s = _PAUSE_S
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._state: AgentState | None = None
        self._reader, self._writer = socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._thread = Thread(self._run, "mql-agent")

    def start(self) -> None:
        """Begin. Raises RuntimeError or MemoryError where no thread can be started."""
        try:
            self._thread.start()
        except BaseException:
            self._reader.close()
            self._writer.close()
            raise

    @property
    def has_begun(self) -> bool:
        """Whether its thread ever ran."""
        return self._thread.has_begun

    def wake(self) -> None:
        """Have it look at what there is. From any thread; waits for nothing."""
        with contextlib.suppress(OSError):  # full: it will wake anyway; closed: it has ended
            self._writer.send(b"\0")

    def figures(self) -> Figures:
        """The agent in numbers. From any thread."""
        state = self._state
        return Figures() if state is None else state.figures()

    def stop(self) -> None:
        """Have it send what is left, say goodbye, and end."""
        self._stop.set()
        self.wake()

    def close(self) -> None:
        """Stop, and wait for that; no longer than half a second, whatever happens."""
        self._close_by_s = min(self._close_by_s, time.monotonic() + CLOSE_S)
        self.stop()
        if not self._thread.is_current():
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                pause_s = _LONGEST_S
                with contextlib.suppress(Exception):  # no memory even to say so
                    pause_s = self._live()
                self._stop.wait(pause_s)
        finally:
            if self._context is not None:
                self._context.destroy(self._linger_ms())
            self._let_go()
            self._reader.close()
            self._writer.close()

    def _linger_ms(self) -> int:
        left_s = self._close_by_s - time.monotonic()
        return int(max(0.0, min(left_s * 1_000, LINGER_MS)))

    def _live(self) -> float:
        """Run until it is stopped or fails. Gives the pause before the next time."""
        began_s = time.monotonic()
        try:
            self._begin()
        except NoRoomError as error:
            NOTES.note(Line.NO_ROOM, str(error))
            return _AGAIN_S
        except Exception:  # noqa: BLE001 - a host never hears of our bugs, but in its log
            NOTES.note(Line.BEGAN_AGAIN, traceback.format_exc())
            long_ago = time.monotonic() - began_s > _LONGEST_S
            self._pause_s = _PAUSE_S if long_ago else min(self._pause_s * 2, _LONGEST_S)
        finally:
            self._let_go()
            NOTES.say(time.monotonic())
        return self._pause_s

    def _begin(self) -> None:
        check_memory(self._settings.memory)
        keep_scratch()
        planned("select a from s where b == 1", "")  # or the first query waits for this
        if self._context is None:
            self._context = make_context(self._settings.memory)
        sockets = Sockets(self._keys, self._context)
        try:
            self._loop(sockets)
        finally:
            sockets.close(self._linger_ms())

    def _let_go(self) -> None:
        """Take no more events from any stream, for now or for ever."""
        for stream in list(self._streams.values()):
            stream.taker = CLOSED if self._stop.is_set() else None
            stream.peek = None

    def _loop(self, sockets: Sockets) -> None:
        identity = Identity(secrets.token_hex(8), os.getpid(), secrets.token_hex(16))
        state = AgentState(
            self._settings,
            identity,
            time.monotonic_ns,
            epoch_ns=_EPOCH_NS,
            cpu_ns=time.thread_time_ns,
        )
        self._state, self._adopted = state, 0
        resolver, addresses = Resolver(self._settings.source_jobs, self.wake), Addresses()
        sockets.wake_by(self._reader.fileno())
        look_up_us = 0
        while not self._stop.is_set():
            now_us = _now_us()
            if not look_up_us or abs(now_us - look_up_us) > _LOOK_UP_US:
                look_up_us = now_us
                resolver.look_up()
            check_memory(self._settings.memory)
            reach(resolver, addresses, state, sockets)
            self._step(state, sockets)
            NOTES.say(time.monotonic())
            wait_us = state.next_wake_us() - _now_us()
            if not self._stop.is_set():
                sockets.wait(max(0, min(-(-wait_us // 1000), _LONGEST_WAIT_MS)))
        _send(state.goodbye(_now_us()), state, sockets)

    def _step(self, state: AgentState, sockets: Sockets) -> None:
        if sockets.is_ready(self._reader.fileno()):
            self._reader.recv(4096)
        self._adopt(state)
        for link, change in sockets.changes():
            if change is Change.UP:
                _send(state.connect(link, _now_us()), state, sockets)
            else:
                state.disconnect(link, _now_us())
        for link, frames in sockets.messages():
            _send(state.receive(link, frames, _now_us()), state, sockets)
        _send(state.tick(_now_us()), state, sockets)

    def _adopt(self, state: AgentState) -> None:
        """Offer the streams that are new."""
        if len(self._streams) > self._adopted:
            for stream in list(self._streams.values())[self._adopted :]:
                stream.taker = None
                state.adopt(stream)
                self._adopted += 1


def reach(resolver: Resolver, addresses: Addresses, state: AgentState, sockets: Sockets) -> None:
    """Connect to the addresses that have been found, and let go those that are no more."""
    while resolver.found:
        name, given = resolver.found.popleft()
        changes = addresses.take(
            name, given, time.monotonic(), lambda at: state.answers(sockets.link_of(at))
        )
        for endpoint in changes.gone:
            state.forget(sockets.disconnect(endpoint))
        for endpoint in changes.new:
            if not sockets.connect(endpoint):
                addresses.drop(endpoint)
        if changes.surplus:
            detail = f"{name} gives {changes.surplus} more than the {MAX_ADDRESSES} in use"
            NOTES.note(Line.TOO_MANY_ADDRESSES, detail)


def _send(sends: list[Send], state: AgentState, sockets: Sockets) -> None:
    for send in sends:
        if not sockets.send(send):
            state.unsent(send)


def _now_us() -> int:
    """The wall clock of the start and the time since: the agent's clock, which nobody can set."""
    return (time.monotonic_ns() + _EPOCH_NS) // 1000
