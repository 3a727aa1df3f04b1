"""Events that a program already holds: dicts, (time, dict) pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

import pyarrow as pa

from mql.events.decode import Read, Reader

ROWS = 4_096


class EventSource:
    """Dicts, or pairs of a time in ms and a dict."""

    def __init__(self, events: Iterable[object]) -> None:
        self._events = iter(events)
        self._first: list[object] = []
        self.bytes_read = 0
        self.bytes_total: int | None = None
        self.arrives = False
        self._count = 0

    @property
    def has_times(self) -> bool:
        """Whether the events come with their times."""
        self._peek()
        return bool(self._first) and isinstance(self._first[0], tuple)

    def first_events(self) -> list[dict[str, object]]:
        """The first events."""
        self._peek()
        events = (e[1] if isinstance(e, tuple) else e for e in self._first)
        return [e for e in events if isinstance(e, dict)]

    def batches(self, reader: Reader) -> Iterator[Read | None]:
        """The events as batches."""
        has_times = self.has_times
        events = chain(self._first, self._events)
        while part := list(islice(events, ROWS)):
            yield _batch(part, reader, self._count, has_times=has_times)
            self._count += len(part)

    def close(self) -> None:
        """Nothing to let go of."""

    def _peek(self) -> None:
        if not self._first:
            self._first = list(islice(self._events, 100))


def _batch(part: list[object], reader: Reader, before: int, *, has_times: bool) -> pa.RecordBatch:
    times: list[int] = []
    events: list[dict[str, object]] = []
    for number, each in enumerate(part, before + 1):
        time, event = each if isinstance(each, tuple) and len(each) == 2 else (None, each)  # noqa: PLR2004
        if not isinstance(event, dict) or (has_times and not isinstance(time, int)):
            reader.bad.add(number, "it is not a dict, or not a pair of a time in ms and a dict")
            continue
        events.append(event)
        if has_times:
            assert isinstance(time, int)
            times.append(time)
    return reader.from_events(events, times if has_times else None)
