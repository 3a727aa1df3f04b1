"""Makes a failing scenario small: leaves out actions as long as the same thing goes wrong."""

from __future__ import annotations

from dataclasses import replace

from tests.simulator.records import Failure
from tests.simulator.scenario import Action, Scenario
from tests.simulator.world import run

MOST_RUNS = 300


def shrink(scenario: Scenario, kind: str) -> tuple[Scenario, Failure]:
    """The smallest scenario found that fails in the same way, and how it does."""
    runs = 0
    _, failure = run(scenario)
    assert failure is not None
    size = len(scenario.actions) // 2
    while size:
        start = 0
        while start < len(scenario.actions) and runs < MOST_RUNS:
            runs += 1
            smaller = without(scenario, scenario.actions[start : start + size])
            _, found = run(smaller)
            if found is not None and found.kind == kind:
                scenario, failure = smaller, found
            else:
                start += size
        size //= 2
    return scenario, failure


def without(scenario: Scenario, actions: tuple[Action, ...]) -> Scenario:
    """The scenario without some actions; all others happen as they did."""
    return replace(scenario, actions=tuple(a for a in scenario.actions if a not in actions))


def only(scenario: Scenario, numbers: set[int]) -> Scenario:
    """The scenario with the actions of these numbers alone."""
    return replace(scenario, actions=tuple(a for a in scenario.actions if a.number in numbers))


def replay(scenario: Scenario, failure: Failure, defect: int | None = None) -> str:
    """What somebody needs to see it happen: the conditions, what is done, and the command."""
    switched = "" if defect is None else f" --defect {defect}"
    numbers = ",".join(str(action.number) for action in scenario.actions)
    lines = [str(failure), "", f"{scenario.conditions}", ""]
    lines += [f"{a.at_us:>10} µs  {a.deed}" for a in scenario.actions]
    lines += [f"{scenario.calm_us:>10} µs  no more faults", ""]
    lines += [f"python -m tests.simulator --seed {scenario.seed} --only {numbers or '-'}{switched}"]
    return "\n".join(lines)
