"""The source job as a value: frames and the time in, frames to send out.

It has no socket, no clock and no thread. The shell calls `from_agent` and `from_client` for what
arrives, with the time at which it did, then `tick`, which lets queries go on; it sends what each
of these returns, and calls `tick` again at the latest when `next_wake_us` says. Nothing that a
peer sends raises.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from random import Random

from mql.wire.codec import ProtocolError, from_agents, from_clients
from mql.wire.messages import Unknown
from source_jobs.arrivals import Arrivals
from source_jobs.protocol.agent_messages import AgentSide
from source_jobs.protocol.agents import Agents
from source_jobs.protocol.client_messages import ClientSide
from source_jobs.protocol.introspection import Shows
from source_jobs.protocol.outbox import Outbox, Send, Side
from source_jobs.protocol.profile_requests import Looking
from source_jobs.protocol.rate_limit import Rate
from source_jobs.protocol.registry import Queries
from source_jobs.protocol.sessions import Sessions
from source_jobs.protocol.work.aside import Aside, AtOnce
from source_jobs.protocol.work.schedule import Schedule
from source_jobs.query.live_query import Question
from source_jobs.settings import Settings
from source_jobs.shares import Shares

_ROUND_US = 250_000
"""So often peers are looked after."""

_SLEPT_US = 1_500_000
"""A longer time between two ticks is the job's own fault, and held against nobody."""


_SENDING_US = 5_000
"""So long answers are made ready to be sent before others have their turn."""


class JobState:
    """The whole state of a source job."""

    def __init__(
        self,
        settings: Settings,
        random: Random,
        planner: Aside[Question] | None = None,
        worker: Aside[tuple[object, int]] | None = None,
        meter_us: Callable[[], int] = lambda: 0,
    ) -> None:
        """Start with nobody there.

        A `planner` plans long texts, and a `worker` does what else takes long; without them it is
        done in place. `meter_us` says how much processor time was taken; without it none is.
        """
        self._settings = settings
        self._outbox = outbox = Outbox()
        self._room = Shares(settings.queued_bytes)
        self.agents = Agents(settings.agents, settings.stream_names, settings.catalogue_bytes)
        self.sessions = Sessions(settings.clients, settings.client_credit)
        self.queries = Queries(
            settings, self.agents, outbox, random, Schedule(worker or AtOnce(), meter_us)
        )
        self._arrivals = Arrivals()
        self._agent_side = AgentSide(settings, self.agents, self.queries, outbox, self._arrivals)
        looking = Looking(self.agents, outbox, settings.catalogue_ms * 1000)
        self._client_side = ClientSide(
            settings,
            self.agents,
            self.sessions,
            self.queries,
            outbox,
            Shows(),
            looking,
            self._room,
            self._arrivals,
            Rate(settings.all_new_at_once, settings.all_new_per_s),
            planner or AtOnce(),
        )
        self._read_agent, self._read_client = from_agents(), from_clients()
        self._round_us = 0
        self._ticked_us: int | None = None
        self._patient_until_us = 0
        self._meter_us, self._has_unsent = meter_us, False

    def from_agent(
        self, peer: bytes, frames: Sequence[bytes], now_us: int, key: bytes = b""
    ) -> list[Send]:
        """Take a message that came from an agent; returns what is to be sent at once.

        `key` is the public key that its connection has proved to own; empty where there are none.
        """
        try:
            message, payload = self._read_agent.decode(frames)
            self._agent_side.take(peer, message, payload, now_us, key)
        except ProtocolError:
            self._agent_side.drop(peer, now_us, key)
        return self._outbox.take()

    def from_client(
        self, peer: bytes, frames: Sequence[bytes], now_us: int, key: bytes = b""
    ) -> list[Send]:
        """Take a message that came from a client; returns what is to be sent at once."""
        try:
            message, _ = self._read_client.decode(frames)
            self._client_side.take(peer, message, now_us, key)
        except ProtocolError:
            self.agents.blame(None)
            if self.sessions.of(peer, key):
                self._client_side.close(peer, now_us)
            self._outbox.to_client(peer, Unknown())
        return self._outbox.take()

    def note_clock(self, *, slews: bool) -> None:
        """Note whether the clock of the times that are passed follows one that was set."""
        self._agent_side.slews = slews

    def tick(self, now_us: int) -> list[Send]:
        """Let time pass, and queries go on with what has come; returns what is to be sent."""
        self._note_sleep(now_us)
        if now_us >= self._round_us:
            self._look_after_peers(now_us)
            self._round_us = now_us + _ROUND_US
        self._client_side.begin_waiting(now_us)
        self._client_side.open_answers(now_us)
        self.queries.advance(now_us // 1000)
        blamed, self.queries.blamed = self.queries.blamed, []
        for agent in blamed:
            self._agent_side.drop(agent.peer, now_us, agent.key)
        self._send_answers()
        return self._outbox.take()

    @property
    def has_more(self) -> bool:
        """Whether there was more to do than `tick` has time for."""
        return self._has_unsent or bool(self.queries.schedule)

    def next_wake_us(self) -> int:
        """When to call `tick` next, if nothing comes before."""
        due_us = self._client_side.due_us
        if self.has_more:
            return 0
        wakes = [self._round_us, self.queries.due_ms * 1000]
        return min(wakes if due_us is None else [*wakes, due_us])

    def unsent(self, send: Send, now_us: int) -> list[Send]:
        """The shell could not send: such a client is gone; agents are asked again by and by."""
        if send.side is Side.CLIENT:
            self._client_side.close(send.peer, now_us)
        return self._outbox.take()

    def shut_out(self, side: Side, allowed: Collection[bytes], now_us: int) -> list[Send]:
        """Shut out those whose keys are not allowed any more; such an agent has vanished."""
        if side is Side.AGENT:
            for agent in [a for a in self.agents if a.key not in allowed]:
                self._agent_side.lose(agent, "is shut out", now_us)
                self.agents.vanish(agent)
        else:
            for session in [s for s in self.sessions if s.key not in allowed]:
                self._client_side.close(session.peer, now_us)
        return self._outbox.take()

    def validate(self) -> None:
        """Assert what always holds; for tests."""
        numbers = {running.execution.number for running in self.queries}
        for running in self.queries:
            assert running.audience.members, "a query that nobody asked"
            running.execution.validate()
            for member in running.audience.members:
                session = self.sessions.get(member.peer)
                assert session, "a subscriber without a client"
                assert session.subscribers.get(member.request) is member
        for session in self.sessions:
            for subscriber in session.subscribers.values():
                assert subscriber.is_over or subscriber.query in numbers
                subscriber.validate()
            assert not session.asks.keys() & session.subscribers.keys()
            asked = len(session.asks) + len(session.subscribers)
            assert asked <= self._settings.queries_per_client
        slots = sum(running.execution.ledger.slots for running in self.queries)
        assert self.queries.slots.used == slots
        waiting = (s.weight for session in self.sessions for s in session.subscribers.values())
        assert self._room.used == sum(waiting)
        self.queries.validate()
        self.sessions.validate()
        self.agents.validate()
        assert len(self.sessions) <= self._settings.clients
        assert len(numbers) <= self._settings.queries

    def _send_answers(self) -> None:
        until_us = self._meter_us() + _SENDING_US
        self._has_unsent = not self.sessions.flush(
            self._outbox, lambda: self._meter_us() > until_us
        )

    def _note_sleep(self, now_us: int) -> None:
        slept_us = 0 if self._ticked_us is None else now_us - self._ticked_us
        self._ticked_us = now_us
        if slept_us > _SLEPT_US:
            self.agents.excuse(slept_us, now_us)
            self.sessions.excuse(slept_us, now_us)
            self.queries.be_patient(slept_us // 1000)
            self.queries.excuse(slept_us // 1000)
            self._patient_until_us = now_us + self._settings.grace_ms * 1000
        elif now_us >= self._patient_until_us:
            self.queries.be_patient(0)

    def _look_after_peers(self, now_us: int) -> None:
        since_us = now_us - self._settings.gone_ms * 1000
        for agent in self.agents.go_silent(since_us, now_us):
            self._agent_side.lose(agent, "is silent", now_us)
        for peer in self.sessions.silent_since(since_us):
            self._client_side.close(peer, now_us)
        self._arrivals.tell(now_us)
        self.queries.ask_again(now_us // 1000)
