"""Asking agents what they have seen, for those who ask about streams: not before, and not often."""

from __future__ import annotations

from dataclasses import dataclass

from mql.wire.messages import Look
from source_jobs.protocol.agents import Agent, Agents
from source_jobs.protocol.outbox import Outbox

Streams = tuple[str, ...] | None
"""Names of streams; None for all."""


@dataclass(frozen=True, slots=True)
class Looking:
    """Knows which agents have been asked and have not answered."""

    agents: Agents
    outbox: Outbox
    fresh_us: int
    """So long an answer is good."""

    def begin(self, streams: Streams, now_us: int) -> None:
        """Ask the agents that offer any of the streams, unless their answer is fresh."""
        for agent in self._offering(streams):
            if agent.wants_look(now_us, self.fresh_us):
                agent.looked_us = now_us
                self.outbox.to_agent(agent.peer, Look())

    def is_waiting(self, streams: Streams) -> bool:
        """Whether any of them has not answered."""
        return any(agent.looked_us is not None for agent in self._offering(streams))

    def _offering(self, streams: Streams) -> list[Agent]:
        if streams is None:
            return self.agents.present()
        offering = (a for stream in streams for a in self.agents.offering(stream))
        return list({agent.agent: agent for agent in offering}.values())
