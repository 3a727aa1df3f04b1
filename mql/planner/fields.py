"""Which parts of an event a plan needs; nothing else is read, carried or sent."""

from __future__ import annotations

from dataclasses import dataclass

from mql.language.format import format_property
from mql.language.quoting import quote
from mql.language.syntax import Condition, Property, StickySample, values_in
from mql.language.traverse import properties_in
from mql.planner.logical import (
    Filter,
    Join,
    LogicalPlan,
    Sample,
    Select,
    Step,
    WindowAggregate,
)


@dataclass(frozen=True, slots=True)
class Fields:
    """The needed paths, the top-level keys by prefix, and whether the whole event is needed."""

    paths: tuple[Property, ...] = ()
    prefixes: tuple[str, ...] = ()
    event: bool = False

    def __le__(self, other: Fields) -> bool:
        """Whether another has all that this one has."""
        return (
            set(self.paths) <= set(other.paths)
            and set(self.prefixes) <= set(other.prefixes)
            and self.event <= other.event
        )

    def __or__(self, other: Fields) -> Fields:
        return Fields(
            tuple(dict.fromkeys(self.paths + other.paths)),
            tuple(dict.fromkeys(self.prefixes + other.prefixes)),
            self.event or other.event,
        )

    def __str__(self) -> str:
        parts = [format_property(path) for path in self.paths]
        parts += [f"{quote(prefix)}…" for prefix in self.prefixes]
        return ", ".join(parts + ["the whole event"] * self.event) or "nothing but the time"


def prefix_name(prefix: str) -> str:
    """The name of the column that holds the keys which start with a prefix, as one object."""
    return f"*prefix {prefix}"


def needed_fields(plan: LogicalPlan) -> Fields:
    """What the steps of a plan read of an event (of the joined event, where there is a join)."""
    fields = Fields()
    for step in plan:
        fields |= _fields_of(step)
        if isinstance(step, Select | WindowAggregate):
            break
    return fields


def scanned_fields(plan: LogicalPlan) -> Fields:
    """What has to be read of each event of the sources."""
    join = next((step for step in plan if isinstance(step, Join)), None)
    if join:
        keys = (path for key in join.clause.keys for path in (key.left, key.right))
        return Fields(tuple(dict.fromkeys(keys)), event=True)
    return needed_fields(plan)


def condition_fields(conditions: tuple[Condition, ...]) -> Fields:
    """What conditions on an event read."""
    values = [value for condition in conditions for value in values_in(condition)]
    return Fields(tuple(dict.fromkeys(p for value in values for p in properties_in(value))))


def _fields_of(step: Step) -> Fields:
    match step:
        case Filter(conditions):
            return condition_fields(conditions)
        case Sample(StickySample(keys)):
            return Fields(tuple(Property((key,)) for key in keys))
        case Select(outputs, everything, prefixes):
            paths = tuple(p for o in outputs for v in o.values for p in properties_in(v))
            return Fields(paths, prefixes, everything)
        case WindowAggregate():
            return _aggregate_fields(step)
        case _:
            return Fields()


def _aggregate_fields(step: WindowAggregate) -> Fields:
    values = [*step.group_by, *step.firsts]
    for aggregate in step.aggregates:
        if aggregate.argument is not None:
            values.append(aggregate.argument)
        if aggregate.condition is not None:
            values += values_in(aggregate.condition)
    return Fields(tuple(dict.fromkeys(p for value in values for p in properties_in(value))))
