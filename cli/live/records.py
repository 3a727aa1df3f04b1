"""Records that a source job shows, as a table for people and as NDJSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from cli.output.destination import standard_output, stdout_is_terminal
from cli.output.formats import choose_format, make_writer
from cli.output.spool import Spool
from mql.columnar.arrays import inferred, texts
from mql.values.json_values import write_json

Record = dict[str, object]


@dataclass(frozen=True, slots=True)
class Records:
    """Dicts, as writers take them."""

    records: Sequence[Record]
    start_ms: int | None = None
    end_ms: int | None = None

    @property
    def num_rows(self) -> int:
        """How many."""
        return len(self.records)

    @property
    def table(self) -> pa.Table:
        """As columns; what has no one type as JSON text."""
        names = dict.fromkeys(name for record in self.records for name in record)
        return pa.table({name: _column([r.get(name) for r in self.records]) for name in names})

    def rows(self) -> list[Record]:
        """As they are."""
        return list(self.records)

    def json_lines(self) -> bytes:
        """As NDJSON."""
        return "".join(f"{write_json(record)}\n" for record in self.records).encode()


def format_for(output: str | None) -> str:
    """The format that was asked for, or fits. Raises ValueError."""
    return choose_format(output, None, to_terminal=stdout_is_terminal())


def write_records(kind: str, records: Sequence[Record], columns: Sequence[str] = ()) -> None:
    """Write all of them; `columns` are there even if no record is."""
    with Spool() as spool:
        writer = make_writer(kind, standard_output(), columns or None, spool, timed=False)
        writer.write(Records(records))
        writer.finish()


def _column(values: list[object]) -> pa.Array:
    try:
        return inferred(values)
    except (pa.ArrowException, OverflowError):
        return texts([None if value is None else write_json(value) for value in values])
