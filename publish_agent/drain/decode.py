"""Drained rows to one batch: the fields of all queries that may want them, decoded once.

The columns of `e['_agent']…` hold what the agent says of itself, whatever the events say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mql.columnar.arrays import from_numpy
from mql.columnar.build import repeat
from mql.columnar.layout import Ints
from mql.events.decode import EventReader
from mql.exec.operator import with_columns
from mql.language.format import format_property
from mql.planner.fields import Fields
from mql.values.json_values import read_json, write_json
from publish_agent.drain.plan.operators import ROW
from publish_agent.screen.path_code import AGENT

_MAX_READERS = 64


@dataclass(frozen=True, slots=True)
class Decoded:
    """A batch of the rows `places` (None: all) of the drained ones; the others cannot be read."""

    batch: pa.RecordBatch
    places: Ints | None = None


class Decoder:
    """Decodes rows of one stream; it remembers which types the fields have."""

    def __init__(self, provenance: dict[str, object]) -> None:
        self._line = write_json({AGENT: provenance}).encode() + b"\n"
        self._readers: dict[Fields, tuple[EventReader, dict[str, pa.Array]]] = {}

    def decode(
        self, lines: Sequence[bytes], fields: Fields, events: Sequence[dict[str, object]] | None
    ) -> Decoded:
        """The events as a batch, numbered in the column `*row`; of few, which are read, `events`.

        Each of `lines` is the JSON text of one, without a newline at its end.
        """
        reader, constants = self._reader(fields)
        places = None
        if events is not None:
            texts = [f"{line.decode()}\n" for line in lines] if fields.event else None
            batch = reader.from_events(events, texts=texts).batch
        else:
            batch = self._read(reader, lines)
        if batch is None:
            good = [i for i, line in enumerate(lines) if _is_event(line)]
            places = np.array(good, np.int64)
            batch = self._read(reader, [lines[i] for i in good])
            assert batch is not None, "lines that are events each are events together"
        columns = {name: repeat(value, batch.num_rows) for name, value in constants.items()}
        columns[ROW] = from_numpy(np.arange(batch.num_rows))
        return Decoded(with_columns(batch, columns), places)

    def _reader(self, fields: Fields) -> tuple[EventReader, dict[str, pa.Array]]:
        found = self._readers.get(fields)
        if found is None:
            if len(self._readers) >= _MAX_READERS:
                self._readers.clear()
            found = self._readers[fields] = EventReader(fields), self._constants(fields)
        return found

    def _constants(self, fields: Fields) -> dict[str, pa.Array]:
        paths = tuple(path for path in fields.paths if path.steps[0] == AGENT)
        if not paths:
            return {}
        batch = EventReader(Fields(paths)).from_lines(self._line).batch
        return {format_property(path): batch.column(format_property(path)) for path in paths}

    @staticmethod
    def _read(reader: EventReader, lines: Sequence[bytes]) -> pa.RecordBatch | None:
        """The batch of some lines, or None if not each of them is one event."""
        if not lines:
            return reader.from_events([]).batch
        try:
            batch = reader.from_lines(b"\n".join(lines) + b"\n").batch
        except ValueError:
            return None
        return batch if batch.num_rows == len(lines) else None


def _is_event(line: bytes) -> bool:
    try:
        return b"\n" not in line and isinstance(read_json(line), dict)
    except ValueError:
        return False
