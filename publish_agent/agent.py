"""`Agent`: what a service makes once, and publishes its events to."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import multiprocessing.util
import os
import socket
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import TYPE_CHECKING

from mql.native_threads import ARE_REAL, make_lock
from publish_agent.figures import Figures
from publish_agent.intake import Status
from publish_agent.keys import read_keys
from publish_agent.queries import MAX_STREAMS, is_stream_name
from publish_agent.settings import Settings, read_settings
from publish_agent.stream import CLOSED, Stream, Taker
from publish_agent.worker import Worker

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_log = logging.getLogger("publish_agent")

_AGAIN_S = 5.0
"""After so long it is tried again to start."""


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
        self._worker: Worker | None = None
        self._lock = make_lock()
        self._closed = False
        self._off = self._settings.disabled or not ARE_REAL
        if not ARE_REAL:
            _log.warning("the agent is off: greenlets stand for all threads of this interpreter")
        _agents.add(self)

    def stream(self, name: str) -> Stream:
        """The stream of a name; keep it, and call its `publish`."""
        stream = self._streams.get(name)
        return self._begin(name) if stream is None else stream

    def publish(self, stream: str, event: object) -> Status:
        """Offer an event to the queries that run now on a stream. Never blocks or raises."""
        found = self._streams.get(stream)
        return (self._begin(stream) if found is None else found).publish(event)

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
        with self._lock:
            self._closed = True
            worker, self._worker = self._worker, None
            for stream in self._streams.values():
                stream.taker = stream.taker or CLOSED
        _agents.discard(self)
        if worker is not None:
            worker.close()
        for stream in self._streams.values():
            stream.taker = CLOSED

    def _figures(self) -> Figures:
        worker = self._worker
        return Figures() if worker is None else worker.figures()

    def _begin(self, name: str) -> Stream:
        """Make a stream, and start the thread if it does not run."""
        if len(self._streams) >= MAX_STREAMS or not is_stream_name(name):
            _log.warning("no stream %.100r: %d are allowed, by name", name, MAX_STREAMS)
            return Stream(name)
        with self._lock:
            stream = self._streams.get(name)
            if stream is not None:
                return stream
            stream = self._streams[name] = Stream(name)
            if self._closed:
                stream.taker = CLOSED
            elif not self._off:
                self._offer(stream)
            return stream

    def _offer(self, *streams: Stream) -> None:
        """Hand streams to the background thread, which starts with the first ones."""
        try:
            worker = self._worker or self._start()
        except (OSError, RuntimeError):  # no descriptors, no threads: the service has other worries
            _log.exception("the agent cannot start; it will try again")
            for stream in self._streams.values():
                stream.taker = _Starter(self, monotonic() + _AGAIN_S).taker()
            return
        for stream in streams:
            worker.offer(stream)

    def _start(self) -> Worker:
        worker = Worker(self._settings, self._keys)
        worker.start()
        self._worker = worker
        if multiprocessing.parent_process() is not None:  # which skips what is to do at exit
            multiprocessing.util.Finalize(None, _at_exit, exitpriority=0)
        return worker

    def _after_fork(self) -> None:
        """In the child: the parent's thread and sockets are not ours. Begin anew."""
        _forsaken.append(self._worker)
        self._lock = make_lock()
        self._worker = None
        if self._closed:
            return
        for stream in self._streams.values():
            stream.taker = None if self._off else _Starter(self).taker()

    def _start_again(self) -> None:
        """In a forked child that publishes, or where it was not possible before."""
        with self._lock:
            if self._worker is None and not self._closed:
                for stream in self._streams.values():
                    stream.taker = None
                self._offer(*self._streams.values())


class _Starter:
    """What a stream has in a forked child until the first event there, or until a time has come."""

    def __init__(self, agent: Agent, not_before_s: float = 0.0) -> None:
        self._agent = agent
        self._not_before_s = not_before_s

    def taker(self) -> Taker:
        """What a stream hands its events to meanwhile."""
        return Taker(self._offer, self._lost)

    def _offer(self, event: object) -> Status:  # noqa: ARG002 - the taker's shape
        if monotonic() >= self._not_before_s:
            self._agent._start_again()  # noqa: SLF001 - our own
        return Status.SKIPPED

    def _lost(self, number: int) -> None:
        """Nobody is there to be told."""


_agents: set[Agent] = set()
_forsaken: list[Worker | None] = []
"""A parent's workers, kept so that nothing of theirs is finalized in a child."""


def _after_fork() -> None:
    for agent in list(_agents):
        agent._after_fork()  # noqa: SLF001 - our own


def _at_exit() -> None:
    for agent in list(_agents):
        agent.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
