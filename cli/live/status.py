"""What a person is told beside the rows: a line that is redrawn, and warnings."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from cli.cells import fit
from cli.live.words import alarm, losses, missed_in
from cli.printable import printable
from cli.run import complain
from cli.table import utc
from mql.ledger import Completeness

if TYPE_CHECKING:
    from source_jobs.client.items import Gap


class StatusLine:
    """The last line of a terminal; it must be cleared before anything else is written there."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown and sys.stderr.isatty()
        self._visible = False

    def show(self, text: str) -> None:
        """Draw it, in place of what it was."""
        if self._shown:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write("\r\x1b[K" + fit(printable(text), width).rstrip())
            sys.stderr.flush()
            self._visible = True

    def clear(self) -> None:
        """Take it off the terminal."""
        if self._visible:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._visible = False


class Alarms:
    """Says on standard error what an answer begins to lack, once for each change."""

    def __init__(self, status: StatusLine, about: str = "") -> None:
        self._status = status
        self._about = about
        self._last: tuple[object, ...] | None = None
        self._connected = True

    def see(self, known: Completeness) -> None:
        """Take what is known of one window or second."""
        state = alarm(known)
        if state == self._last or (known.partial and known.silent):
            return
        first, self._last = self._last is None, state
        lost = losses(known)
        at = f"{self._about}{utc(known.start_ms, '%H:%M:%S')}"
        if known.silent:
            self.say(f"{at}: no agents")
        elif lost:
            self.say(f"{at}: not complete: {', '.join(lost)}")
        elif not first:
            self.say(f"{at}: complete again")

    def gap(self, gap: Gap) -> None:
        """Take what was missed."""
        self.say(f"{self._about}missed: {missed_in(gap)} of the answer")

    def connection(self, *, connected: bool) -> None:
        """Take whether the source job answers."""
        if connected != self._connected:
            self._connected = connected
            self.say("connected again" if connected else "the source job is gone; waiting for it")

    def clear_status(self) -> None:
        """Make room for rows."""
        self._status.clear()

    def say(self, text: str) -> None:
        """Write a line."""
        self._status.clear()
        complain(text)
