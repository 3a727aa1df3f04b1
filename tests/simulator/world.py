"""Runs a scenario: one thread, one clock, one queue of things to come.

Whatever happens is put into the trace, of which a hash says whether two runs were the same. When
faults have stopped, everybody has to find each other; then more is published, all queries are
ended, and the oracle looks at what came out.
"""

from __future__ import annotations

import gc
import heapq
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from random import Random
from zlib import crc32

from publish_agent.drain.cost.schedule import PATIENT_US
from publish_agent.settings import Settings as AgentSettings
from source_jobs.settings import Settings as JobSettings
from tests.simulator.agents import SLOW_PLAN_US, AgentProcess
from tests.simulator.cables import Cables
from tests.simulator.checks.aftermath import check
from tests.simulator.checks.liveness import behind, missing
from tests.simulator.deeds import Deeds
from tests.simulator.knowledge import Knowledge
from tests.simulator.network import Frames
from tests.simulator.processes import ClientProcess, JobProcess, Process
from tests.simulator.records import AgentRecord, Failure, JobRecord, job_skew_us
from tests.simulator.scenario import Scenario

BEGIN_US = 1_700_000_000_000_000
PLAN_SLOWLY = 0.5
"""The share of agents in which queries have to wait."""
LIVE_WITHIN_US = 6_000_000
"""So soon after the last fault everybody has to have found each other."""
PROBE_US = 1_000_000
"""For so long all agents publish then."""
TOLD_WITHIN_US = 5_500_000
"""So soon answers tell of a moment: a window, a second's grace and a second's silence later."""
SETTLE_US = 1_300_000
"""So long after the last answer all credit has been given back."""
_LOOK_US = 100_000


class World:
    """All processes, the network between them, and what is known of both."""

    def __init__(self, scenario: Scenario, *, remembers: bool = False) -> None:
        self.scenario = scenario
        self.conditions = scenario.conditions
        self.begin_us = self.now_us = BEGIN_US + self.conditions.phase_us
        self.pace_us = self.conditions.pace_us
        self.live_us = 0
        """When all had found each other after the last fault."""
        self.known = Knowledge(scenario.clock_error_ms)
        self.trace: list[str] = []
        self.cables = Cables(self)
        self._deeds = Deeds(self)
        self._remembers = remembers
        self._hash = blake2b(digest_size=16)
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._things = self._made = 0
        conditions = self.conditions
        self.jobs = [self._job(j) for j in range(scenario.jobs)]
        self.agents = [self._agent(i) for i in range(len(conditions.links))]
        self.clients = [self._client(k) for k in range(len(conditions.clients))]

    # What others need of it

    def at(self, time_us: int, call: Callable[[], None]) -> None:
        """Do something at a time."""
        self._things += 1
        heapq.heappush(self._queue, (max(time_us, self.now_us), self._things, call))

    def note(self, who: str, what: str, frames: Frames = ()) -> None:
        """Put something into the trace."""
        sizes = " ".join(f"{crc32(frame):08x}:{len(frame)}" for frame in frames)
        line = f"{self.now_us - self.begin_us:>10} {who}: {what} {sizes}"
        self._hash.update(line.encode())
        if self._remembers:
            self.trace.append(line)

    @property
    def digest(self) -> str:
        """What tells two runs apart."""
        return self._hash.hexdigest()

    def process(self, name: str) -> Process:
        """The process of a name, such as `agent 1`."""
        return next(process for process in self._everybody() if process.name == name)

    def job_of(self, client: ClientProcess) -> int:
        """The source job that a client asks."""
        return self.conditions.clients[int(client.name.split()[1])]

    def replace(self, process: Process) -> None:
        """Start a process in place of one that has ended."""
        number = int(process.name.split()[1])
        match process:
            case JobProcess() if process is self.jobs[number]:
                self.jobs[number] = self._job(number)
            case AgentProcess() if process is self.agents[number]:
                self.agents[number] = self._agent(number)
            case ClientProcess() if process is self.clients[number]:
                self.clients[number] = self._client(number)

    # The run

    def run(self) -> None:
        """Do all of it. Raises Failure."""
        for action in self.scenario.actions:
            self.at(self.begin_us + action.at_us, partial(self._deeds.do, action))
        self._until(self.begin_us + self.scenario.calm_us)
        self._calm()
        self._until_none(lambda: missing(self), LIVE_WITHIN_US + self._planning_us())
        self.live_us = self.now_us
        self._probe()
        self._until(self.now_us + PROBE_US)
        self._until(self.now_us + 2 * max(self.pace_us, PATIENT_US))  # all events have been drained
        self._until_none(lambda: behind(self), TOLD_WITHIN_US)
        self._end_all()
        self._until(self.now_us + SETTLE_US)
        check(self)

    def _planning_us(self) -> int:
        """How long an agent that plans slowly may have to wait for all that is asked."""
        if not any(process.plans_slowly for process in self.agents):
            return 0
        streams = max(len(process.streams) for process in self.agents)
        return len(self.known.subscriptions) * streams * SLOW_PLAN_US

    def _until(self, time_us: int) -> None:
        while self._queue and self._queue[0][0] <= time_us:
            self.now_us, _, call = heapq.heappop(self._queue)
            call()
        self.now_us = time_us

    def _until_none(self, problem: Callable[[], str], within_us: int) -> None:
        until_us = self.now_us + within_us
        while found := problem():
            if self.now_us >= until_us:
                raise Failure("liveness", found)
            self._until(self.now_us + _LOOK_US)

    def _calm(self) -> None:
        """No more faults: all that stands still goes on, all that is dead is started."""
        self.note("world", "calm")
        self.cables.heal([*self.agents, *self.clients])
        for client in self.clients:
            client.paused_until_us = 0
        for agent in self.agents:
            if agent.is_alive:
                agent.end_close()
        for process in self._everybody():
            process.stalled_until_us = min(process.stalled_until_us, self.now_us)
            process.wake_soon()
            if not process.is_alive:
                self.replace(process)

    def _probe(self) -> None:
        """All agents publish to all their streams."""
        dice = Random(f"{self.scenario.seed} probe")
        for number, process in enumerate(self.agents):
            for stream in process.streams:
                for _ in range(3):
                    at_us = self.now_us + dice.randrange(PROBE_US)
                    for _ in range(2):
                        self.at(at_us, partial(self._deeds.publish, number, stream, dice))

    def _end_all(self) -> None:
        """End all queries, as somebody would who may."""
        for job in self.jobs:
            asking = next((c for c in self.clients if c.state.job == job.job), None)
            for running in job.state.queries:
                if asking is not None:
                    asking.cancel(running.execution.number)

    # Making processes

    def _everybody(self) -> list[Process]:
        return [*self.jobs, *self.agents, *self.clients]

    def _fresh(self, kind: str) -> str:
        self._made += 1
        return f"{kind}{self._made}"

    def _job(self, number: int) -> JobProcess:
        settings = JobSettings(
            self._fresh(f"job-{self.scenario.seed}-"),
            grace_ms=self.conditions.grace_ms,
            agent_credit=self.conditions.agent_credit,
            queue_bytes=self.conditions.queue_bytes,
        )
        made = JobProcess(self, f"job {number}", job_skew_us(number), settings)
        self.known.jobs[made.job] = JobRecord()
        made.wake_soon()
        return made

    def _agent(self, number: int) -> AgentProcess:
        conditions = self.conditions
        settings = AgentSettings(
            service="shop",
            host=f"h{number}",
            buffer_events=conditions.buffer_events,
            buffer_bytes=conditions.buffer_bytes,
        )
        name, skew_us = f"agent {number}", conditions.skews_us[number]
        agent = self._fresh("a")
        dice = Random(f"{self.scenario.seed} {agent}")
        slow = dice.random() < PLAN_SLOWLY
        made = AgentProcess(self, name, skew_us, settings, agent, plans_slowly=slow)
        self.known.agents[made.agent] = AgentRecord(made, conditions.links[number])
        for stream in conditions.streams[number]:
            made.offer(stream)
        for job in conditions.links[number]:
            self.cables.plug(made, job)
        made.wake_soon()
        return made

    def _client(self, number: int) -> ClientProcess:
        conditions, name = self.conditions, f"client {number}"
        made = ClientProcess(self, name, self._fresh("c"), conditions.client_credit)
        self.cables.plug(made, conditions.clients[number])
        made.wake_soon()
        return made


def run(scenario: Scenario, *, remembers: bool = False) -> tuple[World, Failure | None]:
    """Run a scenario; the failure that it found, if any."""
    world = World(scenario, remembers=remembers)
    collects = gc.isenabled()
    gc.disable()
    try:
        world.run()
    except Failure as failure:
        return world, failure
    except Exception as error:  # noqa: BLE001 - a bug of a core is what we look for
        failure = Failure("raised", f"{type(error).__name__}: {error}")
        failure.__cause__ = error
        return world, failure
    finally:
        for record in world.known.agents.values():
            record.process.let_go()
        if collects:
            gc.enable()
    return world, None
