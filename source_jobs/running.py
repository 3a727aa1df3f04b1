"""A running query: its execution, and who asked it."""

from __future__ import annotations

from dataclasses import dataclass

from mql.layout import RowLayout
from source_jobs.execution import Execution
from source_jobs.questions import Question
from source_jobs.subscribers import Audience

Key = tuple[str, RowLayout, str, int, str, int]
"""What is equal for those who share an execution."""


@dataclass(slots=True)
class Running:
    """A running query, and for whom."""

    key: Key
    execution: Execution
    audience: Audience
    seed: int

    def due_ms(self, grace_ms: int) -> int:
        """When it has something to do that nothing from outside will tell."""
        times = [s.ends_ms for s in self.audience.members if s.ends_ms is not None]
        return min([self.execution.due_ms + grace_ms, *times])


def key_of(question: Question, group: str, alone: int) -> Key:
    """The key of a question in a group; `alone` is not 0 for one that shares with nobody."""
    time, lateness_ms = question.time, question.lateness_ms
    return question.canonical, question.layout, time, lateness_ms, group, alone
