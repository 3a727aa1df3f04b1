"""Which lines may pass, by text that they must hold: found without looking at each line.

One clause is searched for in all of them, the one whose texts are the rarest; the others are tried
on the lines that it finds. Lines with an escape that may spell a text are always found.
"""

from __future__ import annotations

from collections.abc import Sequence

from mql.planner.patterns import AnyOf
from mql.sources.search import count, find
from mql.sources.slices import Slice

DENSE = 0.3
"""Where lines with more than this share of the bytes may pass, decoding all is as fast."""

UNSEARCHED = 32
"""After a dense slice so many are not searched."""

_ALWAYS_BYTES = 1 << 12
"""So much may pass, whatever its share."""

_LEARNING_BYTES = 1 << 22
"""So far into the input it is counted which texts are rare."""


class CandidateSearch:
    """Finds lines that hold one text of each clause, or else the escape."""

    def __init__(self, clauses: Sequence[AnyOf[bytes]], escape: bytes) -> None:
        if not clauses:
            raise ValueError("there is nothing to look for")
        self._escape = escape
        self._clauses = list(clauses)
        self._counts = dict.fromkeys(clauses, 0)
        self._learning_bytes = _LEARNING_BYTES if len(clauses) > 1 else 0
        self._unsearched = 0

    def places(self, lines: Slice) -> list[tuple[int, int]] | None:
        """Where the lines that may pass start and end; None if all are to be read."""
        if self._unsearched:
            self._unsearched -= 1
            return None
        if self._learning_bytes > 0:
            self._learn(lines)
        first, *others = self._clauses
        places = lines_with((*first, self._escape), lines)
        if places is None:
            self._unsearched = UNSEARCHED
        elif others:
            data = lines.data
            return [(a, b) for a, b in places if self._may_pass(data[a:b], others)]
        return places

    def _may_pass(self, line: bytes, clauses: Sequence[AnyOf[bytes]]) -> bool:
        for clause in clauses:
            for text in clause:
                if text in line:
                    break
            else:
                return self._escape in line
        return True

    def _learn(self, lines: Slice) -> None:
        """Count the texts of each clause; the rarest comes first."""
        data, start, end = lines
        self._learning_bytes -= end - start
        for clause in self._clauses:
            self._counts[clause] += sum(count(data, text, start, end) for text in clause)
        self._clauses.sort(key=self._counts.__getitem__)


def lines_with(texts: Sequence[bytes], lines: Slice) -> list[tuple[int, int]] | None:
    r"""Where the lines that hold one of the texts start and end, in order; None if it is dense.

    >>> lines_with((b"b", b"d"), Slice(b"b\nabc\ncde\nefg\nd", 2, 15))
    [(2, 6), (6, 10), (14, 15)]
    """
    data, start, end = lines
    ends: dict[int, int] = {}
    left_bytes = max(_ALWAYS_BYTES, int(DENSE * (end - start)))
    for text in texts:
        at = find(data, text, start, end)
        while at >= 0:
            line_start = data.rfind(b"\n", start, at) + 1 or start
            line_end = data.find(b"\n", at, end) + 1 or end
            if line_start not in ends:
                ends[line_start] = line_end
                left_bytes -= line_end - line_start
                if left_bytes < 0:
                    return None
            at = find(data, text, line_end, end)
    return sorted(ends.items())
