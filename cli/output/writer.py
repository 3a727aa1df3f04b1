"""What a writer of output is."""

from __future__ import annotations

from typing import Protocol

from cli.engine import Chunk

WINDOW_COLUMNS = ("_window_start", "_window_end")
"""The first columns of windows of time, in ms since 1970."""


class Writer(Protocol):
    """Takes the chunks of a result in turn, then `finish` once, also after Ctrl-C."""

    def write(self, chunk: Chunk) -> None:
        """Take a chunk: rows, or an empty window."""

    def finish(self) -> None:
        """Write what is still held."""
