"""What is said of an answer's columns where agents have sampled: by how much each may be off."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from mql.exec.spread import least_error
from mql.format import format_aggregate
from mql.functions import FUNCTIONS
from mql.planner.logical import Extrapolate, LogicalPlan, RollUp, WindowAggregate
from mql.syntax import Aggregate, TimeWindow


def weighs(job: LogicalPlan) -> bool:
    """Whether counts and sums are scaled: those over windows of time.

    What comes before the aggregate, a join or a limit of the rate, would make that wrong.
    """
    first = job[0] if job else None
    return isinstance(first, WindowAggregate) and isinstance(first.window, TimeWindow)


def stated_errors(job: LogicalPlan, known: Mapping[str, float], weight: int) -> dict[str, float]:
    """By how much the columns of a window's rows may be off, from what its aggregates know.

    One event stood for up to `weight`, so of a count that much may not have been seen at all. Of a
    sum of which nothing was seen, and of what is computed from several, nothing is said.
    """
    if not weighs(job) or (weight == 1 and not known):
        return {}
    columns: dict[str, tuple[str, float]] = {}
    for step in job:
        if isinstance(step, RollUp):
            for output in step.outputs:
                match output.values:
                    case (Aggregate(function, _, False) as aggregate,) if not output.hidden:
                        error = known.get(format_aggregate(aggregate))
                        if function == "COUNT":
                            error = max(error or 0.0, least_error(weight))
                        if error is not None and FUNCTIONS[function].scales:
                            columns[output.name] = ".".join(output.path), error
        elif isinstance(step, Extrapolate):
            for name in columns.keys() & set(step.columns):
                shown, error = columns[name]
                columns[name] = shown, error * step.factor / step.threshold
    return {shown: error for shown, error in columns.values() if isfinite(error)}
