"""What a person is told beside the rows: a line that is redrawn, and warnings."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from cli.live.completeness_text import alarm, gone, losses, missed_in, unsure
from cli.output.cells import fit
from cli.output.table import utc
from cli.printable import printable
from cli.terminal import complain, redraw
from mql.ledger import Completeness

if TYPE_CHECKING:
    from source_jobs.client.actions import Gap


class StatusLine:
    """The last line of a terminal; it must be cleared before anything else is written there."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown and sys.stderr.isatty()
        self._visible = False

    def show(self, text: str) -> None:
        """Draw it, in place of what it was."""
        if self._shown:
            width = shutil.get_terminal_size().columns - 1
            redraw(fit(printable(text), width).rstrip())
            self._visible = True

    def clear(self) -> None:
        """Take it off the terminal."""
        if self._visible:
            redraw()
            self._visible = False


class Alarms:
    """Says on standard error what an answer begins to lack, once for each change."""

    def __init__(self, status: StatusLine, about: str = "") -> None:
        self._status = status
        self._about = about
        self._last: tuple[object, ...] | None = None
        self._away = ""

    def see(self, known: Completeness) -> None:
        """Take what is known of one window or second."""
        state = alarm(known)
        if state == self._last or (known.partial and known.silent):
            return
        first, self._last = self._last is None, state
        lost = losses(known)
        at = f"{self._about}{utc(known.start_ms, '%H:%M:%S')}"
        if known.silent:
            self.say(f"{at}: no agents{''.join(f'; {words}' for words in gone(known))}")
        elif lost:
            self.say(f"{at}: not complete: {', '.join(lost)}")
        elif doubts := unsure(known):
            self.say(f"{at}: an estimate {', '.join(doubts)}")
        elif left := gone(known):
            self.say(f"{at}: complete without those who are {', '.join(left)}")
        elif not first:
            self.say(f"{at}: complete again")

    def gap(self, gap: Gap) -> None:
        """Take what was missed."""
        self.say(f"{self._about}missed: {missed_in(gap)} of the answer")

    def connection(self, *, connected: bool, refused: str = "") -> None:
        """Take whether the source job answers, and why it lets us in no more."""
        away = "" if connected else refused or "the source job is gone"
        if away != self._away:
            self._away = away
            self.say(f"{away}; waiting for it" if away else "connected again")

    def clear_status(self) -> None:
        """Make room for rows."""
        self._status.clear()

    def say(self, text: str) -> None:
        """Write a line."""
        self._status.clear()
        complain(text)
