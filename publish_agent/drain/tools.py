"""Means that all which runs in an agent shares, however many queries there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from publish_agent.capture.event_buffer import Room
from publish_agent.drain.cost.budget import Budget


@dataclass(frozen=True, slots=True)
class Tools:
    """Means that all generations of an agent share.

    Rows have the time of `clock_ns` as it is, so that `publish` need not add `epoch_ns` to it.
    """

    encode: Callable[[object], bytes]
    clock_ns: Callable[[], int]
    epoch_ns: int
    cpu_ns: Callable[[], int]
    room: Room
    buffer_events: int
    provenance: dict[str, object]
    budget: Budget
