"""Work that takes long: it is begun beside the state, which takes its outcome once that is there.

The state needs no thread for it. `AtOnce` does the work in place, so that one thread and one clock
can drive all; the shell has a thread that does it beside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The value that work gave, or the error that it raised."""

    value: T | None = None
    error: Exception | None = None

    @classmethod
    def of(cls, work: Callable[[], T]) -> Done[T]:
        """Do the work here and now."""
        try:
            return cls(work())
        except Exception as error:  # noqa: BLE001 - it is raised where it belongs
            return cls(error=error)

    def get(self) -> T:
        """The value. Raises the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


NOTHING: Done[object] = Done()
"""That of no work."""


class Aside(Protocol[T]):
    """Does one thing at a time. It is busy until its outcome is taken."""

    @property
    def is_busy(self) -> bool:
        """Whether something was begun whose outcome nobody has taken."""

    def begin(self, work: Callable[[], T]) -> None:
        """Have it done; only where nothing else is."""

    def take(self) -> Done[T] | None:
        """The outcome, if it is there."""


@dataclass(slots=True)
class AtOnce(Generic[T]):
    """Does it before `begin` returns."""

    _outcome: Done[T] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether something was begun whose outcome nobody has taken."""
        return self._outcome is not None

    def begin(self, work: Callable[[], T]) -> None:
        """Do it."""
        self._outcome = Done.of(work)

    def take(self) -> Done[T] | None:
        """The outcome, if it is there."""
        outcome, self._outcome = self._outcome, None
        return outcome
