"""Connections of processes to source jobs: made, broken, and made again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from source_jobs.protocol.outbox import Side
from tests.simulator.agents import AgentProcess
from tests.simulator.network import Connection, Frames, Route
from tests.simulator.processes import ClientProcess, Dialer, JobProcess

if TYPE_CHECKING:
    from tests.simulator.world import World

Caller = AgentProcess | ClientProcess

_HANDSHAKE_US = 20_000
_PLENTY = 10_000


class Cables:
    """All connections, and the routes that they take."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._routes: dict[tuple[str, int], Route] = {}
        self._peers = 0

    def plug(self, process: Caller, job: int) -> None:
        """Give a process one more address of a source job, to which it connects from now on."""
        key = process.name, job
        if key not in self._routes:
            scenario, name = self._world.scenario, f"{process.name} - job {job}"
            self._routes[key] = Route(name, scenario.conditions.delay_us, scenario.seed)
        dialer = Dialer(len(process.dialers), job, self._routes[key])
        process.dialers.append(dialer)
        self._dial_soon(process, dialer)

    def cut(self, process: Caller, dialer: Dialer, *, lingers: bool, after_us: int) -> None:
        """Break a connection; the process knows of it some time later, and connects anew."""
        broken = dialer.connection
        if broken is not None and broken.is_open:
            broken.close(lingers=lingers)
            noticed = partial(self._noticed, process, dialer, broken)
            self._world.at(self._world.now_us + after_us, noticed)

    def heal(self, processes: list[Caller]) -> None:
        """No route is blocked or slow any more."""
        for route in self._routes.values():
            route.heal()
        for dialer in (dialer for process in processes for dialer in process.dialers):
            if dialer.connection is not None:
                dialer.connection.heal()

    def _dial_soon(self, process: Caller, dialer: Dialer) -> None:
        now_us, route = self._world.now_us, dialer.route
        after_us = _HANDSHAKE_US + 4 * route.delay_us(route.to_job, now_us)
        self._world.at(now_us + after_us, partial(self._dial, process, dialer))

    def _dial(self, process: Caller, dialer: Dialer) -> None:
        """Connect, if that is possible now; else try again."""
        if not process.is_alive or dialer.connection is not None:
            return
        job = self._world.jobs[dialer.job]
        if not job.is_alive or dialer.route.is_blocked(self._world.now_us):
            self._dial_soon(process, dialer)
            return
        self._peers += 1
        made = Connection(f"peer{self._peers}".encode(), dialer.route)
        is_agent = isinstance(process, AgentProcess)
        side = Side.AGENT if is_agent else Side.CLIENT
        made.open(
            self._world,
            self._world.conditions.frames if is_agent else _PLENTY,
            partial(self._to_job, job, side, made.peer),
            partial(self._from_job, process, dialer.link),
        )
        dialer.connection = job.peers[made.peer] = made
        self._world.note(process.name, f"connected to {job.name}")
        process.changed(dialer.link, is_up=True)

    def _noticed(self, process: Caller, dialer: Dialer, broken: Connection) -> None:
        if dialer.connection is broken and process.is_alive:
            dialer.connection = None
            process.changed(dialer.link, is_up=False)
            self._dial_soon(process, dialer)

    def _to_job(self, job: JobProcess, side: Side, peer: bytes, frames: Frames) -> None:
        if job.is_alive:
            self._world.note(job.name, f"from {peer.decode()}", frames)
            job.take(side, peer, frames)

    def _from_job(self, process: Caller, link: int, frames: Frames) -> None:
        if process.is_alive:
            self._world.note(process.name, f"on link {link}", frames)
            process.take(link, frames)
