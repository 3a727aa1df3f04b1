"""The agent's half of a query's plan, and what follows from it for the screen and for decoding."""

from __future__ import annotations

import difflib  # noqa: F401 - a refusal needs it, in a thread that imports nothing
from functools import lru_cache

import mql.language.sql_habits  # noqa: F401 - so does this
from mql.errors import QueryError
from mql.language.format import format_property
from mql.language.parser import parse
from mql.language.syntax import Condition, Constant, Property, RandomSample
from mql.planner.fields import Fields, needed_fields, prefix_name
from mql.planner.logical import Filter, Nothing, Sample
from mql.planner.plan import plan
from mql.planner.split import AgentPlan
from publish_agent.capture.value_columns import Needs
from publish_agent.drain.plan.plan_shapes import plan_by_shape

_ORDERED = frozenset({"FIRST", "LAST"})
"""Aggregates to which the order of events matters."""

_SHORT = 2_000
"""Characters of a query whose plan is kept for the next who asks it."""


def planned(text: str, time: str) -> tuple[AgentPlan, Property | None]:
    """The agent's half of a query, and the property of its time. Raises QueryError."""
    return _known(text, time) if len(text) <= _SHORT else _plan(text, time)


def _plan(text: str, time: str) -> tuple[AgentPlan, Property | None]:
    made = _plan_by_shape(text) or plan(text, live=True).agent
    if not time:
        return made, None
    value = parse(f"select {time} from events").items[0].value  # noqa: S608 - not SQL
    if not isinstance(value, Property) or value.has_any:
        raise ValueError(f"{time!r} is no property that holds a time")
    return made, value


def _plan_by_shape(text: str) -> AgentPlan | None:
    """The plan of a short query by that of its shape; what is wrong is said of the text itself."""
    if len(text) > _SHORT:
        return None
    try:
        return plan_by_shape(text)
    except QueryError:
        return None


_known = lru_cache(maxsize=256)(_plan)


def conditions_of(made: AgentPlan) -> tuple[Condition, ...]:
    """The conditions that an event has to satisfy."""
    if any(isinstance(step, Nothing) for step in made.steps):
        return (Constant(value=False),)
    return tuple(c for s in made.steps if isinstance(s, Filter) for c in s.conditions)


def needs_of(made: AgentPlan, fields: Fields, *, adds_up: bool) -> Needs | None:
    """The values that are enough of an event, if they are few."""
    if fields.prefixes or fields.event or any(path.has_any for path in fields.paths):
        return None
    if any(isinstance(step, Sample | Nothing) for step in made.steps):
        return None
    aggregate = made.aggregate if adds_up else None
    if aggregate is None:
        return Needs(fields.paths, in_order=True)
    ordered = any(a.function in _ORDERED for a in aggregate.aggregates)
    in_order = ordered or not set(aggregate.firsts) <= set(aggregate.group_by)
    keys = frozenset(key for key in aggregate.group_by if isinstance(key, Property))
    return Needs(fields.paths, keys, in_order)


def sums_of(made: AgentPlan) -> tuple[Property, ...]:
    """The properties whose plain sums a query wants; what it samples itself is not kept so."""
    if made.aggregate is None or any(isinstance(step, Sample) for step in made.steps):
        return ()
    sums = (a for a in made.aggregate.aggregates if a.function == "SUM" and not a.distinct)
    paths = (each.argument for each in sums)
    return (*dict.fromkeys(path for path in paths if isinstance(path, Property)),)


def is_scaled(made: AgentPlan) -> bool:
    """Whether a query samples by itself, and scales its counts and sums."""
    samples = (step.clause for step in made.steps if isinstance(step, Sample))
    return any(isinstance(sample, RandomSample) and sample.extrapolate for sample in samples)


def fields_of(made: AgentPlan, time: Property | None) -> Fields:
    """The fields to decode of the events that may be for a query."""
    fields = made.ships | needed_fields(made.steps)
    return fields if time is None else fields | Fields((time,))


@lru_cache(maxsize=1024)
def shared(fields: Fields) -> Fields:
    """One object for all that are equal."""
    return fields


@lru_cache(maxsize=1024)
def columns_of(fields: Fields) -> tuple[str, ...]:
    """The names of the columns that hold some fields, but for the whole event's."""
    return (*map(format_property, fields.paths), *map(prefix_name, fields.prefixes))
