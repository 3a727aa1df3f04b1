"""How a planned query, or why there is none, comes from the process that plans it."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from mql.errors import QueryError, Span
from source_jobs.api.planning.outline import Outline

LENGTH = Struct("<I")
"""What stands before each text and each outline."""

ENCODING = ("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why a query cannot run, and where it is wrong."""

    reason: str
    start: int
    end: int
    hint: str

    def error(self, text: str) -> QueryError:
        """The same as an error."""
        return QueryError(self.reason, text, Span(self.start, self.end), self.hint)


Planned = Outline | Wrong
