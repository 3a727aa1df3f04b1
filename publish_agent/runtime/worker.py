"""The agent's background thread: it has the sockets and the clock, and calls the state."""

from __future__ import annotations

import contextlib
import math
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import zmq

from mql.host.last_signal import is_dying, let_die, wake_by_signal
from mql.host.native_threads import Cut, Event, Thread
from mql.host.system import socketpair
from publish_agent.protocol.agent_state import AgentState, Send
from publish_agent.protocol.agent_stats import Figures
from publish_agent.protocol.identity import Identity
from publish_agent.runtime.addresses import MAX_ADDRESSES, Addresses
from publish_agent.runtime.exit_order import ExitOrder
from publish_agent.runtime.flush import Flushes
from publish_agent.runtime.host_notes import NOTES, Line
from publish_agent.runtime.keys import Keys
from publish_agent.runtime.late_imports import LATE_IMPORTS
from publish_agent.runtime.memory_room import NoRoomError, check_memory, make_context
from publish_agent.runtime.reach import Reach
from publish_agent.runtime.resolver import Resolver
from publish_agent.runtime.rest import Rest
from publish_agent.runtime.sockets import Change, Sockets
from publish_agent.screen.taker import CLOSED
from publish_agent.settings import Settings
from publish_agent.stream import Stream

EPOCH_NS = time.time_ns() - time.monotonic_ns()
"""When the monotonic clock was 0, by the wall clock of the start."""
_LONGEST_WAIT_MS = 1_000
_LOOK_UP_US = 10_000_000
_PAUSE_S, _LONGEST_S = 0.5, 60.0
"""Before an agent that failed begins again: longer each time."""
_AGAIN_S = 5.0
"""After so long an agent for which there was no room looks again."""
LINGER_MS = 200
CLOSE_S = 0.4
_GOODBYE_S = 0.1
"""Of that, what is kept for the goodbye."""


@contextlib.contextmanager
def _all_but_cut() -> Iterator[None]:
    """Go on after whatever another thread of the host has raised in this one."""
    try:
        yield
    except Cut:
        raise
    except BaseException:  # noqa: BLE001 - SystemExit, too: it is not this thread that has to end
        return


class Worker:
    """A thread that runs an agent until it is closed.

    `streams` are the agent's, which any thread adds to. They are never taken away. `begun` is the
    first that its thread calls.
    """

    def __init__(
        self,
        settings: Settings,
        keys: Keys | None,
        streams: Mapping[str, Stream],
        begun: Callable[[], None],
    ) -> None:
        """Raises OSError where descriptors are short."""
        self._begun = begun
        self._settings = settings
        self._keys = keys
        self._streams = streams
        self._adopted = 0
        self._stop = Event()
        self._close_by_s = math.inf
        self._rest = Rest(streams)
        self._greet_by_s = -math.inf
        """Until when source jobs are still greeted that have not heard of new streams' events."""
        self._pause_s = _PAUSE_S
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._state: AgentState | None = None
        self._flushes = Flushes()
        self._exit_order = ExitOrder()
        self._reach = Reach(settings.source_jobs, time.monotonic())
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

    def jobs(self) -> frozenset[str]:
        """The random names of the source jobs that it has come to. From any thread."""
        state = self._state
        return frozenset() if state is None else state.jobs()

    def flush(self, timeout_s: float) -> bool:
        """Have all sent that has been published; whether source jobs say in time that it came."""
        flush = self._flushes.add()
        self.wake()
        return flush.wait(timeout_s)

    def stop(self) -> None:
        """Have it send what is left, say goodbye, and end."""
        self._stop.set()
        self.call()

    def rest(self) -> None:
        """Have it say goodbye until there is an event, or one more stream; if there is none soon.

        For a process that has forked: who loads an application for others publishes nothing.
        """
        self._rest.note_fork()

    def call(self) -> None:
        """Have it go on, if it rests. From any thread; waits for nothing."""
        self._rest.call()
        self.wake()

    def end(self) -> None:
        """Stop, but first tell of events that new streams had, within the time of a close."""
        self._close_by_s = min(self._close_by_s, time.monotonic() + CLOSE_S)
        self._greet_by_s = self._close_by_s - _GOODBYE_S
        self.stop()

    def close(self) -> None:
        """End, and wait for that; no longer than half a second, whatever happens."""
        self.end()
        if not self._thread.is_current():
            self._thread.join(max(0.0, self._close_by_s - time.monotonic()))

    def _run(self) -> None:
        try:
            self._begun()
            goes_on = not self._stop.is_set() or self._owes()
            while goes_on:
                has_rested = False
                with _all_but_cut():
                    pause_s = _LONGEST_S
                    with contextlib.suppress(Exception):  # no memory even to say so
                        pause_s = self._live()
                        if self._rest.is_on:
                            self._rest.wait(self._adopted)
                            self._let_go()
                            pause_s, has_rested = 0.0, True
                    self._stop.wait(pause_s)
                goes_on = not self._stop.is_set() or (has_rested and self._owes())
        finally:
            try:
                self._end_context()
            finally:  # also where that is cut short
                self._let_go()
                self._reach.close()
                let_die(self._writer.fileno())
                self._reader.close()
                self._writer.close()

    def _end_context(self) -> None:
        """Close all sockets: one that is left open would keep the process from its exit."""
        if self._context is None:
            return
        try:
            self._context.destroy(self._linger_ms())
        except Exception:  # noqa: BLE001 - what is left is closed at once
            self._context.destroy(0)

    def _linger_ms(self) -> int:
        left_s = self._close_by_s - time.monotonic()
        return int(max(0.0, min(left_s * 1_000, LINGER_MS)))

    def _live(self) -> float:
        """Run until it is stopped or fails. Gives the pause before the next time."""
        began_s = time.monotonic()
        try:
            self._begin()
        except NoRoomError as error:
            if self._stop.is_set():  # at exit there is no thread to be had
                return _AGAIN_S
            NOTES.note(Line.NO_ROOM, str(error))
            return _AGAIN_S
        except Exception:  # noqa: BLE001 - a host never hears of our bugs, but in its log
            NOTES.note(Line.BEGAN_AGAIN, traceback.format_exc())
            long_ago = time.monotonic() - began_s > _LONGEST_S
            self._pause_s = _PAUSE_S if long_ago else min(self._pause_s * 2, _LONGEST_S)
        finally:
            self._let_go()
            NOTES.say(time.monotonic())
            if not self._stop.is_set():
                let_die(self._writer.fileno())
        return self._pause_s

    def _begin(self) -> None:
        check_memory(self._settings.memory)
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
        identity = Identity(os.urandom(8).hex(), os.getpid(), os.urandom(16).hex())
        state = AgentState(
            self._settings,
            identity,
            time.monotonic_ns,
            epoch_ns=EPOCH_NS,
            cpu_ns=time.thread_time_ns,
            is_new=self._state is None,
            load=partial(LATE_IMPORTS.load, self._is_over),
        )
        self._state, self._adopted = state, 0
        resolver, addresses = Resolver(self._settings.source_jobs, self.wake), Addresses()
        sockets.wake_by(self._reader.fileno())
        wake_by_signal(self._writer.fileno())
        look_up_us = 0
        while True:
            if is_dying() and not self._stop.is_set():
                self.end()
            if self._stop.is_set():
                state.end()
            elif self._rest.is_due():
                _send(state.flush(_now_us()), state, sockets)  # which counts all that there was
                if self._rest.begin_unless_used(state):
                    break
            now_us = _now_us()
            if not look_up_us or abs(now_us - look_up_us) > _LOOK_UP_US:
                look_up_us = now_us
                resolver.look_up()
            check_memory(self._settings.memory)
            reach(resolver, addresses, state, sockets)
            self._step(state, sockets)
            self._tell_reach(state, sockets)
            NOTES.say(time.monotonic())
            is_reaching = resolver.is_first or sockets.are_reaching
            if self._stop.is_set() and not self._is_to_greet(state, is_reaching=is_reaching):
                break
            wait_us = state.next_wake_us() - _now_us()
            sockets.wait(max(0, min(-(-wait_us // 1000), self._longest_wait_ms())))
        taker = None if self._rest.is_on else CLOSED
        _send(state.goodbye(_now_us(), taker), state, sockets)
        if self._rest.is_on:
            self._state = None

    def _is_over(self) -> bool:
        """Whether it is being closed, or its process is about to die; from any thread."""
        return self._stop.is_set() or is_dying()

    def _owes(self) -> bool:
        """Whether it is being closed, and there were events while nobody asked."""
        in_time = time.monotonic() < self._greet_by_s
        return in_time and any(stream.unseen() > 0 for stream in list(self._streams.values()))

    def _is_to_greet(self, state: AgentState, *, is_reaching: bool) -> bool:
        """Whether a source job may yet ask for events, or learn how many it has missed."""
        return self._owes() and (is_reaching or state.owes())

    def _longest_wait_ms(self) -> int:
        if not self._stop.is_set():
            return _LONGEST_WAIT_MS
        return max(0, int((self._greet_by_s - time.monotonic()) * 1_000) + 1)

    def _step(self, state: AgentState, sockets: Sockets) -> None:
        if sockets.is_ready(self._reader.fileno()):
            self._reader.recv(4096)
        self._adopt(state)
        for link, change in sockets.changes():
            match change:
                case Change.UP:
                    _send(state.connect(link, _now_us()), state, sockets)
                case Change.DOWN:
                    state.disconnect(link, _now_us())
                case Change.REFUSED_BY_KEY:
                    NOTES.note(Line.REFUSED_BY_KEY, sockets.endpoint_of(link))
                case Change.OTHER_KEYS:
                    NOTES.note(Line.OTHER_KEYS, sockets.endpoint_of(link))
        for link, frames in sockets.messages():
            _send(state.receive(link, frames, _now_us()), state, sockets)
        sends = state.tick(_now_us())
        _send(sends, state, sockets)
        _send(self._flushes.serve(state, _now_us), state, sockets)
        batches = sum(len(send.frames) > 1 for send in sends)
        self._exit_order.note(state.queries.accepted, batches)

    def _tell_reach(self, state: AgentState, sockets: Sockets) -> None:
        if not self._reach.is_over:
            told = self._reach.look(
                time.monotonic(), is_reached=bool(state.jobs()), endpoints=sockets.endpoints()
            )
            if told is not None:
                NOTES.note(Line.REACHES_NOBODY, told)

    def _adopt(self, state: AgentState) -> None:
        """Offer the streams that are new."""
        if len(self._streams) > self._adopted:
            for stream in list(self._streams.values())[self._adopted :]:
                if not self._stop.is_set():
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
    return (time.monotonic_ns() + EPOCH_NS) // 1000
