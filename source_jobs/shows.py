"""What a client is shown of a source job, as JSON: its agents, queries, streams, and plans."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from source_jobs.agents import Agent, Agents
from source_jobs.catalogue import seen_streams
from source_jobs.queries import Queries
from source_jobs.questions import Question
from source_jobs.reporters import Reporter
from source_jobs.running import Running
from source_jobs.sessions import Sessions


@dataclass(frozen=True, slots=True)
class Shows:
    """Writes JSON. Times are in ms since 1970, durations end in their unit."""

    def agents(self, agents: Agents, queries: Queries, now_us: int) -> bytes:
        """The agents that are there, and those that lately were."""
        running = list(queries)
        return _json([_agent(a, agents.errors_of(a), running, now_us) for a in agents])

    def queries(self, queries: Queries, sessions: Sessions) -> bytes:
        """The running queries."""
        users = {s.peer: s.user for s in sessions}
        return _json([_query(running, users) for running in queries])

    def streams(self, agents: Iterable[Agent]) -> bytes:
        """The streams that agents offer, and the fields they have seen."""
        shown = []
        for name, stream in sorted(seen_streams(agents).items()):
            fields = [
                {"path": path, "kinds": list(seen.kinds), "example": seen.example}
                for path, seen in sorted(stream.fields.items())
            ]
            about = {"agents": stream.agents, "services": sorted(stream.services)}
            shown.append({"stream": name, **about, "rate": stream.rate, "fields": fields})
        return _json(shown)

    def explain(self, question: Question, agents: Agents, queries: Queries) -> bytes:
        """A query's plan, and, if it is running, what it does and costs in each agent."""
        running = queries.find(question) or _same(question, queries)
        reporters = running.execution.reporters.all if running else {}
        offering = {a.agent: a for stream in question.streams for a in agents.offering(stream)}
        rates = {a.agent: a.rate for a in agents}
        shown = [
            {
                "agent": r.agent,
                "name": r.name,
                "source": source,
                **_state(r),
                "rate": rates.get(r.agent),
                "cost": r.cost,
            }
            for (_, source), r in reporters.items()
        ]
        asked = {agent for agent, _ in reporters}
        shown += [
            {"agent": a.agent, "name": a.name, "state": "not asked"}
            for a in offering.values()
            if a.agent not in asked
        ]
        number = running.execution.number if running else None
        return _json({"plan": str(question.plan), "query": number, "agents": shown})

    def metrics(self, agents: Agents, queries: Queries, sessions: Sessions) -> bytes:
        """Sums over all queries, and how many of everything there are."""
        served = queries.ended.copy()
        for running in queries:
            served.add(running.execution)
            served.lose(running.audience.members)
        running_now = {"queries": len(queries), "clients": sum(1 for _ in sessions)}
        return _json({**served.data(), "running": running_now, "errors": agents.errors})

    def cancelled(self, query: int, subscribers: int) -> bytes:
        """What has been cancelled."""
        return _json({"cancelled": query, "subscribers": subscribers})


def _same(question: Question, queries: Queries) -> Running | None:
    """A query with the same text, even one that nobody else could share."""
    return next((r for r in queries if r.execution.question.canonical == question.canonical), None)


def _agent(agent: Agent, errors: int, running: list[Running], now_us: int) -> dict[str, object]:
    runs = [r.execution.number for r in running if r.execution.reporters.of_agent(agent.agent)]
    return {
        "agent": agent.agent,
        "service": agent.service,
        "host": agent.host,
        "pid": agent.pid,
        "version": agent.version,
        "tags": agent.tags,
        "streams": sorted(agent.streams),
        "lag_ms": agent.lag_us / 1000,
        "offset_ms": agent.offset_us / 1000,
        "dropped": agent.dropped,
        "rate": agent.rate,
        "cpu_share": agent.cpu_share,
        "watermark_ms": agent.watermark_ms,
        "silent_ms": (now_us - agent.heard_us) // 1000,
        "gone": agent.is_gone,
        "errors": errors,
        "queries": runs,
    }


def _query(running: Running, users: dict[bytes, str]) -> dict[str, object]:
    execution, members = running.execution, running.audience.members
    reporters = list(execution.reporters.all.values())
    return {
        "query": execution.number,
        "text": execution.question.text,
        "time": execution.question.time,
        "lateness_ms": execution.question.lateness_ms,
        "group": members[0].group if members else "",
        "start_ms": execution.start_ms,
        "watermark_ms": execution.watermark_ms,
        "users": sorted({users.get(member.peer, "") for member in members}),
        "subscribers": len(members),
        "rows": execution.rows_out,
        "agents": [
            {"agent": r.agent, "name": r.name, **_state(r), "cost": r.cost} for r in reporters
        ],
    }


def _state(reporter: Reporter) -> dict[str, object]:
    if reporter.refused is not None:
        return {"state": "refused", "reason": reporter.refused}
    if reporter.gone_ms is not None:
        return {"state": "left" if reporter.left else "gone"}
    return {"state": "asked" if reporter.start_ms is None else "runs"}


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)
