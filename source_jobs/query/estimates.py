"""What is said of an answer's columns where events were sampled: by how much each may be off."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isfinite, isnan, nan

import msgspec

from mql.exec.aggregates.sampling_error import least_error
from mql.language.format import format_aggregate
from mql.language.functions import FUNCTIONS
from mql.language.syntax import Aggregate, RandomSample, TimeWindow
from mql.ledger import Completeness
from mql.planner.logical import Extrapolate, LogicalPlan, RollUp, Sample, WindowAggregate
from mql.planner.split import QueryPlan


def weighs(job: LogicalPlan) -> bool:
    """Whether counts and sums are scaled: those over windows of time.

    What comes before the aggregate, a join or a limit of the rate, would make that wrong.
    """
    first = job[0] if job else None
    return isinstance(first, WindowAggregate) and isinstance(first.window, TimeWindow)


def own_share(plan: QueryPlan) -> float | None:
    """What a query keeps of all events, if it scales by that; None where whole keys are kept."""
    if not any(isinstance(step, Extrapolate) for step in plan.job):
        return 1.0
    for step in plan.agent.steps:
        match step:
            case Sample(RandomSample() as sample):
                return min(1.0, sample.threshold / sample.factor)
    return None


def with_errors(known: Completeness, plan: QueryPlan, sampled: Mapping[str, float]) -> Completeness:
    """What is known of a window, with the errors of its columns, as its aggregates have `sampled`.

    What was lost beside the sample may be any events, each of which may have stood for others. By
    so many a count may be off, but also if nobody knows how many there were; by how much a sum may
    be, nobody knows.
    """
    errors = stated_errors(plan, sampled, known.tally.weight)
    lost = known.lost * known.tally.weight / (own_share(plan) or 1.0)
    if known.reported < known.expected:
        lost = inf
    if lost:
        counts = _counts(plan.job)
        errors = {name: error + (lost if name in counts else inf) for name, error in errors.items()}
    stated = {name: error for name, error in errors.items() if isfinite(error)}
    unstated = tuple(name for name in errors if name not in stated)
    return msgspec.structs.replace(known, errors=stated, unstated=unstated)


def stated_errors(plan: QueryPlan, known: Mapping[str, float], weight: int) -> dict[str, float]:
    """By how much the columns of a window's rows may be off, from what its aggregates know.

    It is infinite where nothing can be said. One event stood for up to `weight`, so of a count that
    much may not have been seen at all. Of a sum of which nothing was seen nothing can be said. What
    is computed from several is left out.
    """
    share = own_share(plan)
    if not weighs(plan.job) or (weight == 1 and share == 1 and not known):
        return {}
    columns: dict[str, tuple[str, float]] = {}
    for name, (shown, aggregate) in _scaled(plan.job).items():
        error = known.get(format_aggregate(aggregate), nan)
        if share is None:
            error = inf
        elif aggregate.function == "COUNT":
            error = max(0.0 if isnan(error) else error, least_error(weight, share))
        elif isnan(error):
            error = inf if weight > share else 0.0
        columns[name] = shown, error
    for step in plan.job:
        if isinstance(step, Extrapolate):
            for name in columns.keys() & {output.name for output in step.outputs}:
                shown, error = columns[name]
                columns[name] = shown, error * step.factor / step.threshold
    return dict(columns.values())


def _scaled(job: LogicalPlan) -> dict[str, tuple[str, Aggregate]]:
    """The columns that are a count or a sum and nothing else: what each is called when shown."""
    found = {}
    for output in (output for step in job if isinstance(step, RollUp) for output in step.outputs):
        match output.values:
            case (Aggregate(function, _, False) as aggregate,) if not output.hidden:
                if FUNCTIONS[function].scales:
                    found[output.name] = ".".join(output.path), aggregate
    return found


def _counts(job: LogicalPlan) -> set[str]:
    """The columns that are a count, as they are shown."""
    return {shown for shown, aggregate in _scaled(job).values() if aggregate.function == "COUNT"}
