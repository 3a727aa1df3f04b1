"""A service with an agent: the real core, whose streams the world publishes to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from publish_agent.capture.event_buffer import Status
from publish_agent.drain.cost.planning_budget import SHARE, Planning
from publish_agent.drain.subscription import Running
from publish_agent.protocol.agent_state import AgentState, Send
from publish_agent.protocol.identity import Identity
from publish_agent.screen.taker import CLOSED, Taker
from publish_agent.settings import Settings
from publish_agent.stream import Stream
from tests.simulator.calls import SlowCall
from tests.simulator.network import Frames
from tests.simulator.processes import Dialer, Process, World
from tests.simulator.records import Published

CLOSE_US = 300_000
"""So long an agent that is closed waits for questions, before its goodbye."""
SLOW_PLAN_NS = 600_000_000
"""One is planned at once, and then five in six seconds."""
SLOW_PLAN_US = int(SLOW_PLAN_NS / SHARE / 1_000)
"""The time that pays for one."""

Hold = tuple[Taker, tuple[Running, ...]]
"""An intake, and the queries that it was for when it was taken."""


class SlowPlanning(Planning):
    """Each subscription costs the same, which is so much that some have to wait."""

    def plan(self, cpu_ns: int) -> None:
        super().plan(cpu_ns + SLOW_PLAN_NS)


class AgentProcess(Process):
    """A service with an agent. Its streams are published to by the world."""

    def __init__(
        self, world: World, name: str, skew_us: int, settings: Settings, agent: str,
        *, plans_slowly: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(world, name, skew_us)
        self.agent = agent
        self.settings = settings
        identity = Identity(agent, 1)
        self.state = AgentState(settings, identity, lambda: self.now_us * 1000)
        self.plans_slowly = plans_slowly
        if plans_slowly:
            self.state.budget.planning = SlowPlanning(cpu_share=1.0)
        self.provenance = identity.provenance(settings)
        self.streams: dict[str, Stream] = {}
        self.dialers: list[Dialer] = []
        self.inbox: list[tuple[int, Frames]] = []
        self.changes: list[tuple[int, bool]] = []
        self.calls: list[SlowCall] = []
        self._close_by_us = 0
        self._closed: Callable[[], None] | None = None
        """What happens when its close is over, once that has begun."""

    def offer(self, stream: str) -> None:
        """Begin to publish a stream."""
        made = self.streams[stream] = Stream(stream)
        self.state.adopt(made)
        self.wake_soon()

    def take(self, link: int, frames: Frames) -> None:
        self.inbox.append((link, frames))
        self.wake_soon()

    def changed(self, link: int, *, is_up: bool) -> None:
        """What the monitor of a socket tells."""
        self.changes.append((link, is_up))
        self.wake_soon()

    def publish(self, stream: str, event: dict[str, object], hold: Hold | None = None) -> None:
        """Publish an event, perhaps to an intake that was taken a while ago."""
        published = Published(stream, self.now_us // 1000, self.world.now_us, event)
        offer = self.streams[stream].publish if hold is None else hold[0].target
        published.queries = self._takers(stream, hold)
        published.status = offer(event)
        if published.status is not Status.CLOSED:
            self.world.known.published(self, published)

    def publish_slowly(self, stream: str, event: dict[str, object], for_us: int) -> None:
        """Publish an event in a call that takes so long, if a query asks for its slow value.

        The one at which the agent peeks is handed on before that, and would come too early.
        """
        if self.streams[stream].peek is not None:
            self.publish(stream, event)
            return
        published = Published(stream, self.now_us // 1000, self.world.now_us, event)
        taker, running = self.streams[stream].taker, self.world.known.running_on(self, stream)
        call = SlowCall(self.streams[stream].publish, event)
        self.calls.append(call)
        hold = None if taker is None else (taker, running)
        returns = partial(self._returns, call, published, hold)
        if call.status is None:
            self.world.at(self.world.now_us + for_us, returns)
        else:
            returns()

    def let_go(self) -> None:
        """Let all calls return: their threads end with the run."""
        for call in self.calls:
            call.end()

    def _returns(self, call: SlowCall, published: Published, hold: Hold | None) -> None:
        if self.is_stalled:
            # It looks again soon, since a stall may end before its time: when faults stop.
            again_us = min(self.stalled_until_us, self.world.now_us + self.world.pace_us)
            self.world.at(again_us, partial(self._returns, call, published, hold))
        elif self.is_alive:
            published.queries = self._takers(published.stream, hold)
            published.status = call.end()
            published.took_us = self.world.now_us - published.true_us
            self.world.known.published(self, published)

    def _takers(self, stream: str, hold: Hold | None) -> tuple[Running, ...]:
        """The queries that get what comes now, perhaps to an intake that was taken before."""
        running, now = self.world.known.running_on(self, stream), self.streams[stream].taker
        if hold is None or (now is not None and now.lost == hold[0].lost):
            return running
        return tuple(each for each in hold[1] if each in running)

    def step(self) -> int:
        now_us = self.now_us
        for link, is_up in self.changes:
            if is_up:
                self._send(self.state.connect(link, now_us))
            else:
                self.state.disconnect(link, now_us)
        self.changes.clear()
        inbox, self.inbox = self.inbox, []
        for link, frames in inbox:
            self._send(self.state.receive(link, frames, now_us))
        self.world.known.drains(self)
        self._send(self.state.tick(now_us))
        self.state.validate()
        self.world.known.stepped(self)
        if not self.is_closing:
            return self.state.next_wake_us()
        self._close_when_done()
        return min(self.state.next_wake_us(), self._close_by_us + self.skew_us)

    @property
    def is_closing(self) -> bool:
        """Whether it is about to end, but may yet have to tell a source job something."""
        return self._closed is not None

    def close(self, closed: Callable[[], None]) -> None:
        """End as a service should, soon; then something is called."""
        if not self.is_closing:
            for stream in self.streams.values():
                stream.taker = stream.taker or CLOSED
            self.state.end()
            self._closed, self._close_by_us = closed, self.world.now_us + CLOSE_US
            self.wake_soon()
            self._close_when_done()

    def end_close(self) -> None:
        """End now, if it is closing."""
        if self._closed is not None:
            self.world.known.drains(self)
            self._send(self.state.goodbye(self.now_us))
            self._closed()

    def _close_when_done(self) -> None:
        """End, unless a source job may yet ask for events that nobody has seen."""
        unseen = any(stream.unseen() > 0 for stream in self.streams.values())
        if self.world.now_us >= self._close_by_us or not (unseen and self.state.owes()):
            self.end_close()

    def _send(self, sends: list[Send]) -> None:
        for send in sends:
            connection = self.dialers[send.link].connection
            frames = [bytes(frame) for frame in send.frames]
            self.world.known.said(self, send.link, frames)
            if connection is None or not connection.to_job.send(frames):
                self.world.note(self.name, "cannot send", frames)
                self.state.unsent(send)
