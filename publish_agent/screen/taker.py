"""Takers: all that a stream hands to one generation of its subscriptions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from publish_agent.capture.event_buffer import Status
from publish_agent.capture.event_target import EventTarget
from publish_agent.capture.native import binding
from publish_agent.capture.outcome import Outcome


class DatedTaker(Protocol):
    """Takes events that have a time already, and hears of those that are lost."""

    def keep(self, event: object, time_ms: int) -> Status:
        """Take an event of a time, or not. Never raises."""

    def lose(self, time_ms: int, outcome: Outcome, number: int) -> None:
        """Note that events of a time are lost. Never raises."""


class _Nobody:
    """Takes nothing."""

    def keep(self, event: object, time_ms: int) -> Status:  # noqa: ARG002 - as in DatedTaker
        return Status.SKIPPED

    def lose(self, time_ms: int, outcome: Outcome, number: int) -> None:
        pass


_NOBODY = _Nobody()


def _ignore(number: int) -> None:
    """There is no query, or it is too late."""


@dataclass(frozen=True, slots=True)
class Taker:
    """The target of a stream's events, and more of one generation.

    `target` takes what is published. `lost` notes that events were lost before they came here, and
    never raises. `dated` takes those events that come from another source job.
    """

    target: EventTarget
    lost: Callable[[int], None] = _ignore
    dated: DatedTaker = _NOBODY


def _constant_target(status: Status) -> EventTarget:
    """A target that returns the same status for every event."""
    made = binding.constant_target(status)
    if made is None:
        from publish_agent.screen.publisher import python_constant_target  # noqa: PLC0415 - else unused

        made = python_constant_target(status)
    return made


CLOSED = Taker(_constant_target(Status.CLOSED))
"""Takes nothing any more."""
