"""A source job and its services, as processes that are killed, stopped and started anew."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import FREE_PORT, addresses, start, stop, until
from source_jobs.client import Client, HttpClient, SourceJobError
from tests.faults.clock import Clock
from tests.faults.network import Networks, namespace
from tests.faults.record import Record
from tests.faults.relay import Relay

_EVERYWHERE = "tcp://0.0.0.0:{}"
"""So that those in a namespace reach the source job, too."""


@dataclass(slots=True)
class Process:
    """A process that faults happen to."""

    popen: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        """Its number."""
        return self.popen.pid

    def kill(self) -> None:
        """SIGKILL: it says nothing any more."""
        self.popen.kill()
        stop(self.popen)

    def freeze(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def ask_to_end(self) -> None:
        """Have it end in its own time."""
        if self.popen.poll() is None:
            self.thaw()
        if self.popen.stdin is not None:
            self.popen.stdin.close()

    def end(self) -> None:
        """Ask it to end, and wait."""
        self.ask_to_end()
        stop(self.popen)


@dataclass(slots=True)
class Service(Process):
    """A publishing service; `name` as in `service@host`, a record for each of its lives."""

    name: str
    record: Record


@dataclass(frozen=True, slots=True)
class Start:
    """How a service is started: by what way it reaches the source job, with which clock."""

    source_job: str
    through: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


class Fleet:
    """The processes of one run. `near` services are on this machine, as the source job is.

    `far` ones are in a namespace, `relayed` ones behind the relay; `timed` ones have a clock that
    can be set, as has the source job, where there is a library for that.
    """

    def __init__(self, folder: Path, networks: Networks, rate: int, clocks: Clocks | None) -> None:
        self.folder = folder
        self.networks = networks
        self.rate = rate
        self.clocks = clocks
        self.services: dict[str, Service] = {}
        self.lives: list[Service] = []
        """All services that ever were, the killed ones too."""
        self._starts: dict[str, Start] = {}
        self.agents_address = self.clients_address = ""
        self.job = self._start_job(_EVERYWHERE.format("*"), FREE_PORT)

    def start_services(self, groups: Mapping[str, int]) -> None:
        """Start services, so many of each group, and wait until each publishes."""
        for group, count in groups.items():
            for number in range(count):
                name = f"{group}{number}"
                self._starts[name] = self._how(group)
                self.start(name, wait=False)
        for service in self.services.values():
            _wait_ready(service)

    def start(self, name: str, *, wait: bool = True) -> Service:
        """Start a service, for the first time or again."""
        how = self._starts[name]
        record = Record.create(self.folder / f"{name}-{len(self.lives)}", self.rate)
        popen = start(
            "tests.faults.service", "--source-job", how.source_job, "--service", name,
            "--record", str(record.path), through=how.through, environment=how.environment,
        )  # fmt: skip
        service = self.services[name] = Service(popen, name, record)
        self.lives.append(service)
        if wait:
            _wait_ready(service)
        return service

    def start_like(self, other: str, name: str) -> Service:
        """Start one more service, as another was started."""
        self._starts[name] = self._starts[other]
        return self.start(name)

    def group(self, prefix: str) -> list[Service]:
        """The services of a group."""
        return [s for name, s in self.services.items() if name.rstrip("0123456789") == prefix]

    def restart_job(self) -> None:
        """Start the source job anew, at the same addresses."""
        self.job = self._start_job(_EVERYWHERE.format(self.port), self.clients_address)

    @property
    def port(self) -> int:
        """Where the source job listens for agents."""
        return int(self.agents_address.rpartition(":")[2])

    def pause(self, *, paused: bool) -> None:
        """Have all services publish nothing, or go on."""
        for service in self.services.values():
            service.record.pause(paused=paused)

    def wait_known(self, client: Client | HttpClient, seconds: float = 60) -> None:
        """Wait until the source job knows all services."""
        until(lambda: self._known(client), "all services are known", seconds)

    def end(self) -> None:
        """End all processes."""
        for service in self.services.values():
            service.ask_to_end()
        for each in (*self.services.values(), self.job):
            each.end()

    def _known(self, client: Client | HttpClient) -> bool:
        try:
            there = {a["pid"] for a in client.agents() if not a["gone"]}
        except SourceJobError:
            return False
        return there >= {service.pid for service in self.services.values()}

    def _how(self, group: str) -> Start:
        near = f"tcp://127.0.0.1:{self.port}"
        space = self.networks.namespace
        match group:
            case "far" if space is not None:
                return Start(f"tcp://{space.near_address}:{self.port}", space.through)
            case "far" | "relayed":
                self.networks.relay.aim(self.port)
                return Start(self.networks.relay.address)
            case "timed" if self.clocks is not None:
                return Start(near, environment=self.clocks.services.environment)
            case _:
                return Start(near)

    def _start_job(self, agents: str, clients: str) -> Process:
        process = start(
            "cli", "serve", "--agents", agents, "--clients", clients, "--insecure",
            environment=self.clocks.job.environment if self.clocks else None,
        )  # fmt: skip
        self.agents_address, self.clients_address = addresses(process)
        return Process(process)


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks that can be set: of the source job, and of the `timed` services."""

    job: Clock
    services: Clock

    @classmethod
    def create(cls, library: Path, folder: Path) -> Clocks:
        """Clocks that are right."""
        return cls(Clock.create(library, folder / "job"), Clock.create(library, folder / "service"))


@contextmanager
def fleet(
    folder: Path, groups: Mapping[str, int], rate: int, library: Path | None
) -> Iterator[Fleet]:
    """A fleet for as long as the block lasts, in whatever networks can be had."""
    clocks = Clocks.create(library, folder) if library else None
    far = namespace() if "far" in groups else nullcontext()
    with far as space, Relay() as relay:
        made = Fleet(folder, Networks(space, relay), rate, clocks)
        try:
            made.start_services(groups)
            yield made
        finally:
            made.end()


def _wait_ready(service: Service) -> None:
    assert service.popen.stdout is not None
    service.popen.stdout.readline()
