"""The log of `mql serve`: who comes and who goes, and what is wrong, on standard error."""

from __future__ import annotations

import logging

from cli.terminal import warn

_FORMAT = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")


class _Lines(logging.Handler):
    """Writes a record through the one door to the terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; what it holds is made printable."""
        try:
            warn(*self.format(record).splitlines())
        except Exception:  # noqa: BLE001 - as every handler does
            self.handleError(record)


def show_log() -> None:
    """Have the source job's lines shown, unless the log has a place already."""
    logger = logging.getLogger("source_jobs")
    logger.setLevel(logging.INFO)
    if not logger.hasHandlers():
        handler = _Lines()
        handler.setFormatter(_FORMAT)
        logger.addHandler(handler)
