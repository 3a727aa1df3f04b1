"""Draws a scenario from a seed: mostly small ones, in which a few things go wrong together."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.simulator.questions import POOL, WEIGHTS, Asked
from tests.simulator.scenario import (
    Action,
    Ask,
    Block,
    Close,
    Conditions,
    Crash,
    Dawdle,
    Deed,
    Drop,
    Leave,
    Lost,
    Offer,
    Pause,
    Publish,
    Scenario,
    SetClock,
    Show,
    Slow,
    Stall,
    Straggle,
)

SECOND_US = 1_000_000
PLENTY = 1 << 23
LENGTHS_US = (
    (1_000_000, 2_500_000),
    (3_000_000, 5_000_000),
    (12_000_000, 15_000_000),
    (68_000_000, 74_000_000),
)
"""How long things go wrong: for long enough that somebody is taken for gone, or is forgotten, and
longer than any time that anybody waits."""
_CALLS_US = (10_000, 250_000), (10_000, 250_000), (260_000, 700_000)
"""How long a `publish` takes that takes long: for as long as it is waited for, and for longer."""
LONGEST_US = 60_000_000


def scenario(seed: int) -> Scenario:
    """The scenario of a seed."""
    dice = Random(seed)
    jobs = 2 if dice.random() < 0.15 else 1
    agents = dice.choice([1, 1, 2, 2, 2, 3])
    clients = tuple(dice.randrange(jobs) for _ in range(dice.choice([1, 1, 2])))
    conditions = _conditions(dice, jobs, agents, clients)
    (length,) = dice.choices(list(LENGTHS_US), (65, 32, 2, 1))
    calm_us = dice.randrange(*length)
    deeds = [
        *_asks(dice, clients, calm_us),
        *_publishing(dice, conditions, calm_us),
        *_faults(dice, conditions, jobs, calm_us),
    ]
    deeds.sort(key=lambda each: each[0])
    deeds += _slow_calls(Random(f"{seed} calls"), conditions, calm_us)
    actions = tuple(Action(n, at, deed) for n, (at, deed) in enumerate(deeds))
    return Scenario(seed, jobs, conditions, actions, calm_us)


Timed = tuple[int, Deed]


def _conditions(dice: Random, jobs: int, agents: int, clients: tuple[int, ...]) -> Conditions:
    low = dice.choice([200, 1_000, 5_000])
    links = [tuple(range(jobs)) for _ in range(agents)]
    if dice.random() < 0.05:
        links[0] = (0, 0)  # two addresses of one source job
    return Conditions(
        delay_us=(low, low * dice.choice([1, 3, 8])),
        pace_us=dice.choice([15_000, 40_000, 60_000, 80_000, 100_000, 120_000]),
        links=tuple(links),
        skews_us=tuple(_skew(dice) for _ in range(agents)),
        streams=tuple(dice.choice([("s",), ("s", "t"), ("s", "t")]) for _ in range(agents)),
        clients=clients,
        phase_us=dice.randrange(SECOND_US),
        buffer_events=_rarely(dice, 0.15, dice.randrange(2, 10), 65_536),
        buffer_bytes=_rarely(dice, 0.05, 800, 1 << 24),
        agent_credit=_rarely(dice, 0.12, dice.randrange(1_000, 6_000), PLENTY),
        client_credit=_rarely(dice, 0.18, dice.randrange(1_000, 6_000), PLENTY),
        queue_bytes=_rarely(dice, 0.1, dice.randrange(500, 4_000), PLENTY),
        frames=_rarely(dice, 0.14, dice.randrange(1, 5), 1_000),
        grace_ms=dice.choice([1_000, 1_000, 1_400]),
    )


def _rarely(dice: Random, chance: float, rare: int, usual: int) -> int:
    return rare if dice.random() < chance else usual


def _skew(dice: Random) -> int:
    return 0 if dice.random() < 0.3 else dice.randrange(-10 * SECOND_US, 10 * SECOND_US)


def _question(dice: Random) -> Asked:
    (kind,) = dice.choices(list(WEIGHTS), list(WEIGHTS.values()))
    return dice.choice(POOL[kind])


def _asks(dice: Random, clients: tuple[int, ...], calm_us: int) -> list[Timed]:
    deeds: list[Timed] = []
    again = [_question(dice)]
    for handle in range(dice.choice([1, 1, 2, 3])):
        asked = dice.choice(again) if handle and dice.random() < 0.3 else _question(dice)
        again.append(asked)
        client = dice.randrange(len(clients))
        at = dice.randrange(SECOND_US) if dice.random() < 0.7 else dice.randrange(calm_us)
        ttl_ms = dice.randrange(700, 4_000) if dice.random() < 0.15 else 0
        group = "g" if dice.random() < 0.1 else ""
        deeds.append((at, Ask(client, handle, asked, group, ttl_ms)))
        if group:
            deeds.append((at, Ask(client, handle + 100, asked, group, ttl_ms)))
        if dice.random() < 0.12:
            deeds.append((dice.randrange(at, at + calm_us), Leave(client, handle)))
    if dice.random() < 0.2:
        what = dice.choice(["agents", "queries", "streams"])
        deeds.append((dice.randrange(calm_us), Show(dice.randrange(len(clients)), what)))
    return deeds


def _publishing(dice: Random, conditions: Conditions, calm_us: int) -> list[Timed]:
    deeds: list[Timed] = []
    for agent, streams in enumerate(conditions.streams):
        at = dice.randrange(200_000)
        every_us = dice.choice([150_000, 300_000, 600_000])
        while at < calm_us:
            stream = dice.choice(streams)
            count = dice.choice([1, 2, 5, 12])
            deeds.append((at, Publish(agent, stream, count, dice.choice([0, 300, 4_000]))))
            if dice.random() < 0.03:
                deeds.append((at, Lost(agent, stream, dice.randrange(1, 9))))
            if dice.random() < 0.05:
                deeds.append((at, Straggle(agent, stream, dice.randrange(9_000))))
            at += dice.randrange(1_000, 2 * every_us)
        if len(streams) == 1 and dice.random() < 0.3:
            at = dice.randrange(calm_us)
            deeds += [(at, Offer(agent, "t")), (at + 5_000, Publish(agent, "t", 4, 50_000))]
    return deeds


def _slow_calls(dice: Random, conditions: Conditions, calm_us: int) -> list[Timed]:
    """Calls of `publish` that take long; of dice of their own, so that all else stays as it is."""
    if dice.random() < 0.7:
        return []
    deeds: list[Timed] = []
    for _ in range(dice.choice([2, 4, 8, 16])):
        agent = dice.randrange(len(conditions.streams))
        for_us = dice.randrange(*dice.choice(_CALLS_US))
        stream = dice.choice(conditions.streams[agent])
        deeds.append((dice.randrange(calm_us), Dawdle(agent, stream, for_us)))
    return deeds


def _faults(dice: Random, conditions: Conditions, jobs: int, calm_us: int) -> list[Timed]:
    agents, clients = len(conditions.links), len(conditions.clients)
    kinds: list[Callable[[], Deed]] = [
        lambda: Drop(_process(), _route(), dice.random() < 0.5, dice.randrange(900_000)),
        lambda: Block(
            _process(), _route(), *dice.choice(_WAYS), _span(min(12_000, calm_us // 1_000))
        ),
        lambda: Slow(_process(), _route(), dice.randrange(20_000, SECOND_US), _span(2_000)),
        lambda: Stall(_any(), _span(4_000)),
        lambda: Crash(_any(), _span(2_000)),
        lambda: Close(dice.randrange(agents), _span(1_500)),
        lambda: Pause(dice.randrange(clients), _span(4_000)),
        lambda: Drop(_process(), _route(), dice.random() < 0.5, dice.randrange(900_000)),
    ]

    def _process() -> str:
        names = [f"agent {i}" for i in range(agents)] * 2 + [f"client {i}" for i in range(clients)]
        return dice.choice(names)

    def _any() -> str:
        return dice.choice([_process(), f"job {dice.randrange(jobs)}"])

    def _route() -> int:
        return dice.randrange(jobs)

    def _span(most_ms: int) -> int:
        return dice.randrange(10_000, most_ms * 1_000)

    number = dice.choice([0, 1, 2, 2, 3, 4, 6])
    favourite = dice.sample(kinds, 2)
    deeds: list[Timed] = []
    for _ in range(number):
        make = dice.choice(favourite if dice.random() < 0.6 else kinds)
        deeds.append((dice.randrange(100_000, calm_us * 3 // 4), make()))
    if calm_us > LONGEST_US:
        agent = f"agent {dice.randrange(agents)}"
        long_us = LONGEST_US + dice.randrange(1, 7) * SECOND_US
        either = dice.choice([Block(agent, 0, *dice.choice(_WAYS), long_us), Crash(agent, long_us)])
        deeds.append((dice.randrange(1_500_000), either))
    if dice.random() < 0.03:
        by_us = dice.choice([-1, 1]) * dice.randrange(100_000, 10 * SECOND_US)
        deeds.append((dice.randrange(calm_us), SetClock(dice.randrange(agents), by_us)))
    return deeds


_WAYS = [(True, True), (True, True), (True, False), (False, True)]
