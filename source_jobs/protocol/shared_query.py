"""A running query: its execution, and who asked it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from mql.layout import RowLayout
from source_jobs.protocol.delivery import Audience
from source_jobs.protocol.work.aside import NOTHING, Done
from source_jobs.query.execution import Execution
from source_jobs.query.live_query import Question
from source_jobs.query.steps import Beside, Steps

Sharing = tuple[str, bytes]
"""A group's name and the key of its members: those of another key that name it share nothing."""

NO_GROUP: Sharing = "", b""

Key = tuple[str, RowLayout, str, int, Sharing, int]
"""What is equal for those who share an execution."""


@dataclass(slots=True, eq=False)
class Running:
    """A running query, and for whom."""

    key: Key
    execution: Execution
    audience: Audience
    seed: int
    client: int = 0
    """Whose turn it is with, where it has to wait in an agent."""
    owner: bytes = b""
    """The key of who asked it first."""
    held_bytes: int = 0
    """What it was found to hold when it was last looked at."""
    steps: Steps | None = None
    """What it is about to do; all else waits, in order."""
    beside: Beside | None = None
    """The step that waits to be done beside the thread, or is."""
    done: Done[object] = NOTHING
    """What it came to."""
    is_due: bool = False
    """Whether it goes on once more after that."""
    ends: bool = False
    """Whether the steps are its last ones."""
    since_ms: int | None = None
    """Since when it has something to do."""
    waiting: deque[tuple[Callable[[], None], int]] = field(default_factory=deque)
    """What comes after the steps, with its bytes."""
    waiting_bytes: int = 0
    _execution_bytes: int = 0

    @property
    def share(self) -> bytes:
        """With whose queries it has its turn: those of a key, or, without keys, of a client."""
        return self.owner or b"client %d" % self.client

    @property
    def is_beside(self) -> bool:
        """Whether its next step is done beside the thread, or waits to be."""
        return self.beside is not None

    @property
    def is_busy(self) -> bool:
        """Whether it has not come to what has come for it."""
        return self.steps is not None or bool(self.waiting)

    def do(self, work: Callable[[], None]) -> None:
        """Do something now, or after what it is about to do."""
        if self.is_busy:
            self.wait(work)
        else:
            work()

    def drop(self) -> None:
        """Do nothing more."""
        if self.steps is not None:
            self.steps.close()
        self.steps, self.is_due = None, False
        self.waiting.clear()
        self.waiting_bytes = 0

    def measured_bytes(self) -> int:
        """About how much memory it takes; what is done beside is not looked at."""
        if self.beside is None:
            self._execution_bytes = self.execution.held_bytes
        return self._execution_bytes + self.waiting_bytes

    def wait(self, work: Callable[[], None], size: int = 0) -> None:
        """Do something after the steps."""
        self.waiting.append((work, size))
        self.waiting_bytes += size

    def take_waiting(self) -> None:
        """Do what has waited longest."""
        work, size = self.waiting.popleft()
        self.waiting_bytes -= size
        work()

    def due_ms(self, grace_ms: int) -> int:
        """When it has something to do that nothing from outside will tell."""
        times = [s.ends_ms for s in self.audience.members if s.ends_ms is not None]
        return min([self.execution.wake_ms(grace_ms), *times])


def key_of(question: Question, group: Sharing, alone: int) -> Key:
    """The key of a question in a group; `alone` is not 0 for one that shares with nobody."""
    time, lateness_ms = question.time, question.lateness_ms
    return question.canonical, question.layout, time, lateness_ms, group, alone
