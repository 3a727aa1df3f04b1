"""A progress bar on standard error, for people, for work of more than a second.

It must be cleared before anything else is written to the same terminal.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cli.engine import Statistics

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE_S = 1.0
"""Work that is done sooner shows nothing."""

_INTERVAL_S = 0.1


class ProgressBar:
    """Draws what the statistics say. `update` and `clear` are cheap; call them at every chunk."""

    def __init__(self, statistics: Statistics, *, shown: bool) -> None:
        self._statistics = statistics
        self._shown = shown
        self._started = time.monotonic()
        self._next = self._started + PATIENCE_S
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._visible = False

    def update(self) -> None:
        """Draw, if there is a terminal and it is time."""
        now = time.monotonic()
        if not self._shown or now < self._next:
            return
        self._next = now + _INTERVAL_S
        if self._bar is None:
            self._bar = _make_bar()
            self._task = self._bar.add_task("", total=self._statistics.bytes_total)
        self._fill_in(now - self._started)
        if self._visible:
            self._bar.refresh()
        else:
            self._bar.start()
            self._visible = True

    def _fill_in(self, elapsed_s: float) -> None:
        assert self._bar is not None
        assert self._task is not None
        numbers, total = self._statistics, self._statistics.bytes_total
        self._bar.update(
            self._task,
            completed=min(numbers.bytes_read, total or numbers.bytes_read),
            total=total,
            events=f"{numbers.events:,} events",
            rate=f"{numbers.events / elapsed_s:,.0f}/s",
        )

    def clear(self) -> None:
        """Take the bar off the terminal, until the next update."""
        if self._visible:
            assert self._bar is not None
            self._bar.stop()
            self._visible = False


def _make_bar() -> Progress:
    # rich takes 50 ms to import, which work of less than a second should not pay.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[events]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
