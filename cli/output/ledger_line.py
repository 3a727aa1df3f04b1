"""Lines about an answer among its rows: NDJSON with one key that begins with `_`."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """A line about the answer itself, which writers of NDJSON take as rows."""

    line: bytes
    start_ms: int | None = None
    end_ms: int | None = None
    num_rows: int = 1

    @property
    def table(self) -> pa.Table:
        """Nothing, as columns."""
        return pa.table({})

    def rows(self) -> list[dict[str, object]]:
        """Nothing, as dicts."""
        return []

    def json_lines(self) -> bytes:
        """The line."""
        return self.line
