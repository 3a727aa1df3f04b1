"""`Agent`: what a service makes once, and publishes its events to."""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any

from mql.host.greenlets import is_patched
from mql.host.native_threads import ARE_REAL
from mql.host.system import after_fork
from mql.wire.names import NAME_CHARACTERS_MAX, STREAMS_MAX, is_stream_name
from publish_agent.capture.event_buffer import Status
from publish_agent.capture.upstream_answer import Upstream
from publish_agent.protocol.agent_stats import Figures
from publish_agent.runtime.host_notes import NOTES, Line
from publish_agent.runtime.keys import read_keys
from publish_agent.runtime.late_imports import LATE_IMPORTS
from publish_agent.runtime.loading import is_loading
from publish_agent.runtime.pools import say_before_exit
from publish_agent.runtime.worker import EPOCH_NS, Worker
from publish_agent.screen.taker import CLOSED, Taker
from publish_agent.settings import Settings, read_settings
from publish_agent.stream import DatedEntry, Stream

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

MAX_REFUSED = 1_000
"""Names of streams that are refused, and remembered."""
_AGAIN_S = 5.0
"""After so long it is tried again to start."""
FLUSH_S = 0.5
"""So long a flush waits unless its caller says how long."""
_LATE = -10
"""The priority of the goodbye among the finalizers of a child: others may still publish before."""


class Agent:
    """Publishes a service's events to whoever asks for them.

    `source_jobs` are addresses such as `tcp://127.0.0.1:7766`; `tags` and `version` are told to
    queries as `e['_agent']`; `redact` names what must never leave; `key` and `server_key` are
    files of `mql keygen`. `cpu_share` (of a core), `memory` (bytes) and `bytes_per_s` are what the
    agent may cost; it samples to stay within. Arguments beat environment variables: `MQL_SERVICE`,
    `MQL_SOURCE_JOBS`, `MQL_VERSION`, `MQL_TAGS`, `MQL_REDACT`, `MQL_KEY`, `MQL_SERVER_KEY`,
    `MQL_CPU_SHARE`, `MQL_MEMORY`, `MQL_BYTES_PER_S`; `MQL_DISABLED=1` turns the agent off.

    Raises ValueError for settings that make no sense. Nothing later raises. The background thread
    starts with the first stream, and again in the child after a fork.
    """

    def __init__(  # noqa: PLR0913 - the settings
        self,
        service: str | None = None,
        source_jobs: str | Iterable[str] | None = None,
        *,
        host: str | None = None,
        version: str | None = None,
        tags: Mapping[str, str] | None = None,
        redact: Iterable[str] | None = None,
        buffer_events: int | None = None,
        buffer_bytes: int | None = None,
        cpu_share: float | None = None,
        memory: int | None = None,
        bytes_per_s: int | None = None,
        key: str | None = None,
        server_key: str | None = None,
    ) -> None:
        self._settings: Settings = read_settings(
            os.environ,
            service=service,
            source_jobs=source_jobs,
            host=_host() if host is None else host,
            version=version,
            tags=tags,
            redact=redact,
            buffer_events=buffer_events,
            buffer_bytes=buffer_bytes,
            cpu_share=cpu_share,
            memory=memory,
            bytes_per_s=bytes_per_s,
            key=key,
            server_key=server_key,
        )
        curve = self._settings.key, self._settings.server_key
        self._keys = read_keys(*curve) if curve[0] and curve[1] else None  # type: ignore[arg-type]
        self._streams: dict[str, Stream] = {}
        self._refused: dict[str, Stream] = {}
        self._nameless: Stream | None = None
        """Stands for all streams whose names are no text, once there was one."""
        self._worker: Worker | None = None
        self._turns: list[None] = [None]
        """Holds one turn to start the thread, which is taken and put back; no lock to wait for."""
        self._not_before_s = 0.0
        self._closed = False
        self._off = self._settings.disabled or not ARE_REAL
        if not ARE_REAL:
            NOTES.note(Line.NO_THREADS, "")
            NOTES.say_here(monotonic())
        _agents.add(self)

    def stream(self, name: str) -> Stream:
        """The stream of a name; keep it, and call its `publish`."""
        found = self._streams.get(name) if type(name) is str else None
        return self._find(name) if found is None else found

    def publish(self, stream: str, event: object) -> Status:
        """Offer an event to the queries that run now on a stream. Never blocks or raises."""
        found = self._streams.get(stream) if type(stream) is str else None
        return (self._find(stream) if found is None else found).publish(event)

    def lost(self, stream: str, number: int) -> None:
        """Say that so many events of a stream were lost before they could be published.

        The queries that run now are told so. Never blocks or raises.
        """
        self.stream(stream).lost(number)

    def relay(self, stream: str, name: str) -> Upstream:
        """Let a stream be the answer of another source job, which is missing by a name.

        This is for `JobSource`. Raises ValueError if the stream is such an answer already.
        """
        found = self.stream(stream)
        if found.upstream is not None:
            raise ValueError(f"{stream!r} is another answer already; make one more agent for this")
        found.upstream = Upstream(DatedEntry(found), name, self._wake, self._jobs, EPOCH_NS // 1000)
        return found.upstream

    def export_metrics(self, registry: CollectorRegistry | None = None) -> None:
        """Add this agent's metrics to a Prometheus registry, or to the usual one.

        Needs prometheus-client (`pip install prometheus-client`); raises ImportError without it.
        """
        from publish_agent.runtime.prometheus import register  # noqa: PLC0415 - most agents export nothing

        register(self._figures, registry)

    @property
    def connected(self) -> bool:
        """Whether at least one source job has welcomed this agent, and answers."""
        return self._figures().source_jobs > 0

    def flush(self, timeout_s: float = FLUSH_S) -> bool:
        """Send all that has been published; whether each source job that asks has it in time.

        For processes that end without `atexit`, by `os._exit`, or are frozen between two requests.
        Waits, unlike all else here. True at once where no query runs.
        """
        worker = self._worker
        if worker is None or not self._figures().queries:
            return True
        return worker.flush(timeout_s)

    def __repr__(self) -> str:
        figures = self._figures()
        if self._off:
            state = "off"
        elif self._closed:
            state = "closed"
        elif self._worker is None:
            state = "not begun, as it has no streams"
        elif not figures.source_jobs:
            state = "reaches no source job"
        else:
            state = f"connected to {figures.source_jobs}, {figures.queries} queries"
        where = ", ".join(self._settings.source_jobs)
        return f"<Agent {self._settings.service!r} of {where}: {state}>"

    def close(self) -> None:
        """Send what is left and stop, within half a second. Events are no longer taken."""
        self._end()
        worker = self._worker
        if worker is not None:
            worker.close()
        self._worker = None
        for stream in list(self._streams.values()):
            stream.taker = CLOSED

    def _end(self) -> None:
        """Begin to close; waits for nothing."""
        self._closed = True
        for stream in list(self._streams.values()):
            if stream.taker is None or stream.taker.lost is _nobody_is_there:
                stream.taker = CLOSED
        _agents.discard(self)
        if (worker := self._worker) is not None:
            worker.end()

    def _figures(self) -> Figures:
        worker = self._worker
        return Figures() if worker is None else worker.figures()

    def _wake(self) -> None:
        if (worker := self._worker) is not None:
            worker.wake()

    def _jobs(self) -> frozenset[str]:
        worker = self._worker
        return frozenset() if worker is None else worker.jobs()

    # Streams. A signal handler, a finalizer or another thread may come in between anywhere; nothing
    # here waits for anything, and all that is shared changes in one step of a dict or a list.

    def _find(self, name: object) -> Stream:
        """The stream of a name that is new, no exact text, or refused."""
        try:
            text = _text_of(name)
            if text is None:
                if self._nameless is None:
                    detail = f"a {type(name).__name__}"
                    self._nameless = self._refuse("", Line.BAD_NAME, detail)
                return self._nameless
            found = self._streams.get(text) or self._refused.get(text)
            return self._make(text) if found is None else found
        except Exception:  # noqa: BLE001 - there is no memory for it
            return _NONE

    def _make(self, name: str) -> Stream:
        """Make a stream, and start the thread if it does not run."""
        if len(self._streams) >= STREAMS_MAX:
            return self._refuse(name, Line.TOO_MANY_STREAMS, f"{name[:NAME_CHARACTERS_MAX]!r}")
        if not is_stream_name(name):
            return self._refuse(name, Line.BAD_NAME, f"{name[:NAME_CHARACTERS_MAX]!r}")
        made = Stream(name)
        made.begin(monotonic_ns())
        if self._worker is None and not self._off:
            made.taker = self._early(made)
        stream = self._streams.setdefault(name, made)
        self._begin()
        if self._closed:
            stream.taker = CLOSED
        return stream

    def _refuse(self, name: str, line: Line, detail: str) -> Stream:
        """Skip the events of a stream, and have the thread say so."""
        NOTES.note(line, detail)
        if self._worker is None:
            self._start()
        if len(name) > NAME_CHARACTERS_MAX or len(self._refused) >= MAX_REFUSED:
            return _NONE
        return self._refused.setdefault(name, Stream(name))

    # The thread

    def _begin(self) -> None:
        """Have the thread look at what there is; it starts with the first stream."""
        worker = self._worker
        if worker is None:
            self._start()
        else:
            worker.call()

    def _start(self) -> None:
        """Start the thread, unless that is done already, right now, or too soon."""
        turns = self._turns
        if self._off or self._closed or monotonic() < self._not_before_s or is_loading():
            return
        try:
            turns.pop()
        except IndexError:
            return
        try:
            if self._worker is None or not self._worker.has_begun:
                self._not_before_s = monotonic() + _AGAIN_S
                self._start_worker(turns)
        except Exception as error:  # noqa: BLE001 - the service has other worries, and none of ours
            NOTES.note(Line.CANNOT_START, repr(error))
        finally:
            turns.append(None)

    def _start_worker(self, turns: list[None]) -> None:
        if self._worker is not None:
            self._worker.stop()
        if is_patched():  # locks of imports are those of greenlets, and not for our thread
            with contextlib.suppress(ImportError):
                LATE_IMPORTS.load()
        begun = partial(say_before_exit, _at_exit)
        worker = Worker(self._settings, self._keys, self._streams, begun)
        if turns is not self._turns:  # a fork came in between: what was made is the parent's too
            _forsaken.append(worker)
            return
        self._worker = worker
        try:
            worker.start()
        except BaseException:
            self._worker = None
            raise
        if self._closed:
            worker.stop()

    def _early(self, stream: Stream) -> Taker:
        """What a stream has until there is a thread that knows of it."""

        def start_and_skip(event: object, /) -> Status:  # noqa: ARG001 - as an `EventTarget`
            self._start()
            return stream.skip()

        return Taker(start_and_skip, _nobody_is_there)

    def _after_fork(self) -> None:
        """In the child: the parent's thread and sockets are not ours. The first event begins."""
        _forsaken.append(self._worker)
        self._worker = None
        self._turns = [None]
        self._not_before_s = 0.0
        if not self._closed:
            for stream in list(self._streams.values()):
                stream.begin(monotonic_ns())
                stream.taker = None if self._off else self._early(stream)
                stream.peek = None
                stream.upstream = None  # the parent reads that answer


_NONE = Stream("")
"""Stands for all streams that there cannot be; what is published to it is skipped."""


def _text_of(name: object) -> str | None:
    """A name as an exact text, without any code of its own; None if it is no text."""
    return str.__str__(name) if issubclass(type(name), str) else None


def _host() -> str:
    """The name of this machine, if it has one that can be had."""
    with contextlib.suppress(Exception):
        return socket.gethostname()
    return ""


def _nobody_is_there(number: int) -> None:
    """It is not known yet whether a query runs."""


_agents: set[Agent] = set()
_forsaken: list[Worker | None] = []
"""A parent's workers, kept so that nothing of theirs is finalized in a child."""


def _after_fork() -> None:
    _hear_of_children()
    for agent in list(_agents):
        agent._after_fork()  # noqa: SLF001 - our own


def _after_fork_in_parent() -> None:
    for agent in list(_agents):
        if (worker := agent._worker) is not None:  # noqa: SLF001 - our own
            worker.rest()


def _at_exit() -> None:
    agents = list(_agents)
    for agent in agents:
        agent._end()  # noqa: SLF001 - our own: they take their time together
    for agent in agents:
        agent.close()
    NOTES.say_here(monotonic())


def _in_child(_: object) -> None:
    """In a child of multiprocessing, which ends without what is registered with `atexit`."""
    _pools().Finalize(None, _at_exit, exitpriority=_LATE)


def _pools() -> Any:
    """`multiprocessing.util`, where anything has imported it: a service without pools has not."""
    return sys.modules.get("multiprocessing.util")


_hears_of_children = False


def _hear_of_children() -> None:
    """Have children of multiprocessing call `_in_child`; asked in each child before they begin."""
    global _hears_of_children  # noqa: PLW0603 - children inherit it with what was registered
    pools = _pools()
    if pools is not None and not _hears_of_children:
        _hears_of_children = True
        pools.register_after_fork(_in_child, _in_child)


after_fork(_after_fork, in_parent=_after_fork_in_parent)
atexit.register(_at_exit)
# A child drops all finalizers when it is about to run, after it has imported the main module; and
# then calls what was registered so. Where this is imported only later, it has a parent by now.
_hear_of_children()
if _pools() is not None and sys.modules["multiprocessing.process"].parent_process() is not None:
    _in_child(None)
