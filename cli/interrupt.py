"""Ctrl-C ends the input, not the program: what was computed so far is still printed.

The first one asks for the end. A second one, or an engine that has not answered for `GRACE_S`
(because a read waits for a pipe that says nothing), ends the query where it stands.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

GRACE_S = 3.0
"""How long the engine may keep silent after Ctrl-C."""

EXIT_CODE = 130
"""What a shell reports for a program that SIGINT ended."""


class Interrupt:
    """While entered, collects Ctrl-C into `requested` instead of raising KeyboardInterrupt."""

    def __init__(self) -> None:
        self.requested = False
        self._actions: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        self._previous = signal.signal(signal.SIGINT, self._handle)
        self._previous_alarm = signal.signal(signal.SIGALRM, self._give_up)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.answered()
        # What is left to do after Ctrl-C is short; one more ends the process without a word.
        signal.signal(signal.SIGINT, signal.SIG_DFL if self.requested else self._previous)
        signal.signal(signal.SIGALRM, self._previous_alarm)

    def on_request(self, action: Callable[[], None]) -> None:
        """Call `action` at the first Ctrl-C, or now if that has been."""
        self._actions.append(action)
        if self.requested:
            action()

    def answered(self) -> None:
        """The engine has reacted, so it may take its time from here."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        signal.setitimer(signal.ITIMER_REAL, GRACE_S)
        for action in self._actions:
            action()

    def _give_up(self, _number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt


def end_standard_input() -> None:
    """Let standard input end here, even for a read that waits.

    Python repeats a read that a signal has cut short, and the repeated one finds nothing.
    """
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.close(nothing)
