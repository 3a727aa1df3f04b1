"""What agents say, and what follows from it. Raises ProtocolError where the protocol does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from mql.wire.codec import ProtocolError
from mql.wire.messages import (
    PROTOCOL,
    Accept,
    AgentMessage,
    Batch,
    Beat,
    Catalogue,
    Credit,
    Goodbye,
    Heartbeat,
    Hello,
    QueryCost,
    Refuse,
    Unknown,
    Unsubscribe,
    Welcome,
)
from source_jobs.agents import Agent, Agents
from source_jobs.outbox import Outbox
from source_jobs.queries import Queries
from source_jobs.settings import Settings
from source_jobs.shipment import Shipment

_LONGEST_REASON = 500


@dataclass(slots=True)
class AgentSide:
    """Takes the messages of agents."""

    settings: Settings
    agents: Agents
    queries: Queries
    outbox: Outbox

    def take(
        self, peer: bytes, message: AgentMessage, payload: bytes, now_us: int, key: bytes
    ) -> None:
        """Take a message that came by a connection of a key."""
        if isinstance(message, Hello):
            self._hello(peer, message, now_us, key)
            return
        agent = self.agents.of_peer(peer, key)
        if agent is None:
            self.outbox.to_agent(peer, Unknown())
            return
        agent.heard_us = now_us
        if agent.is_gone:
            agent.is_gone = False
            self.queries.regain(agent, now_us // 1000)
        self._take(agent, message, payload, now_us)

    def drop(self, peer: bytes, now_us: int, key: bytes) -> None:
        """A peer broke the protocol: forget it, and let it begin anew."""
        agent = self.agents.of_peer(peer, key)
        self.agents.blame(agent)
        if agent is not None:
            self.queries.lose(agent.agent, now_us // 1000, left=False)
            self.agents.forget(agent)
        self.outbox.to_agent(peer, Unknown())

    def _take(self, agent: Agent, message: AgentMessage, payload: bytes, now_us: int) -> None:
        match message:
            case Batch():
                self._batch(agent, message, payload, now_us // 1000)
            case Heartbeat():
                self._heartbeat(agent, message, now_us)
            case Accept():
                self._accept(agent, message, now_us // 1000)
            case Refuse(query, source, reason):
                running = self.queries.get(query)
                reporter = running and running.execution.reporters.all.get((agent.agent, source))
                if reporter:
                    reporter.refused = reason[:_LONGEST_REASON] or "no reason given"
            case Catalogue():
                agent.saw(message, now_us)
            case Goodbye():
                self.queries.lose(agent.agent, now_us // 1000, left=True)
                self.agents.forget(agent)
            case Hello():
                raise AssertionError(message)
            case _:
                assert_never(message)

    def _hello(self, peer: bytes, message: Hello, now_us: int, key: bytes) -> None:
        if message.protocol != PROTOCOL:
            raise ProtocolError(f"protocol {message.protocol}")
        known = self.agents.named(message.agent)
        if known is not None and (known.key, known.proof) != (key, message.proof):
            raise ProtocolError(f"the name of another agent: {message.agent[:_LONGEST_REASON]}")
        speaker = self.agents.of_peer(peer)
        if speaker is not None and speaker.agent != message.agent:
            self.queries.lose(speaker.agent, now_us // 1000, left=False)
        agent = self.agents.hello(peer, message, now_us, key)
        if agent is None:
            return
        credit = self.settings.agent_credit
        welcome = Welcome(PROTOCOL, self.settings.name, credit, message.sent_us, now_us, now_us)
        self.outbox.to_agent(peer, welcome)
        self.queries.regain(agent, now_us // 1000, greeted=True)
        self.queries.offer(agent, agent.offer(message.streams), now_us // 1000)

    def _heartbeat(self, agent: Agent, message: Heartbeat, now_us: int) -> None:
        agent.beat(message)
        self.outbox.to_agent(agent.peer, Beat(message.sent_us, now_us, now_us))
        self.queries.offer(agent, agent.offer(message.streams), now_us // 1000)
        for cost in message.costs:
            self._note_cost(agent, cost)

    def _note_cost(self, agent: Agent, cost: QueryCost) -> None:
        running = self.queries.get(cost.query)
        reporter = running and running.execution.reporters.all.get((agent.agent, cost.source))
        if reporter:
            reporter.cost = cost

    def _accept(self, agent: Agent, message: Accept, now_ms: int) -> None:
        running = self.queries.get(message.query)
        if running is None:
            self.outbox.to_agent(agent.peer, Unsubscribe(message.query))
            return
        reporter = running.execution.reporters.all.get((agent.agent, message.source))
        if reporter is None:
            self.queries.begin_anew(running, agent, now_ms)
            return
        reporter.accept(message.start_ms, now_ms)

    def _batch(self, agent: Agent, message: Batch, payload: bytes, now_ms: int) -> None:
        if message.states and len(message.parts) != 1:
            raise ProtocolError("states belong to one query")
        self._give_back(agent, len(payload))
        shipment: Shipment | None = None
        for part in message.parts:
            if part.has_rows and shipment is None:
                shipment = Shipment(payload, now_ms, holds_states=message.states)
            self.queries.take(agent, part, shipment if part.has_rows else None, now_ms)

    def _give_back(self, agent: Agent, size: int) -> None:
        agent.owed += size
        if agent.owed * 4 >= self.settings.agent_credit:
            self.outbox.to_agent(agent.peer, Credit(agent.owed))
            agent.owed = 0
