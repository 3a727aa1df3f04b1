"""What is known of all of an answer: its pieces added up, and what of it the reader holds. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cli.live.completeness_text import describe, missed_in, missed_words
from cli.live.held import SCALED, Held, Kind, held
from mql.account import Account
from mql.ledger import Completeness

if TYPE_CHECKING:
    from source_jobs.client.actions import Gap


@dataclass(slots=True)
class Summary:
    """What is known of all of an answer, added up from its pieces."""

    kind: Kind = SCALED
    rows: int = 0
    """How many have come."""
    ended: str | None = None
    """Why the answer is over, where it is."""
    partial_windows: int = 0
    missed: list[str] = field(default_factory=list)
    """What never came, in words: times without a connection, pieces that got lost."""
    _account: Account = field(default_factory=Account)
    _rows_before: int = 0
    """Those of the pieces that are known of."""

    def miss(self, gap: Gap) -> None:
        """Take that some of the answer never came."""
        self.missed.append(missed_in(gap))
        self._account.miss(gap.from_ms, gap.to_ms)

    def add(self, known: Completeness, *, closes: bool) -> Held:
        """Take what is known of one window (which it `closes`), or of a second.

        Gives what of it is held, with the rows that have come since the one before.
        """
        self.partial_windows += known.partial and closes
        self._account.add(known)
        rows, self._rows_before = self.rows - self._rows_before, self.rows
        return held(known, rows, self.kind)

    def total(self, told: Completeness | None = None) -> Completeness | None:
        """What is known of all of the answer, from the source job's own total where it `told` one.

        After a gap that is of the time since. All of an answer is the time in which the query ran:
        it starts where the last agent that was there had begun.
        """
        summed = self._account.total()
        if self.missed or told is None:
            return summed
        errors, unstated = (summed.errors, summed.unstated) if summed else ({}, ())
        ran_ms = told.end_ms - told.start_ms if told.covered_ms is None else told.covered_ms
        return replace(
            told,
            start_ms=told.end_ms - ran_ms,
            partial=False,
            covered_ms=None,
            errors=errors,
            unstated=unstated,
        )

    def held(self, known: Completeness) -> Held:
        """What of the answer is held, where its total is known."""
        return held(known, self.rows, self.kind)

    def describe(self, told: Completeness | None = None) -> str:
        """One line for people, from the source job's own total where it `told` one."""
        known = self.total(told)
        if known is None:
            return "it ended before anything was known of its completeness"
        missed = missed_words(self.missed, self.ended)
        return describe(known, self.held(known), windows=self.partial_windows, missed=missed)
