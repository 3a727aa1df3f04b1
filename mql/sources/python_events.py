"""Events that a program already holds: dicts, (time, dict) pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from mql.events.profile import ProfileBuilder
from mql.events.reader import Read, Reader
from mql.sources.sampling.event_sample import LineSample
from mql.values.json_coercion import INT64_MAX, INT64_MIN
from mql.values.json_values import write_json

ROWS = 4_096
_NO_EVENT = "null"
"""A line that will be counted as no event."""


class EventSource:
    """Dicts, or pairs of a time in ms and a dict."""

    def __init__(self, events: Iterable[object]) -> None:
        self._events = iter(events)
        self._first: list[object] = []
        self._sample: LineSample | None = None
        self.bytes_read = 0
        self.bytes_total: int | None = None
        self.arrives = False

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
            lines, times = _lines(part, has_times=has_times)
            text = "\n".join(lines).encode()
            if self._sample is not None:
                self._sample.add_texts(lines, text)
                self._sample.has_ended = len(part) < ROWS
            yield reader.from_lines(text, None, times if has_times else None)

    def watch(self, builder: ProfileBuilder) -> LineSample:
        """Have a sample of the events counted."""
        self._sample = LineSample(builder)
        return self._sample

    def close(self) -> None:
        """Nothing to let go of."""

    def _peek(self) -> None:
        if not self._first:
            self._first = list(islice(self._events, 100))


def _lines(part: list[object], *, has_times: bool) -> tuple[list[str], list[int | None]]:
    """Events as JSON text, by way of which values become the same for all inputs; their times."""
    times: list[int | None] = []
    lines: list[str] = []
    for each in part:
        time, event = each if isinstance(each, tuple) and len(each) == 2 else (None, each)  # noqa: PLR2004
        timed = type(time) is int and INT64_MIN <= time <= INT64_MAX
        lines.append(_line(event) if timed or not has_times else _NO_EVENT)
        times.append(time if timed else None)
    return lines, times


def _line(event: object) -> str:
    if not isinstance(event, dict):
        return _NO_EVENT
    try:
        return write_json(event)
    except Exception:  # noqa: BLE001 - whatever somebody's objects raise
        return _NO_EVENT
