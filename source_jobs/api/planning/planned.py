"""How a planned query, or why there is none, comes from the process that plans it."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from mql.errors import QueryError, Span, UnnamedStreamError
from source_jobs.api.planning.outline import Outline

LENGTH = Struct("<I")
"""What stands before each text and each outline."""

ENCODING = ("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why a query cannot run, and where it is wrong; or that it names no stream."""

    reason: str
    start: int
    end: int
    hint: str
    unnamed: bool = False

    def error(self, text: str) -> QueryError:
        """The same as an error."""
        kind = UnnamedStreamError if self.unnamed else QueryError
        return kind(self.reason, text, Span(self.start, self.end), self.hint)


def wrong(error: QueryError) -> Wrong:
    """An error without its text, which the other process knows."""
    unnamed = isinstance(error, UnnamedStreamError)
    return Wrong(error.reason, error.span.start, error.span.end, error.hint, unnamed)


Planned = Outline | Wrong
