"""`Agent`: what a service makes once, and publishes its events to."""

from __future__ import annotations

import atexit
import multiprocessing
import multiprocessing.util
import os
import socket
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import TYPE_CHECKING

from mql.native_threads import ARE_REAL
from publish_agent.figures import Figures
from publish_agent.intake import Status
from publish_agent.keys import read_keys
from publish_agent.notes import NOTES, Line
from publish_agent.queries import MAX_NAME, MAX_STREAMS, is_stream_name
from publish_agent.settings import Settings, read_settings
from publish_agent.stream import CLOSED, Stream, Taker
from publish_agent.worker import Worker

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

MAX_REFUSED = 1_000
"""Names of streams that are refused, and remembered."""
_AGAIN_S = 5.0
"""After so long it is tried again to start."""
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
            host=socket.gethostname() if host is None else host,
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

    def export_metrics(self, registry: CollectorRegistry | None = None) -> None:
        """Add this agent's metrics to a Prometheus registry, or to the usual one.

        Needs prometheus-client (`pip install prometheus-client`); raises ImportError without it.
        """
        from publish_agent.metrics import register  # noqa: PLC0415 - most agents export nothing

        register(self._figures, registry)

    def close(self) -> None:
        """Send what is left and stop, within half a second. Events are no longer taken."""
        self._closed = True
        for stream in list(self._streams.values()):
            if stream.taker is None or stream.taker.lost is _nobody_is_there:
                stream.taker = CLOSED
        _agents.discard(self)
        worker = self._worker
        if worker is not None:
            worker.close()
        self._worker = None
        for stream in list(self._streams.values()):
            stream.taker = CLOSED

    def _figures(self) -> Figures:
        worker = self._worker
        return Figures() if worker is None else worker.figures()

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
        if len(self._streams) >= MAX_STREAMS:
            return self._refuse(name, Line.TOO_MANY_STREAMS, f"{name[:MAX_NAME]!r}")
        if not is_stream_name(name):
            return self._refuse(name, Line.BAD_NAME, f"{name[:MAX_NAME]!r}")
        made = Stream(name)
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
        if len(name) > MAX_NAME or len(self._refused) >= MAX_REFUSED:
            return _NONE
        return self._refused.setdefault(name, Stream(name))

    # The thread

    def _begin(self) -> None:
        """Have the thread look at what there is; it starts with the first stream."""
        worker = self._worker
        if worker is None:
            self._start()
        else:
            worker.wake()

    def _start(self) -> None:
        """Start the thread, unless that is done already, right now, or too soon."""
        turns = self._turns
        if self._off or self._closed or monotonic() < self._not_before_s:
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
        worker = Worker(self._settings, self._keys, self._streams)
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

        def awake(event: object) -> Status:  # noqa: ARG001 - the taker's shape
            self._start()
            return stream.skip()

        return Taker(awake, _nobody_is_there)

    def _after_fork(self) -> None:
        """In the child: the parent's thread and sockets are not ours. The first event begins."""
        _forsaken.append(self._worker)
        self._worker = None
        self._turns = [None]
        self._not_before_s = 0.0
        if not self._closed:
            for stream in list(self._streams.values()):
                stream.taker = None if self._off else self._early(stream)
                stream.peek = None


_NONE = Stream("")
"""Stands for all streams that there cannot be; what is published to it is skipped."""


def _text_of(name: object) -> str | None:
    """A name as an exact text, without any code of its own; None if it is no text."""
    return str.__str__(name) if issubclass(type(name), str) else None


def _nobody_is_there(number: int) -> None:
    """It is not known yet whether a query runs."""


_agents: set[Agent] = set()
_forsaken: list[Worker | None] = []
"""A parent's workers, kept so that nothing of theirs is finalized in a child."""


def _after_fork() -> None:
    for agent in list(_agents):
        agent._after_fork()  # noqa: SLF001 - our own


def _at_exit() -> None:
    for agent in list(_agents):
        agent.close()
    NOTES.say_here(monotonic())


def _in_child(_: object) -> None:
    """In a child of multiprocessing, which ends without what is registered with `atexit`."""
    multiprocessing.util.Finalize(None, _at_exit, exitpriority=_LATE)


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
# A child drops all finalizers when it is about to run, after it has imported the main module; and
# then calls what was registered so. Where this is imported only later, it has a parent by now.
multiprocessing.util.register_after_fork(_in_child, _in_child)
if multiprocessing.parent_process() is not None:
    _in_child(None)
