"""All that is to be warned of about a query, by its text and by what its events look like."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mql.language.syntax import Query
from mql.warnings.kinds import mixed_kinds, rounded_integers
from mql.warnings.names import is_known, is_lacking, unknown_names
from mql.warnings.profile import SourceProfile, profiles_of
from mql.warnings.record import QueryWarning
from mql.warnings.text import Suspicion, TextFindings, read_text

WARNINGS_MAX = 20
"""Of more warnings about one query the first ones are given, in the order of its text."""


def find_warnings(query: Query, profiles: Sequence[SourceProfile] = ()) -> tuple[QueryWarning, ...]:
    """What is to be warned of about a query that can be planned, in the order of its text.

    Without profiles it is what follows from the text alone. Nothing is said about the events of
    sources of which there is no profile.

    >>> from mql.language.parser import parse
    >>> [str(each) for each in find_warnings(parse("select path order by ms"))]
    ['line 1, column 22: `ms` is no column of the answer, and null for `order by`; select it too']
    """
    return judge(query, read_text(query), profiles)


def judge(
    query: Query, findings: TextFindings, profiles: Sequence[SourceProfile]
) -> tuple[QueryWarning, ...]:
    """The same, where the text has been read."""
    found = list(findings.certain)
    suspicions = [s for s in findings.suspicions if not is_known(s.use, profiles)]
    found += (_looked_at(suspicion, profiles) for suspicion in suspicions)
    if profiles:
        suspected = {suspicion.use.name for suspicion in suspicions}
        others = [use for use in findings.uses if use.name not in suspected]
        found += unknown_names(query, others, profiles)
        found += mixed_kinds(query, findings, profiles)
        found += rounded_integers(query, findings, profiles)
    found.sort(key=lambda warning: warning.start)
    return tuple(found[:WARNINGS_MAX])


def _looked_at(suspicion: Suspicion, profiles: Sequence[SourceProfile]) -> QueryWarning:
    """A suspicion, with the number of events that had not the name, where that is known."""
    if not is_lacking(suspicion.use, profiles):
        return suspicion.warning
    found = profiles_of(profiles, suspicion.use.sources)
    return msgspec.structs.replace(suspicion.warning, of=sum(p.events for p in found))
