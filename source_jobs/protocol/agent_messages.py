"""What agents say, and what follows from it. Raises ProtocolError where the protocol does."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import islice
from typing import assert_never

from msgspec.structs import replace

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
from mql.wire.names import NAME_CHARACTERS_MAX
from source_jobs.arrivals import Arrivals
from source_jobs.protocol.agents import Agent, Agents
from source_jobs.protocol.outbox import Outbox
from source_jobs.protocol.registry import Queries
from source_jobs.query.shipment import Shipment
from source_jobs.settings import Settings

_LONGEST_REASON = 500
_LARGEST = 2**53
_COSTS_MAX = 1_000
"""Of more queries' costs in one heartbeat the others are passed over."""
_PARTS_MAX, _TALLIES_MAX = 5_000, 10_000
"""A message with more of them holds up others for long."""
_UNKNOWN_MAX = 100
"""So many queries that do not run are stopped at a message; others at the next one about them:
each answer takes longer than the part that it is about."""
_TOLD_US = 60_000_000
"""Between two lines of the log about streams that are left out."""

_log = logging.getLogger("source_jobs")


@dataclass(slots=True)
class AgentSide:
    """Takes the messages of agents."""

    settings: Settings
    agents: Agents
    queries: Queries
    outbox: Outbox
    arrivals: Arrivals
    slews: bool = False
    """Whether the clock follows a wall clock that was set."""
    _told_us: int = -_TOLD_US

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
        if agent.has_vanished:
            agent.has_vanished = False
            self._note(agent, "is back", now_us)
            self.queries.regain(agent, now_us // 1000)
        self._take(agent, message, payload, now_us)

    def drop(self, peer: bytes, now_us: int, key: bytes) -> None:
        """A peer broke the protocol: forget it, and let it begin anew."""
        agent = self.agents.of_peer(peer, key)
        self.agents.blame(agent)
        if agent is not None:
            self.queries.lose(agent, now_us // 1000, left=False)
            self.agents.vanish(agent)
        self.outbox.to_agent(peer, Unknown())

    def lose(self, agent: Agent, why: str, now_us: int) -> None:
        """An agent is not heard any more."""
        self._note(agent, why, now_us)
        self.queries.lose(agent, now_us // 1000, left=False)

    def _note(self, agent: Agent, what: str, now_us: int) -> None:
        told = agent.version and agent.version.isprintable()
        version = f", version {agent.version}" if told else ""
        self.arrivals.note("agent", agent.name, f"{what} (pid {agent.pid}{version})", now_us)

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
                self.agents.saw(agent, message, now_us)
            case Goodbye():
                self._note(agent, "said goodbye", now_us)
                self.queries.lose(agent, now_us // 1000, left=True)
                self.agents.forget(agent)
            case Hello():
                raise AssertionError(message)
            case _:
                assert_never(message)

    def _hello(self, peer: bytes, message: Hello, now_us: int, key: bytes) -> None:
        if message.protocol != PROTOCOL:
            raise ProtocolError(f"protocol {message.protocol}")
        if max(len(message.agent), len(message.proof)) > NAME_CHARACTERS_MAX:
            raise ProtocolError(f"an agent's name of {len(message.agent):,} characters")
        if not self.agents.may_greet(peer, now_us):
            return
        known = self.agents.named(message.agent)
        if known is not None and (known.key, known.proof) != (key, message.proof):
            raise ProtocolError(f"the name of another agent: {message.agent[:_LONGEST_REASON]}")
        speaker = self.agents.of_peer(peer)
        if speaker is not None and speaker.agent != message.agent:
            self.queries.lose(speaker, now_us // 1000, left=False)
        agent = self.agents.hello(peer, message, now_us, key)
        if agent is None:
            return
        if known is None or known.has_vanished:
            self._note(agent, "is here" if known is None else "is back", now_us)
        credit = self.settings.agent_credit
        times = message.sent_us, now_us, now_us
        welcome = Welcome(PROTOCOL, self.settings.name, credit, *times, self.slews)
        self.outbox.to_agent(peer, welcome)
        self.queries.regain(agent, now_us // 1000, greeted=True)
        self._offer(agent, message.streams, now_us)

    def _offer(self, agent: Agent, streams: tuple[str, ...], now_us: int) -> None:
        self.queries.offer(agent, self.agents.offer(agent, streams), now_us // 1000)
        if agent.left_out and now_us >= self._told_us + _TOLD_US:
            self._told_us = now_us
            reason = "for their names, or for want of room"
            _log.warning("%d streams of %r are left out, %s", agent.left_out, agent.name, reason)

    def _heartbeat(self, agent: Agent, message: Heartbeat, now_us: int) -> None:
        agent.beat(message)
        self.agents.note_feeds(agent)
        self._offer(agent, message.streams, now_us)  # first: the beat says that all is asked
        self.outbox.to_agent(agent.peer, Beat(message.sent_us, now_us, now_us, self.slews))
        self.queries.note_waiting(agent, message.waiting)
        for cost in message.costs[:_COSTS_MAX]:
            self._note_cost(agent, cost)

    def _note_cost(self, agent: Agent, cost: QueryCost) -> None:
        running = self.queries.get(cost.query)
        reporter = running and running.execution.reporters.all.get((agent.agent, cost.source))
        if reporter:
            longer = len(cost.screen) > _LONGEST_REASON
            reporter.cost = replace(cost, screen=cost.screen[:_LONGEST_REASON]) if longer else cost

    def _accept(self, agent: Agent, message: Accept, now_ms: int) -> None:
        running = self.queries.get(message.query)
        if running is None:
            self.outbox.to_agent(agent.peer, Unsubscribe(message.query))
            return
        reporter = running.execution.reporters.all.get((agent.agent, message.source))
        if reporter is None:
            self.queries.begin_anew(running, agent, now_ms)
            return
        self.queries.accept(running, message, reporter, now_ms)

    def _batch(self, agent: Agent, message: Batch, payload: bytes, now_ms: int) -> None:
        if message.states and len(message.parts) != 1:
            raise ProtocolError("states belong to one query")
        _check_length(message)
        clock_ms = -(-_checked_clock(message.clock_us) // 1000)
        self._give_back(agent, len(payload))
        shipment: Shipment | None = None
        self._stop_unknown(agent, message)
        strange: dict[int, None] = {}
        for part in message.parts:
            if part.has_rows and shipment is None:
                shipment = Shipment(payload, now_ms, holds_states=message.states)
            own = shipment if part.has_rows else None
            if not self.queries.take(agent, part, own, now_ms, clock_ms):
                strange[part.query] = None
        for query in strange:
            running = self.queries.get(query)
            if running is not None:
                self.queries.begin_anew(running, agent, now_ms)

    def _stop_unknown(self, agent: Agent, message: Batch) -> None:
        """Stop the queries that do not run, each once, however many parts are about it."""
        queries = dict.fromkeys(part.query for part in message.parts)
        unknown = (query for query in queries if self.queries.get(query) is None)
        for query in islice(unknown, _UNKNOWN_MAX):
            self.outbox.to_agent(agent.peer, Unsubscribe(query))

    def _give_back(self, agent: Agent, size: int) -> None:
        agent.owed += size
        if agent.owed * 4 >= self.settings.agent_credit:
            self.outbox.to_agent(agent.peer, Credit(agent.owed))
            agent.owed = 0


def _checked_clock(clock_us: int) -> int:
    """By how much an agent may take our clock wrong. Raises ProtocolError."""
    if not 0 <= clock_us <= _LARGEST:
        raise ProtocolError(f"a clock that is known to {clock_us} µs")
    return clock_us


def _check_length(message: Batch) -> None:
    """Raise ProtocolError if a message is about too much at once."""
    parts = message.parts
    told = sum(len(part.tallies) + len(part.told) for part in parts[:_PARTS_MAX])
    if len(parts) > _PARTS_MAX or told > _TALLIES_MAX:
        raise ProtocolError(f"{len(parts):,} parts that tell of {told:,} times")
    if len({(part.query, part.source) for part in parts}) < len(parts):
        raise ProtocolError("two parts about a query and a source of it")
