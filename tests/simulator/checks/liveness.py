"""Whether everybody has found each other, and answers go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulator.agents import AgentProcess
from tests.simulator.processes import ClientProcess, JobProcess

if TYPE_CHECKING:
    from tests.simulator.world import World


def missing(world: World) -> str:
    """Who has not found whom, in words; nothing if all have."""
    problems = [_agent_lacks(world, process) for process in world.agents]
    problems += [_client_lacks(world, process) for process in world.clients]
    problems += [
        f"{subscription.client.name} has no answer to {subscription.asked.text!r}"
        for subscription in world.known.subscriptions
        if subscription.client.is_alive and not subscription.is_begun
    ]
    return next(filter(None, problems), "")


def behind(world: World) -> str:
    """Which answer does not yet tell of all that was published, in words."""
    told_ms: dict[tuple[str, int, str], int] = {}
    waiting = [each for each in world.known.subscriptions if each.is_waiting]
    for each in waiting:
        told_ms[each.shares] = max(told_ms.get(each.shares, 0), each.episodes[-1].told_ms)
    latest_ms = {
        n: world.known.latest_ms(n, job.now_us // 1000) for n, job in enumerate(world.jobs)
    }
    for each in waiting:
        if told_ms[each.shares] <= latest_ms[world.job_of(each.client)]:
            return f"{each.client.name}: the answer to {each.asked.text!r} does not go on"
    return ""


def _unconnected(process: AgentProcess | ClientProcess) -> bool:
    connections = [dialer.connection for dialer in process.dialers]
    return any(each is None or not each.is_open for each in connections)


def _client_lacks(world: World, process: ClientProcess) -> str:
    job, state = world.jobs[world.job_of(process)], process.state
    if _unconnected(process) or not state.connected or state.job != job.job:
        return f"{process.name} is not connected to {job.name}"
    # What it heard of a connection that has broken since is over: it will have to ask again.
    connection = process.dialers[0].connection
    session = None if connection is None else job.state.sessions.get(connection.peer)
    if session is None:
        return f"{job.name} does not know that {process.name} is there"
    if not session.subscribers.keys() >= state._handles.keys():
        return f"{job.name} has not been asked again what {process.name} asks"
    return ""


def _agent_lacks(world: World, process: AgentProcess) -> str:
    if _unconnected(process):
        return f"{process.name} is not connected"
    for dialer in process.dialers:
        job, link = world.jobs[dialer.job], process.state.links.get(dialer.link)
        if link is not None and link.is_spare:
            continue
        if link is None or not link.welcomed or link.job != job.job:
            return f"{process.name} has not been welcomed by {job.name}"
        known = job.state.agents.named(process.agent)
        if known is None or known.has_vanished or not known.streams.issuperset(process.streams):
            return f"{job.name} does not know that {process.name} is there"
        if problem := _query_lacks(job, process, dialer.link):
            return problem
    return ""


def _query_lacks(job: JobProcess, process: AgentProcess, link: int) -> str:
    for running in job.state.queries:
        execution = running.execution
        for source, stream in enumerate(execution.question.streams):
            if stream not in process.streams or execution.end_ms is not None:
                continue
            reporter = execution.reporters.all.get((process.agent, source))
            here = process.state.links[link].queries.get((execution.number, source))
            if reporter is None or reporter.waits or not reporter.reports or here is None:
                return f"{process.name} does not run query {execution.number} of {job.name}"
    return ""
