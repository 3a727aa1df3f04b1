"""Runs a scenario on a fleet, times it, and compares what was told with what was recorded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import monotonic, sleep

from benchmarks.processes import NotReadyError, until
from source_jobs.client import Client, HttpClient, SourceJobError
from source_jobs.query.reporters import EXPECTED_MS
from tests.faults.account import Account, account, life_of
from tests.faults.fleet import Fleet, Service
from tests.faults.scenarios import Scenario, Skipped, Stage, Takes
from tests.faults.watch import COUNTS, ROWS, Watch

RECOVERS_S = 5.0
"""So long after a return, or until all is whole but for the dead."""
FORGETS_S = EXPECTED_MS / 1000
"""So long a service that was killed is expected."""
_STEADY_S, _PATIENCE_S = 1.5, 30.0
_QUIET_WINDOWS = 5
_VANISHED_S = 1.5
"""Up to so long before it was killed a service had said its last word."""


@dataclass(frozen=True, slots=True)
class Result:
    """A row of the table. `notice_s` is None if nothing was told, or nothing had to be."""

    scenario: str
    what: str
    notice_s: float | None = None
    recover_s: float | None = None
    told: Account | None = None
    problems: tuple[str, ...] = ()
    skipped: str = ""


def run(
    name: str,
    scenario: Scenario,
    fleet: Fleet,
    client: Client | HttpClient,
    recovers_s: float = RECOVERS_S,
    *,
    to_the_end: bool = True,
) -> Result:
    """Hurt the fleet, watch it recover, and account for every event.

    Who was killed is expected for a minute. `to_the_end` waits for that, until answers say that
    they are gone; else the source job still expects them after this.
    """
    stage = Stage(fleet, client)
    try:
        return _run(name, scenario, stage, recovers_s, to_the_end=to_the_end)
    except Skipped as reason:
        return Result(name, scenario.what, skipped=str(reason))
    except (NotReadyError, SourceJobError) as error:
        return Result(name, scenario.what, problems=(str(error),))
    finally:
        fleet.networks.heal()
        fleet.pause(paused=False)
        for service in stage.restarts:
            fleet.start(service)
        fleet.wait_known(client)


def _run(
    name: str, scenario: Scenario, stage: Stage, recovers_s: float, *, to_the_end: bool
) -> Result:
    fleet, client = stage.fleet, stage.client
    fleet.pause(paused=True)
    with Watch(client, COUNTS) as counts, Watch(client, ROWS) as rows:
        _wait_accepted(client, (counts, rows), len(fleet.services))
        first = {s.pid: s.record.published for s in fleet.services.values()}
        known = list(fleet.services.values())
        fleet.pause(paused=False)
        counts.wait_whole(len(fleet.services), _PATIENCE_S)
        sleep(_STEADY_S)
        scenario.act(stage)
        _wait_recovered(counts, stage, stage.over_s + _PATIENCE_S)
        problems = _slow(counts, stage, recovers_s)
        if stage.dead and to_the_end:
            problems += _bury(counts, stage, recovers_s)
        fleet.pause(paused=True)
        _wait_quiet(counts, stage)
        sleep(1.2)  # what does not match is told once a second
    lives = known + [s for s in fleet.services.values() if s.pid not in first]
    result = _result(name, scenario, stage, (counts, rows), lives, first)
    return replace(result, problems=(*result.problems, *problems))


def _slow(counts: Watch, stage: Stage, recovers_s: float) -> list[str]:
    recover = _recovered_s(counts, stage)
    if recover is not None and recover < recovers_s:
        return []
    but = f" but for {', '.join(stage.dead)}" if stage.dead else ""
    return [f"not whole{but} within {recovers_s:.0f} s"]


def _bury(counts: Watch, stage: Stage, recovers_s: float) -> list[str]:
    """Wait until nobody expects the dead any more; what was not right until then, and is now."""
    dead, agents = tuple(stage.dead), len(stage.fleet.services)
    stage.dead.clear()
    forgotten_s = stage.hurt_s + FORGETS_S
    _wait_recovered(counts, stage, forgotten_s + _PATIENCE_S)
    whole = _recovered_s(counts, stage)
    problems = []
    if whole is None or whole + stage.over_s >= forgotten_s + recovers_s:
        problems.append(f"not whole {FORGETS_S + recovers_s:.0f} s after they were killed")
    until_s = forgotten_s - _VANISHED_S
    meanwhile = [s for s in counts.since(stage.hurt_s + recovers_s) if s.at_s < until_s]
    if not all(each.is_whole(agents, dead) for each in meanwhile):
        problems.append(f"not whole but for the dead, all of {FORGETS_S:.0f} s")
    if not counts.seen[-1].names_gone(dead):
        problems.append(f"not said to be gone: {', '.join(dead)}")
    return problems


def _result(
    name: str,
    scenario: Scenario,
    stage: Stage,
    watches: tuple[Watch, Watch],
    lives: list[Service],
    first: dict[int, int],
) -> Result:
    counts, rows = watches
    agents = len(stage.fleet.services)
    of_lives = [life_of(s, first.get(s.pid), counts.seen) for s in lives]
    told = account(of_lives, counts.seen, agents, counts.unseen_late)
    after = counts.since(stage.hurt_s)
    notice = next((each.at_s - stage.hurt_s for each in after if each.tells_of_trouble), None)
    recover = _recovered_s(counts, stage)
    problems = []
    if scenario.notices and notice is None:
        problems.append("nothing was told")
    if not told.is_told:
        problems.append(f"{told.unnamed} events are absent unnamed, {told.lost} reported")
    if scenario.takes is Takes.NOTHING:
        problems += _inexact(told, rows, lives, first)
    return Result(name, scenario.what, notice, recover, told, tuple(problems))


def _inexact(told: Account, rows: Watch, lives: list[Service], first: dict[int, int]) -> list[str]:
    """What is not right to the event, where it has to be."""
    problems = []
    if not told.is_exact:
        problems.append(
            f"counts: {told.published} published, {told.seen} in the ledger, "
            f"{told.absent} absent, {told.lost} reported as lost"
        )
    complete = [each.completeness for each in rows.seen if each.completeness is not None]
    seen = sum(known.tally.seen + known.transit for known in complete)
    if seen != told.published:
        problems.append(f"rows: {told.published} published, {seen} in the ledger")
    got = {(r["pid"], r["number"]) for each in rows.seen for r in each.window.rows()}
    there = {
        (s.pid, number)
        for s in lives
        for number in range(first.get(s.pid, 0), s.record.published)
        if number % 61 == 0
    }
    lost = sum(known.lost for known in complete)
    if not got <= there or len(there - got) > lost:
        problems.append(f"rows: {len(there - got)} absent, {lost} reported as lost")
    return problems


def _wait_accepted(client: Client | HttpClient, watches: tuple[Watch, ...], agents: int) -> None:
    """Wait until all agents run the queries."""
    numbers = {watch.query_id for watch in watches}

    def accepted() -> bool:
        running = [q for q in client.queries() if q["query"] in numbers]
        states = [a["state"] for q in running for a in q["agents"]]  # type: ignore[attr-defined]
        return states.count("runs") >= agents * len(numbers)

    until(accepted, "all agents run the queries")


def _wait_recovered(counts: Watch, stage: Stage, end_s: float) -> None:
    """Wait for windows that are whole, and were so for two seconds, or for the end of patience."""
    while monotonic() < end_s:
        fresh = counts.since(stage.over_s)
        last = fresh[-4:]
        if len(last) == 4 and all(stage.is_whole(each) for each in last):
            return
        sleep(0.05)


def _recovered_s(counts: Watch, stage: Stage) -> float | None:
    """From when nothing hurt any more to the first whole window after which all were."""
    fresh = [each for each in counts.since(stage.over_s) if each.window.completeness]
    bad = [i for i, each in enumerate(fresh) if not stage.is_whole(each)]
    following = fresh[bad[-1] + 1 :] if bad else fresh
    return following[0].at_s - stage.over_s if following else None


def _wait_quiet(counts: Watch, stage: Stage) -> None:
    """Wait for windows in which nothing was published, so that all before has been told."""
    end = monotonic() + _PATIENCE_S
    while monotonic() < end:
        last = counts.seen[-_QUIET_WINDOWS:]
        if all(stage.is_whole(s) and s.completeness.tally.seen == 0 for s in last):  # type: ignore[union-attr]
            return
        sleep(0.05)
    raise NotReadyError("windows do not become quiet after all services paused")
