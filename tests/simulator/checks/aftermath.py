"""What has to be true when a run is over: of all answers, of those who share, of who is left."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.simulator.agents import AgentProcess
from tests.simulator.checks.answers import GONE_MS, Answer
from tests.simulator.checks.oracle import check_answer
from tests.simulator.processes import ClientProcess
from tests.simulator.records import Failure, Subscription

if TYPE_CHECKING:
    from tests.simulator.world import World


def check(world: World) -> None:
    """Check everything that came out of a run. Raises Failure."""
    shared: dict[tuple[str, int, str], Counter[object]] = {}
    for subscription in world.known.subscriptions:
        _check_gaps(subscription)
        for episode in subscription.episodes:
            answer = Answer(world, subscription, episode)
            check_answer(answer)
            if subscription.group and subscription.asked.is_apart:
                key = episode.job, episode.started.query, subscription.group
                shared.setdefault(key, Counter()).update(row["n"] for row in answer.rows)
    for key, counts in shared.items():
        if twice := [n for n, times in counts.items() if times > 1]:
            raise Failure("twice", f"a group of query {key[1]} has got events {twice[:5]} twice")
    for agent in world.agents:
        _check_agent(world, agent)
    for client in world.clients:
        _check_client(world, client)
    _check_the_gone(world)


def _check_gaps(subscription: Subscription) -> None:
    """Each answer after the first says for which time there was none."""
    for before, after in pairwise(subscription.episodes):
        gap = after.started.gap
        known_ms = max(before.told_ms, before.started.start_ms)
        if gap is None or gap.from_ms is None or gap.from_ms > known_ms:
            who = f"{subscription.client.name} ({subscription.asked.text!r})"
            raise Failure("gap", f"{who} knew all up to {known_ms}, and is told of {gap}")
    if subscription.episodes and subscription.episodes[0].started.gap is not None:
        raise Failure("gap", "a first answer says that something is missing before it")


def _check_agent(world: World, process: AgentProcess) -> None:
    """No credit is lost, and nothing runs that has ended."""
    for number, link in process.state.links.items():
        job = world.jobs[world.known.agents[process.agent].jobs[number]]
        known = job.state.agents.named(process.agent)
        if link.is_spare or known is None or not link.welcomed:
            continue
        left = [key for key in link.queries if job.state.queries.get(key[0]) is None]
        if left:
            raise Failure("gone", f"{process.name} still runs {left}, which {job.name} ended")
        if link.credit + known.owed < job.settings.agent_credit:
            has = f"may send {link.credit} bytes and is owed {known.owed}"
            raise Failure("credit", f"{process.name} {has}, of {job.settings.agent_credit}")


def _check_client(world: World, process: ClientProcess) -> None:
    """No credit is lost: all that came has been read."""
    for session in world.jobs[world.job_of(process)].state.sessions:
        if session.client == process.client:
            has = session.credit + process.state._returned
            if has < process.credit:
                raise Failure("credit", f"{process.name} is granted {has} of {process.credit}")


def _check_the_gone(world: World) -> None:
    """Nothing is done for clients that were killed long ago, as far as their job could hear."""
    for job in world.jobs:
        for session in job.state.sessions:
            died_us = world.known.died_us.get(session.client, world.now_us)
            silent_us = world.now_us - max(died_us, job.stalled_until_us)
            if silent_us > (GONE_MS + 1_000) * 1_000:
                raise Failure("gone", f"{job.name} still works for a client that was killed")
