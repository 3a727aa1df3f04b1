"""What the server has to know of a query, once it is planned: little, where a plan may be large."""

from __future__ import annotations

from dataclasses import dataclass

from mql.language.parser import parse
from mql.layout import RowLayout
from mql.warnings.judge import find_warnings
from mql.warnings.record import QueryWarning
from source_jobs.api.planning.answer_columns import Column, columns_of
from source_jobs.query.live_query import read_question


@dataclass(frozen=True, slots=True)
class Outline:
    """A query that can run. `plan` is for people to read, `warnings` follow from its text alone."""

    text: str
    streams: tuple[str, ...]
    columns: tuple[Column, ...]
    layout: RowLayout
    plan: str
    warnings: tuple[QueryWarning, ...] = ()

    @property
    def windowed(self) -> bool:
        """Whether its answer comes in windows."""
        return self.layout.windowed


def outline_of(text: str) -> Outline:
    """Plan a query. Raises QueryError.

    >>> outline_of("select count(*) from requests, logins window 1").streams
    ('requests', 'logins')
    """
    tree = parse(text)
    question = read_question(text, tree=tree)
    columns, plan = columns_of(question), str(question.plan)
    return Outline(text, question.streams, columns, question.layout, plan, find_warnings(tree))
