"""What a reader may know of an answer's columns before it comes."""

from __future__ import annotations

import msgspec

from mql.language.format import format_property
from mql.language.syntax import Property
from mql.planner.logical import Output, RollUp, Select
from source_jobs.query.live_query import Question


class Column(msgspec.Struct, frozen=True):
    """Where a value is in a row, and the property of an event that it is, if it is one.

    So a program that shows a value can ask for those events that have it.
    """

    path: tuple[str, ...]
    property: str | None


def columns_of(question: Question) -> tuple[Column, ...]:
    """The columns that a query names, in order; what `*` brings is not among them.

    >>> from source_jobs.query.live_query import read_question
    >>> [(c.path, c.property) for c in columns_of(read_question("select e['a']['b'] as x from s"))]
    [(('x',), "e['a']['b']")]
    """
    steps = [step for step in question.plan.steps if isinstance(step, Select | RollUp)]
    outputs = [output for step in steps for output in step.outputs if not output.hidden]
    return tuple(Column(output.path, _property(output)) for output in outputs)


def _property(output: Output) -> str | None:
    match output.values:
        case (Property() as property_,):
            return format_property(property_)
        case _:
            return None
