"""Which lines may pass, by text that they must hold: found without looking at each line.

One clause is searched for in all of them, the one that the fewest lines hold; the others are tried
on the lines that it finds. Lines with an escape that may spell a text are always found.
"""

from __future__ import annotations

from collections.abc import Sequence

from mql.sources.json_spelling import Clause
from mql.sources.search import Found, Search
from mql.sources.slices import Slice

DENSE = 0.3
"""Where lines with more than this share of the bytes may pass, decoding all is as fast."""

UNSEARCHED = 32
"""After a dense slice so many are not searched."""

_ALWAYS_BYTES = 1 << 12
"""So much may pass, whatever its share."""

_SAMPLE_BYTES = 1 << 16
"""So much of the first slice says which bytes are rare, and which clause is."""


class CandidateSearch:
    """Finds lines that hold something of each clause, or else the escape."""

    def __init__(self, clauses: Sequence[Clause], escape: bytes) -> None:
        if not clauses:
            raise ValueError("there is nothing to look for")
        self._clauses = list(clauses)
        self._escape = escape
        self._search: Search | None = None
        self._unsearched = 0

    @property
    def searching(self) -> bool:
        """Whether the next lines are searched."""
        return not self._unsearched

    def find(self, lines: Slice) -> Found | None:
        """The lines that may pass; None if all are to be read."""
        if self._unsearched:
            self._unsearched -= 1
            return None
        if self._search is None:
            self._search = self._learn(lines)
        found = self._search.find(lines, max(_ALWAYS_BYTES, int(DENSE * (lines.end - lines.start))))
        if found is None:
            self._unsearched = UNSEARCHED
        return found

    def _learn(self, lines: Slice) -> Search:
        """A search by the clause that the fewest of some lines hold."""
        data, start, end = lines
        sample = data[start : min(end, start + _SAMPLE_BYTES)]

        def held_by(clause: Clause) -> int:
            found = Search([clause], self._escape, sample).find(
                Slice(sample, 0, len(sample)), len(sample)
            )
            return len(sample) if found is None else len(found.numbers)

        self._clauses.sort(key=held_by)
        return Search(self._clauses, self._escape, sample)
