"""Once faults have stopped, the simulator waits for everybody before it judges."""

from __future__ import annotations

import pytest

from tests.simulator.agents import AgentProcess
from tests.simulator.questions import Asked
from tests.simulator.scenario import (
    Action,
    Ask,
    Conditions,
    Dawdle,
    Deed,
    Drop,
    Scenario,
    Stall,
)
from tests.simulator.workload import PLENTY
from tests.simulator.world import World

SLOW_SEED, QUICK_SEED = 1, 2
"""In the first one the agent plans slowly."""
COUNTS = Asked("select count(*), k from s, t window 0.3 group by k", counts=True)
CALM_US = 1_300_000


def _world(seed: int, *deeds: tuple[int, Deed]) -> World:
    conditions = Conditions(
        delay_us=(200, 200),
        pace_us=60_000,
        links=((0,),),
        skews_us=(0,),
        streams=(("s", "t"),),
        clients=(0,),
        phase_us=0,
        buffer_events=65_536,
        buffer_bytes=PLENTY,
        agent_credit=PLENTY,
        client_credit=PLENTY,
        queue_bytes=PLENTY,
        frames=1_000,
        grace_ms=1_000,
    )
    actions = tuple(Action(number, *deed) for number, deed in enumerate(deeds))
    return World(Scenario(seed, 1, conditions, actions, CALM_US))


def _agent(world: World) -> AgentProcess:
    (agent,) = world.agents
    return agent


@pytest.mark.parametrize("seed", [SLOW_SEED, QUICK_SEED])
def test_a_client_has_to_ask_again_before_all_have_found_each_other(seed: int) -> None:
    drop = Drop("client 0", 0, lingers=False, notices_us=250_000)
    world = _world(seed, (600_000, Ask(0, 0, COUNTS)), (950_000, drop))
    assert _agent(world).plans_slowly == (seed == SLOW_SEED)
    world.run()
    (subscription,) = world.known.subscriptions
    before, after = subscription.episodes
    assert after.started.query != before.started.query
    (begun_us,) = {
        us
        for running, us in world.known.agents[_agent(world).agent].begun_us.items()
        if running.key == (after.started.query, 1)
    }
    assert world.live_us >= begun_us


def test_a_call_that_a_stall_holds_up_returns_once_faults_have_stopped() -> None:
    dawdle = Dawdle(0, "s", 300_000)
    stall = Stall("agent 0", 2_500_000)
    world = _world(QUICK_SEED, (50_000, Ask(0, 0, COUNTS)), (400_000, dawdle), (500_000, stall))
    world.run()
    record = world.known.agents[_agent(world).agent]
    (took_us,) = [event.took_us for event in record.events if event.took_us]
    returned_us = 400_000 + took_us
    assert CALM_US <= returned_us <= CALM_US + world.pace_us
