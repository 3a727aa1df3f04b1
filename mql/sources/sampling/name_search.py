"""A search for names in all lines of a text, also those that no reader decodes.

Where none of the first events has a name that a query reads, others may. It is looked for as text,
as fast as a prefilter does; a line that holds it is decoded. What a name is spelt like may be often
there, as a value: then the search ends, and the sample decides.
"""

from __future__ import annotations

from mql.events.profile import ProfileBuilder
from mql.language.paths import Property
from mql.planner.required_text import Implied
from mql.sources.json_spelling import Clause, escape_of, runs_of
from mql.sources.search import Search, compiled
from mql.sources.slices import Slice

NAMES_MAX = 8
"""So many names are looked for."""
LINES_MAX = 1_000
"""So many lines that hold the text of a name are decoded."""
_FOUND_BYTES_MAX = 1 << 18
"""Of lines that are more than this, in one slice, none is decoded."""


class NameSearch:
    """Looks for the names that are in doubt, each until it is found."""

    def __init__(self, builder: ProfileBuilder, sample: bytes) -> None:
        self._builder = builder
        self._searches: dict[Property | str, Search] = {}
        self._decoded: dict[Property | str, int] = {}
        for name, key in list(builder.missing().items())[:NAMES_MAX]:
            clauses = _clauses(key, is_start=isinstance(name, str))
            if clauses and compiled() is not None:
                self._searches[name] = Search(clauses, escape_of(clauses), sample)

    def look(self, lines: Slice) -> None:
        """Look for them in some more lines."""
        for name, search in list(self._searches.items()):
            if not self._builder.is_missing(name) or not self._look(name, search, lines):
                del self._searches[name]

    def _look(self, name: Property | str, search: Search, lines: Slice) -> bool:
        """Look for a name; whether it is to be looked for in other lines too."""
        found = search.find(lines, _FOUND_BYTES_MAX)
        if found is None:
            return False
        if len(found.numbers):
            self._builder.find(found.text)
            self._decoded[name] = self._decoded.get(name, 0) + len(found.numbers)
        return self._decoded.get(name, 0) <= LINES_MAX


def _clauses(key: str, *, is_start: bool) -> list[Clause]:
    """What a line must hold that has a key, or one that starts so."""
    runs = runs_of(Implied(Property((key,)), key, whole=True))
    if is_start and runs and runs[-1].endswith(b'"'):
        runs[-1] = runs[-1][:-1]
    return [(run,) for run in runs if run.strip(b'"')]
