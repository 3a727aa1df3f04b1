"""Who comes and who goes, in the log: no more lines than somebody would read."""

from __future__ import annotations

import logging

LINES_MAX = 30
"""Lines in each ten seconds; of others it is said how many there were."""
_SPAN_US = 10_000_000
_NAME_MAX = 200

_log = logging.getLogger("source_jobs")


class Arrivals:
    """Notes what agents and clients do. Their names are shown so that they harm no terminal."""

    def __init__(self) -> None:
        self._since_us = 0
        self._lines = 0
        self.untold = 0
        """How often something was noted that no line tells of."""

    def note(self, who: str, name: str, what: str, now_us: int) -> None:
        """One of them has done something."""
        if not 0 <= now_us - self._since_us < _SPAN_US:
            self.tell(now_us)
        self._lines += 1
        if self._lines > LINES_MAX:
            self.untold += 1
            return
        shown = name if name.isprintable() else ascii(name)
        _log.info("%s %s %s", who, shown[:_NAME_MAX], what)

    def tell(self, now_us: int) -> None:
        """Begin to count lines anew, and say how many there were not."""
        if 0 <= now_us - self._since_us < _SPAN_US:
            return
        if self.untold:
            _log.info("and %d more came or went", self.untold)
        self._since_us, self._lines, self.untold = now_us, 0, 0
