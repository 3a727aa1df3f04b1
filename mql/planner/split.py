"""Where each step runs: as much as possible in the services, the rest in the source job.

An agent samples, filters and keeps the needed fields; a windowed aggregate whose states can be
added is aggregated there first. What needs all agents' events (a rate limit in all, a join, a
window's end, order, limit) is the job's, and so is laying out the row: an event that several
queries want then crosses the wire once.
"""

from __future__ import annotations

from dataclasses import dataclass

from mql.language.format import format_aggregate
from mql.language.functions import FUNCTIONS, Merge
from mql.language.syntax import RateSample, TimeWindow
from mql.planner.fields import Fields, scanned_fields
from mql.planner.logical import (
    Filter,
    LogicalPlan,
    Nothing,
    Sample,
    Scan,
    Step,
    WindowAggregate,
    format_plan,
)


@dataclass(frozen=True, slots=True)
class AgentPlan:
    """What runs in every service.

    `ships` are the fields of the surviving events that cross the wire, unless `aggregate` is
    set: then states of that aggregate may.
    """

    steps: LogicalPlan
    reads: Fields
    ships: Fields
    aggregate: WindowAggregate | None

    def __str__(self) -> str:
        lines = [f"reads {self.reads}", format_plan(self.steps)]
        if self.aggregate:
            names = ", ".join(map(format_aggregate, self.aggregate.aggregates))
            lines.append(f"ships states of {names}")
        else:
            lines.append(f"ships {self.ships}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """A query's two halves. Over files both run in one process, one after the other."""

    agent: AgentPlan
    job: LogicalPlan

    @property
    def steps(self) -> LogicalPlan:
        """All steps in order."""
        return self.agent.steps + self.job

    def __str__(self) -> str:
        agent, job = _indent(str(self.agent)), _indent(format_plan(self.job))
        return f"in the services:\n{agent}\nin the source job:\n{job}"


def split(plan: LogicalPlan) -> QueryPlan:
    """Split an optimized plan into its two halves."""
    cut = next((i for i, step in enumerate(plan) if not _local(step)), len(plan))
    agent, job = plan[:cut], plan[cut:]
    aggregate = next((s for s in job if isinstance(s, WindowAggregate)), None)
    if aggregate and (job[0] != aggregate or not _splits(aggregate)):
        aggregate = None
    ships = scanned_fields(job) if job else Fields()
    return QueryPlan(AgentPlan(agent, scanned_fields(plan), ships, aggregate), job)


def _local(step: Step) -> bool:
    """Whether a step needs to see one event at a time only."""
    match step:
        case Sample(RateSample()):
            return False
        case Scan() | Sample() | Filter() | Nothing():
            return True
        case _:
            return False


def _splits(aggregate: WindowAggregate) -> bool:
    """Whether states of the aggregate, made in different services, can be added."""
    return isinstance(aggregate.window, TimeWindow) and all(
        FUNCTIONS[a.function].merge is Merge.ADD and not a.distinct for a in aggregate.aggregates
    )


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))
