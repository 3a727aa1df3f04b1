"""NDJSON: a line of JSON for each row."""

from __future__ import annotations

from cli.engine import Chunk
from cli.output.destination import Stream


class JsonLinesWriter:
    """NDJSON, each chunk as soon as it comes."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def write(self, chunk: Chunk) -> None:
        """Write the rows."""
        lines = chunk.json_lines()
        if lines:
            self._stream.write(lines)
            self._stream.flush()

    def finish(self) -> None:
        """Nothing is held."""
