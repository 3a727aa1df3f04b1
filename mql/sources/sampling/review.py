"""What a run learns about its query beside the answer: warnings, from a sample of its events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from mql.columnar import kernels
from mql.events.profile import ProfileBuilder
from mql.exec.operator import Window
from mql.language.paths import Property
from mql.language.syntax import Prefix, Query, TimeWindow
from mql.sources.sampling.event_sample import EventSample
from mql.sources.source import Source
from mql.warnings.comparisons import NUMBER, kinds_of_value
from mql.warnings.judge import WARNINGS_MAX, judge
from mql.warnings.profile import EVENTS_MIN, SourceProfile
from mql.warnings.record import QueryWarning
from mql.warnings.text import TextFindings, read_text
from mql.warnings.windows import WindowCover, partial_count, partial_windows


class QueryReview:
    """Watches the sources of a query, and warns. `warnings` only grow.

    Those that follow from the text and that no event refutes are there from the start; those that
    follow from events come with `conclude`.
    """

    def __init__(
        self,
        query: Query,
        sources: Sequence[tuple[str, Source]],
        *,
        has_start: bool = False,
        has_end: bool = False,
    ) -> None:
        self._query = query
        self._findings = read_text(query)
        self._watched: dict[int, _Watched] = {}
        watched = set[str]()
        for number, (name, source) in enumerate(sources):
            if name not in watched:  # a source that is joined with itself is looked at once
                watched.add(name)
                self._watched[number] = _Watched(name, source, self._findings)
        self._has_start, self._has_end = has_start, has_end
        self._timed = isinstance(query.window, TimeWindow)
        self._events = 0
        self._first_ms: int | None = None
        self._last_ms = 0
        self._bounds: tuple[int, int] | None = None
        self._previewed = False
        self.warnings: list[QueryWarning] = []
        self._tell(self._findings.certain)

    def known_of(self, number: int) -> set[str] | None:
        """The names that a source's reader has found values of: its to add to, if of use."""
        return self._watched[number].known if number in self._watched else None

    def note_end(self, number: int) -> None:
        """A source has been read to its end."""
        if number in self._watched:
            self._watched[number].has_ended = True

    def note_times(self, times: pa.Array) -> None:
        """Events with these times have been read."""
        count = len(times) - times.null_count
        if not self._timed or not count:
            return
        ends = kernels.min_max(times).as_py()
        first = self._first_ms is None
        self._first_ms = ends["min"] if first else min(self._first_ms or 0, ends["min"])
        self._last_ms = ends["max"] if first else max(self._last_ms, ends["max"])
        self._events += count

    def note_windows(self, windows: Sequence[Window] | None) -> None:
        """Windows have closed, in order."""
        if windows and windows[0].start_ms is not None and windows[-1].end_ms is not None:
            start = windows[0].start_ms if self._bounds is None else self._bounds[0]
            self._bounds = start, windows[-1].end_ms

    def preview(self, events: int) -> None:
        """Warn once some events have been read, where the last one may never come."""
        if not self._previewed and events >= EVENTS_MIN:
            self._previewed = True
            self._judge()

    def conclude(self, last_window_events: int = 0) -> None:
        """Warn of all that is known once the answer is over, with the events of a last window."""
        self._judge()
        self._tell(partial_count(self._query, last_window_events))
        if self._first_ms is not None and self._bounds is not None:
            cover = WindowCover(
                self._events,
                self._first_ms,
                self._last_ms,
                *self._bounds,
                has_start=self._has_start,
                has_end=self._has_end,
            )
            self._tell(partial_windows(self._query, cover))

    def _judge(self) -> None:
        profiles = [watched.profile() for watched in self._watched.values()]
        self._tell(judge(self._query, self._findings, profiles))

    def _tell(self, warnings: Iterable[QueryWarning]) -> None:
        told = set(map(_subject, self.warnings))
        new = [warning for warning in warnings if _subject(warning) not in told]
        self.warnings += new[: max(WARNINGS_MAX - len(self.warnings), 0)]


class _Watched:
    """A source, and the counts of what is looked at of it."""

    def __init__(self, name: str, source: Source, findings: TextFindings) -> None:
        self._name = name
        self.known: set[str] = set()
        self.has_ended = False
        names = [use.name for use in findings.uses if name in use.sources]
        self._builder = ProfileBuilder(
            dict.fromkeys(path for path in names if isinstance(path, Property)),
            [prefix.start for prefix in names if isinstance(prefix, Prefix)],
            _numeric(findings),
            self.known,
        )
        self._sample: EventSample = source.watch(self._builder)

    def profile(self) -> SourceProfile:
        """What has been counted so far."""
        self._sample.settle()
        has_ended = self.has_ended or self._sample.has_ended
        is_complete = has_ended and self._sample.is_whole
        return self._builder.profile(self._name, is_complete=is_complete)


def _subject(warning: QueryWarning) -> tuple[str | int | None, ...]:
    """What two warnings have in common that say the same, with other numbers perhaps."""
    return warning.code, warning.start, warning.end, warning.source, warning.service


def _numeric(findings: TextFindings) -> set[Property]:
    """The fields that are compared with numbers."""

    def kinds_of(_: Property) -> frozenset[str]:
        return frozenset({NUMBER})

    return {
        Property(comparison.field.steps)
        for comparison in findings.comparisons
        if any(NUMBER in (kinds_of_value(o, kinds_of) or ()) for o in comparison.others)
    }
