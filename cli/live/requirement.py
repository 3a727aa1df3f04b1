"""`--require`: how complete an answer has to be. Pure.

Each window that the query covered is judged, and the whole answer for the time in which it ran.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cli.live.held import Held
from mql.ledger import Completeness, Exactness

EXIT_CODE = 3
"""Of a command whose answer is not as complete as it had to be."""

_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%")


@dataclass(slots=True)
class Requirement:
    """How complete an answer has to be: exact, or of a share of 0 to 1; and what was not."""

    text: str
    share: float | None
    judged: int = 0
    failed: int = 0
    first_failed: tuple[Completeness, Held] | None = None

    def judge(self, known: Completeness, held: Held) -> None:
        """Take what is known of a window, or of a second, and what of it the reader has `held`.

        One that is partial says nothing.
        """
        if known.partial:
            return
        self.judged += 1
        if not self.is_met(known, held):
            self.failed += 1
            self.first_failed = self.first_failed or (known, held)

    def is_met(self, known: Completeness, held: Held) -> bool:
        """Whether a span of time is complete enough. None is where no agent was expected."""
        if known.expected == 0:
            return False
        if self.share is None:
            return known.exactness is Exactness.EXACT
        return held.required >= self.share


def read_requirement(text: str) -> Requirement:
    """The requirement that a text asks for. Raises ValueError.

    >>> read_requirement("95%").share, read_requirement("exact").share
    (0.95, None)
    """
    if text == "exact":
        return Requirement(text, None)
    percent = _PERCENT.fullmatch(text)
    if percent is None or float(percent[1]) > 100:  # noqa: PLR2004 - per cent
        raise ValueError(f"{text!r} is neither `exact` nor a share such as `95%`")
    return Requirement(text, float(percent[1]) / 100)
