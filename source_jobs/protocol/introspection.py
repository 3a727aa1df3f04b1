"""What a client is shown of a source job, as JSON: its agents, queries, streams, and plans."""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from mql.wire.messages import Show
from source_jobs.protocol.agents import Agent, Agents
from source_jobs.protocol.catalogue import seen_stream
from source_jobs.protocol.pages import Page, page_of
from source_jobs.protocol.registry import Queries
from source_jobs.protocol.sessions import Sessions
from source_jobs.protocol.shared_query import Running
from source_jobs.query.live_query import Question
from source_jobs.query.reporters import Reporter

_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Shows:
    """Writes JSON. Times are in ms since 1970, durations end in their unit."""

    def agents(self, show: Show, agents: Agents, queries: Queries, now_us: int) -> Page:
        """The agents that are there, and those that lately were, by service and host."""
        running = list(queries)

        def entry(agent: Agent) -> dict[str, object]:
            if show.brief:
                return _brief(agent)
            return _agent(agent, agents.errors_of(agent), running, now_us)

        following = sorted((a for a in agents if _place(a) > show.after), key=_place)
        return page_of(following, entry, _place, show.limit)

    def queries(self, show: Show, queries: Queries, sessions: Sessions) -> Page:
        """The running queries, by number."""
        users = {s.peer: s.user for s in sessions}
        after = int(show.after) if _NUMBER.fullmatch(show.after) else 0
        following = [running for running in queries if running.execution.number > after]
        return page_of(
            following,
            lambda running: _query(running, users),
            lambda running: str(running.execution.number),
            show.limit,
        )

    def streams(self, show: Show, agents: Agents) -> Page:
        """The streams that agents offer, by alphabet, and the fields they have seen."""

        def entry(name: str) -> dict[str, object] | None:
            return _stream(name, agents, brief=show.brief)

        return page_of(agents.streams(show.after), entry, str, show.limit)

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
        about: dict[str, int | None] = {"query": None, "start_ms": None}
        if running:
            about = {"query": running.execution.number, "start_ms": running.execution.start_ms}
        return _json({"plan": str(question.plan), **about, "agents": shown})

    def metrics(self, agents: Agents, queries: Queries, sessions: Sessions) -> bytes:
        """Sums over all queries, and how many of everything there are."""
        served = queries.ended.copy()
        for running in queries:
            served.add(running.execution)
            served.lose(running.audience.members)
        running_now = {
            "queries": len(queries),
            "clients": len(sessions),
            "waiting": sum(len(session.asks) for session in sessions),
            "queued_bytes": sum(session.queued_bytes for session in sessions),
            "held_bytes": queries.held.used,
        }
        return _json({**served.data(), "running": running_now, "errors": agents.errors})

    def cancelled(self, query: int, subscribers: int) -> bytes:
        """What has been cancelled."""
        return _json({"cancelled": query, "subscribers": subscribers})


def _same(question: Question, queries: Queries) -> Running | None:
    """A query with the same text, even one that nobody else could share."""
    return next((r for r in queries if r.execution.question.canonical == question.canonical), None)


def _stream(name: str, agents: Agents, *, brief: bool) -> dict[str, object] | None:
    """A stream, unless all who offered it have vanished."""
    stream = seen_stream(name, agents, 0) if brief else seen_stream(name, agents)
    if not stream.agents:
        return None
    if brief:
        return {"stream": name, "agents": stream.agents, "rate": stream.rate}
    fields = [
        {"path": path, "kinds": list(seen.kinds), "example": seen.example}
        for path, seen in sorted(stream.fields.items())
    ]
    about = {"agents": stream.agents, "services": sorted(stream.services)}
    return {"stream": name, **about, "rate": stream.rate, "fields": fields}


def _place(agent: Agent) -> str:
    """Where an agent stands among all."""
    return f"{agent.name} {agent.agent}"


def _brief(agent: Agent) -> dict[str, object]:
    """What can be added up of agents."""
    return {
        "agent": agent.agent,
        "service": agent.service,
        "lag_ms": agent.lag_us / 1000,
        "dropped": agent.dropped,
        "gone": agent.has_vanished,
    }


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
        "streams_left_out": agent.left_out,
        "lag_ms": agent.lag_us / 1000,
        "offset_ms": agent.offset_us / 1000,
        "clock_ms": agent.clock_us / 1000,
        "dropped": agent.dropped,
        "rate": agent.rate,
        "cpu_share": agent.cpu_share,
        "watermark_ms": agent.watermark_ms,
        "silent_ms": (now_us - agent.heard_us) // 1000,
        "gone": agent.has_vanished,
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
    if not reporter.is_there:
        return {"state": "left" if reporter.told_all else "gone"}
    return {"state": "asked" if reporter.start_ms is None else "runs"}


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)
