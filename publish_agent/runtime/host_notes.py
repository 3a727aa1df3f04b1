"""The lines that the agent writes into the log of its host: each at most once a minute.

A line is noted on any thread, and said where the host may log: so `publish` meets no lock of a log
handler, and never calls a handler that publishes.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from enum import Enum

from mql.host.host_log import log_apart

PAUSE_S = 60.0
"""The least time between two lines of a kind."""
DETAIL_MAX = 8_000
"""Characters of what is said beside the line itself."""

_log = logging.getLogger("publish_agent")


class Line(Enum):
    """All that the agent ever says."""

    BAD_NAME = "events of a stream with such a name are skipped"
    TOO_MANY_STREAMS = "an agent has no more streams, events of further ones are skipped"
    NO_THREADS = "the agent is off: greenlets stand for all threads of this interpreter"
    CANNOT_START = "the agent cannot start, and will try again"
    REACHES_NOBODY = "the agent reaches no source job, and goes on trying"
    NO_ROOM = "the agent waits until the process has room for it"
    CANNOT_IMPORT = "the agent refuses queries, since what runs them cannot be imported"
    BEGAN_AGAIN = "the agent failed, and begins again"
    REFUSED_BY_KEY = "refused by key: this agent's is not among those that the source job lets in"
    OTHER_KEYS = "a source job wants keys (key, server_key), or other ones than this agent has"
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
        """Say what is due, on the agent's thread: apart from it, so that no handler holds it up."""
        for message in self.due(now_s):
            log_apart(_log, logging.ERROR, "%s", message)

    def say_here(self, now_s: float) -> None:
        """Say what is due where there may be no more threads."""
        for message in self.due(now_s):
            with suppress(Exception):  # of a log handler
                _log.error(message)

    def due(self, now_s: float) -> list[str]:
        """What has been noted and is to be said now."""
        due = []
        for line in list(self._noted):
            if now_s < self._due_s.get(line, now_s):
                continue
            self._due_s[line] = now_s + PAUSE_S
            detail = self._noted.pop(line, None)
            if detail is not None:  # else another thread has taken it
                due.append(f"{line.value}: {detail}" if detail else line.value)
        return due


NOTES = Notes()
"""Of all agents in the process."""
