"""Looking for text in raw bytes first: only lines that may pass are handed to a reader.

Where few lines pass, most are never decoded, not even as UTF-8. What may pass is read by the
usual reader, under the whole condition. A line that is passed over counts as an event; whether
it is JSON is never asked.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from mql.columnar.layout import Ints
from mql.errors import InputError
from mql.events.reader import Read, Reader
from mql.planner.logical import LogicalPlan
from mql.planner.required_text import needed_text
from mql.sources.candidates import CandidateSearch
from mql.sources.json_spelling import clauses_of, escape_of
from mql.sources.search import Found, compiled
from mql.sources.slices import Slice

_NEWLINE = ord("\n")
_KEPT_BYTES = 1 << 19
"""Kept lines are handed on when they are so much: about a chunk that decodes well."""
_LONGEST_S = 0.05
"""So long may be searched without a word: a person may be waiting, or have pressed Ctrl-C."""
_NO_EVENT = b"null\n"
"""A line that will be counted as no event."""


def prefilter_for(plan: LogicalPlan) -> Prefilter | None:
    """What to look for in the lines of a plan's one source, if it makes anything necessary.

    None also where the compiled search was not built.
    """
    clauses = () if compiled() is None else clauses_of(needed_text(plan))
    return Prefilter(CandidateSearch(clauses, escape_of(clauses))) if clauses else None


class Prefilter:
    """Between an input and its reader: keeps the lines that may pass.

    Kept lines of a file are handed on many at once, or when some time has passed; those of a pipe
    as they come.
    """

    def __init__(self, search: CandidateSearch) -> None:
        self._search = search
        self._lines = 0  # scanned so far, so that the next line has this number, from 0
        self._read = 0  # of them, given to the reader
        self._kept: list[tuple[bytes, Ints]] = []  # lines, the number of each
        self.unread = 0
        """How many lines have been passed over, up to those that were handed on last."""

    @property
    def searching(self) -> bool:
        """Whether text is searched for in what comes next."""
        return self._search.searching

    def batches(
        self, slices: Iterator[list[Slice] | None], reader: Reader, *, arrives: bool
    ) -> Iterator[Read | None]:
        """What is read of the lines that may pass; None now and then where there is none."""
        due_s = time.monotonic() + _LONGEST_S
        kept_bytes = 0
        try:
            for some in slices:
                kept_bytes += sum(map(self._scan, some or ()))
                enough = kept_bytes >= (1 if arrives else _KEPT_BYTES)
                if some is None or enough or time.monotonic() > due_s:
                    yield self._hand_on(reader, arrives=arrives)
                    due_s, kept_bytes = time.monotonic() + _LONGEST_S, 0
        except InputError:
            yield self._hand_on(reader, arrives=arrives)
            raise
        yield self._hand_on(reader, arrives=arrives)

    def pass_over_line(self, reason: str) -> None:  # noqa: ARG002 - the reader will find one
        """Keep a line that is no event, in the place of one that was not even looked at."""
        self._kept.append((_NO_EVENT, np.array([self._lines])))
        self._lines += 1

    def _scan(self, lines: Slice) -> int:
        """Keep those of the next lines that may pass; tell how many bytes they are."""
        data, start, end = lines
        found = self._search.find(lines)
        if found is None:
            found = Found(data[start:end], np.arange(size := count_lines(lines)), size)
        if len(found.numbers):
            self._kept.append((found.text, self._lines + found.numbers))
        self._lines += found.lines
        return len(found.text)

    def _hand_on(self, reader: Reader, *, arrives: bool) -> Read | None:
        """Read what has been kept; a bad line's number becomes the one it has in the input."""
        kept, self._kept = self._kept, []
        before = self._read
        self._read += sum(len(numbers) for _, numbers in kept)
        self.unread = self._lines - self._read
        if not kept:
            return None
        bad, known = reader.bad, reader.bad.first
        text = b"".join([text for text, _ in kept])
        read = reader.from_lines(text, time.time_ns() // 1_000_000 if arrives else None)
        if known is None and bad.first is not None:
            numbers = np.concatenate([numbers for _, numbers in kept])
            bad.first = 1 + int(numbers[bad.first - 1 - before])
        return read


def count_lines(lines: Slice) -> int:
    """How many lines there are."""
    data, start, end = lines
    unended = start < end and data[end - 1] != _NEWLINE
    return int(np.count_nonzero(np.frombuffer(data, np.uint8)[start:end] == _NEWLINE)) + unended
