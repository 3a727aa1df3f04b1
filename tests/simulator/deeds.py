"""Does what a scenario says: publishing and asking, and all that goes wrong."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import TYPE_CHECKING

from tests.simulator import scenario as s
from tests.simulator.agents import AgentProcess
from tests.simulator.calls import TEXT
from tests.simulator.processes import ClientProcess, Dialer, JobProcess, Process

if TYPE_CHECKING:
    from tests.simulator.world import World

_JOB_NOTICED_US = 50_000
"""So soon its peers know that a source job was killed."""


class Deeds:
    """Does things to a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._events = 0

    def do(self, action: s.Action) -> None:
        """Do what it is time for."""
        self._world.note("world", f"{action.deed!r}")
        dice = Random(f"{self._world.scenario.seed} {action.number}")
        if not self._program(action.deed, dice):
            self._fault(action.deed)

    def publish(self, agent: int, stream: str, dice: Random) -> None:
        """A service publishes an event, unless it stands still."""
        event = self._event(dice)
        process = self._busy(agent)
        if process is not None and stream in process.streams:
            process.publish(stream, event)

    def _program(self, deed: s.Deed, dice: Random) -> bool:
        """Do what programs do; False if it is something else."""
        world = self._world
        match deed:
            case s.Publish(agent, stream, count, apart_us):
                for i in range(count):
                    publish = partial(self.publish, agent, stream, dice)
                    world.at(world.now_us + i * apart_us, publish)
            case s.Lost(agent, stream, count):
                if (process := self._busy(agent)) and stream in process.streams:
                    process.streams[stream].lost(count)
                    world.known.lost_before(process, stream, count)
            case s.Straggle(agent, stream, after_us):
                self._straggle(agent, stream, after_us, dice)
            case s.Dawdle(agent, stream, for_us):
                event = self._event(dice) | {"k": TEXT}
                if (process := self._busy(agent)) and stream in process.streams:
                    process.publish_slowly(stream, event, for_us)
            case s.Offer(agent, stream):
                process = self._busy(agent)
                if process and stream not in process.streams and not process.is_closing:
                    process.offer(stream)
            case s.Ask() | s.Leave() | s.Show() | s.Pause():
                client = world.clients[deed.client]
                if client.is_alive and not client.is_stalled:
                    self._ask(client, deed)
            case _:
                return False
        return True

    def _ask(self, client: ClientProcess, deed: s.Ask | s.Leave | s.Show | s.Pause) -> None:
        match deed:
            case s.Ask(_, handle, asked, group, ttl_ms):
                client.ask(handle, asked, group, ttl_ms)
            case s.Leave(_, handle):
                client.leave(handle)
            case s.Show(_, what):
                client.show(what)
            case s.Pause(_, for_us):
                client.paused_until_us = self._world.now_us + for_us

    def _busy(self, agent: int) -> AgentProcess | None:
        """An agent's process, if it does anything."""
        process = self._world.agents[agent]
        return process if process.is_alive and not process.is_stalled else None

    def _straggle(self, agent: int, stream: str, after_us: int, dice: Random) -> None:
        process = self._busy(agent)
        taker = process.streams[stream].taker if process and stream in process.streams else None
        if process is None or taker is None:
            return
        hold = taker, self._world.known.running_on(process, stream)
        event = self._event(dice)

        def publish() -> None:
            if process.is_alive and not process.is_stalled:
                process.publish(stream, event, hold)

        self._world.at(self._world.now_us + after_us, publish)

    def _event(self, dice: Random) -> dict[str, object]:
        self._events += 1
        event: dict[str, object] = {
            "n": self._events,
            "a": dice.randrange(6),
            "k": dice.choice("xyz"),
            "at": (self._world.now_us - dice.randrange(200_000)) // 1000,
        }
        if dice.random() < 0.7:
            event["b"] = dice.choice([1, 2.5, -3])
        if dice.random() < 0.5:
            event["v"] = dice.choice(["n1", "n2 of many", "other", 7, None])
        return event

    # What goes wrong

    def _fault(self, deed: s.Deed) -> None:
        world = self._world
        match deed:
            case s.Drop(name, route, lingers, notices_us):
                process, dialer = self._dialer(name, route)
                world.cables.cut(process, dialer, lingers=lingers, after_us=notices_us)
            case s.Block(name, route, to_job, from_job, for_us):
                way = self._dialer(name, route)[1].route
                for each, is_meant in ((way.to_job, to_job), (way.from_job, from_job)):
                    if is_meant:
                        each.blocked_until_us = world.now_us + for_us
            case s.Slow(name, route, extra_us, for_us):
                way = self._dialer(name, route)[1].route
                for each in (way.to_job, way.from_job):
                    each.slow_until_us, each.extra_us = world.now_us + for_us, extra_us
            case s.Stall(name, for_us):
                world.process(name).stalled_until_us = world.now_us + for_us
            case s.Crash(name, for_us):
                self._kill(world.process(name), for_us, lingers=False)
            case s.Close(agent, for_us):
                if (closing := self._busy(agent)) is not None:
                    closing.close(partial(self._kill, closing, for_us, lingers=True))
            case s.SetClock(agent, by_us):
                world.agents[agent].skew_us += by_us
                world.known.agents[world.agents[agent].agent].clock_was_set = True
            case _:
                raise AssertionError(deed)

    def _dialer(self, name: str, route: int) -> tuple[AgentProcess | ClientProcess, Dialer]:
        process = self._world.process(name)
        assert isinstance(process, AgentProcess | ClientProcess)
        return process, process.dialers[route % len(process.dialers)]

    def _kill(self, process: Process, for_us: int, *, lingers: bool) -> None:
        """End a process, and start one in its place some time later."""
        if not process.is_alive:
            return
        world = self._world
        process.is_alive = False
        world.at(world.now_us + for_us, partial(world.replace, process))
        match process:
            case JobProcess():
                for peer in (*world.agents, *world.clients):
                    for dialer in peer.dialers:
                        if dialer.connection in process.peers.values():
                            world.cables.cut(peer, dialer, lingers=False, after_us=_JOB_NOTICED_US)
                return
            case AgentProcess():
                world.known.killed(process)
            case ClientProcess():
                world.known.died_us[process.client] = world.now_us
        for dialer in process.dialers:
            if dialer.connection is not None:
                dialer.connection.close(lingers=lingers)
