"""The lines that the agent writes into the log of its host: each at most once a minute.

A line is noted on any thread. The agent's own thread says it, or the exit of the process, so that
`publish` meets no lock of a log handler, and a handler that publishes is never called by `publish`.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from enum import Enum

PAUSE_S = 60.0
"""The least time between two lines of a kind."""
DETAIL_MAX = 8_000
"""Characters of what is said beside the line itself."""

_log = logging.getLogger("publish_agent")


class Line(Enum):
    """All that the agent ever says."""

    BAD_NAME = "events of a stream with such a name are skipped"
    TOO_MANY_STREAMS = "an agent has no more streams, events of further ones are skipped"
    CANNOT_START = "the agent cannot start, and will try again"
    NO_ROOM = "the agent waits until the process has room for it"
    BEGAN_AGAIN = "the agent failed, and begins again"
    TOO_MANY_ADDRESSES = "the names of the source jobs give too many addresses, some are left out"


class Notes:
    """The lines that are to be said, one of each kind, and when each was said last."""

    def __init__(self) -> None:
        self._noted: dict[Line, str] = {}
        self._due_s: dict[Line, float] = {}

    def note(self, line: Line, detail: str) -> None:
        """Have a line said, with the first detail of those that come before it is. Never waits."""
        if line not in self._noted:
            self._noted.setdefault(line, detail[:DETAIL_MAX])

    def say(self, now_s: float) -> None:
        """Say what has been noted and is due, whatever a log handler does with it."""
        for line in list(self._noted):
            if now_s < self._due_s.get(line, now_s):
                continue
            self._due_s[line] = now_s + PAUSE_S
            detail = self._noted.pop(line, None)
            if detail is not None:  # another thread has said it
                with suppress(Exception):
                    _log.warning("%s: %s", line.value, detail)


NOTES = Notes()
"""Of all agents in the process."""
