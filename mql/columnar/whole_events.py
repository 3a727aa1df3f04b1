"""The column of whole events: lines of JSON, Python objects, or texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from mql.columnar import arrays
from mql.columnar.layout import EVENT
from mql.values.json_values import read_json, read_json_lines, write_json

_NEWLINE = ord("\n")


def lines_of(events: pa.Array) -> bytes | memoryview:
    r"""The texts of whole events, each with one newline at its end: as they are, if all have that.

    >>> bytes(lines_of(pa.array(['{"a":1}', '{"a":2}'])))
    b'{"a":1}\n{"a":2}\n'
    """
    if not len(events):
        return b""
    if pa.types.is_struct(events.type):
        return "".join(f"{write_json(event)}\n" for event in events.to_pylist()).encode()
    _, places, data = events.buffers()
    offsets = np.frombuffer(places, np.int32)[events.offset :][: len(events) + 1]
    text = memoryview(data)[offsets[0] : offsets[-1]]
    ends = offsets[1:] - offsets[0] - 1
    if (np.diff(offsets) > 0).all() and (np.frombuffer(text, np.uint8)[ends] == _NEWLINE).all():
        return text
    return "\n".join([*(event.rstrip("\n") for event in events.to_pylist()), ""]).encode()


def events_of(batch: pa.RecordBatch) -> list[Any]:
    """The whole events of a batch, read."""
    column = batch.column(EVENT)
    if pa.types.is_struct(column.type):
        return column.to_pylist()
    read = read_json_lines(lines_of(column), len(column))
    return list(map(read_json, column.to_pylist())) if read is None else read


def event_texts(events: pa.Array) -> pa.Array:
    """Whole events as JSON texts, whatever they are kept as."""
    if not pa.types.is_struct(events.type):
        return events
    return arrays.texts(list(map(write_json, events.to_pylist())))
