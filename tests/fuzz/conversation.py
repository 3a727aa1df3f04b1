"""A real conversation: agent, source job and client as cores that talk to each other.

What each of them heard is what mutations start from.
"""

from __future__ import annotations

from functools import cache

from mql.wire.messages import Ask
from tests.fuzz.script import ACT, HEAR, HEAR_TWO, TIME, Step, write
from tests.fuzz.worlds import QUERIES, AgentWorld, ClientWorld, Heard, JobWorld

AGENT, CLIENT = 1, 9
"""Their numbers as peers of the source job."""

_LEAVES = 4


@cache
def conversation(rounds: int = 40) -> dict[str, tuple[Step, ...]]:
    """The story of each of the three, by name, as steps that can be told again."""
    agent, job, client = AgentWorld(), JobWorld(), ClientWorld()
    told: dict[str, list[Step]] = {"agent": [], "job": [], "client": []}
    for number, query in enumerate(QUERIES):
        client._take(client.state.ask(100 + number, Ask(0, query), client.now_us))
    client._take(client.state.show("agents")[1])
    for round_ in range(rounds):
        for number in range(6, 30, 3 + round_ % 2):
            agent.act(number)
            told["agent"].append((ACT, number, []))
        for world, name in ((agent, "agent"), (job, "job"), (client, "client")):
            world.pass_time(100_000)
            told[name].append((TIME, 3, []))
        _deliver(agent.sent, job, AGENT, told["job"], only=0)
        _deliver(client.sent, job, CLIENT, told["job"])
        to_agent = [(0, frames) for peer, frames in job.sent if peer == AGENT]
        to_client = [(0, frames) for peer, frames in job.sent if peer == CLIENT]
        job.sent.clear()
        _deliver(to_agent, agent, 0, told["agent"])
        _deliver(to_client, client, 0, told["client"])
    return {name: tuple(steps) for name, steps in told.items()}


def _deliver(
    sent: list[Heard],
    world: AgentWorld | JobWorld | ClientWorld,
    as_peer: int,
    told: list[Step],
    *,
    only: int | None = None,
) -> None:
    for peer, frames in sent:
        if only is None or peer == only:
            world.hear(as_peer, frames)
            told.append((HEAR if len(frames) == 1 else HEAR_TWO, as_peer, frames))
    sent.clear()


def stories(name: str, length: int = 40) -> list[bytes]:
    """The story of one of them in pieces, each beginning with its first steps."""
    steps = conversation()[name]
    return [
        write((*steps[:length], *steps[start : start + length]))
        for start in range(length, len(steps), length)
    ]
