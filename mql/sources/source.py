"""What a source is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from mql.events.profile import ProfileBuilder
from mql.events.reader import Read, Reader
from mql.sources.sampling.event_sample import EventSample


class Source(Protocol):
    """A stream of recorded events, read once, from the start."""

    bytes_read: int
    bytes_total: int | None
    arrives: bool
    """Whether events have the time at which they come, there being no better one."""

    def first_events(self) -> list[dict[str, object]]:
        """Some events from the start; they will be read again."""

    def batches(self, reader: Reader) -> Iterator[Read | None]:
        """The events as batches; None now and then while a pipe is silent."""

    def watch(self, builder: ProfileBuilder) -> EventSample:
        """Have a sample of the events counted, from the next ones on."""

    def close(self) -> None:
        """Let go of files."""
