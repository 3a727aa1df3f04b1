"""Record batches as bytes, and back from bytes that nobody vouches for."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mql.batch import VARIANT, Ints
from mql.wire.codec import ProtocolError

_PLAIN = (pa.null(), pa.bool_(), pa.int64(), pa.float64(), pa.string(), pa.large_string(), VARIANT)


def write_batch(batch: pa.RecordBatch) -> pa.Buffer:
    """A record batch as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def read_batch(payload: bytes) -> pa.RecordBatch:
    """The one batch of an Arrow IPC stream, checked through. Raises ProtocolError."""
    try:
        with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
            batch = reader.read_next_batch()
        batch.validate(full=True)
    except (pa.ArrowException, StopIteration, OSError, ValueError, TypeError) as error:
        raise ProtocolError(f"no record batch: {error}") from None
    for field in batch.schema:
        if not _is_column(field.type):
            raise ProtocolError(f"a column of type {field.type}")
    return batch


def _is_column(kind: pa.DataType) -> bool:
    return kind in _PLAIN or (pa.types.is_list(kind) and kind.value_type in _PLAIN)


def write_rows(rows: Ints) -> bytes:
    """Indices of rows as little-endian uint32."""
    return rows.astype("<u4").tobytes()


def read_rows(data: bytes, size: int) -> Ints:
    """Indices of rows, each below `size`. Raises ProtocolError."""
    if len(data) % 4:
        raise ProtocolError("row numbers have four bytes each")
    rows = np.frombuffer(data, "<u4").astype(np.int64)
    if len(rows) and int(rows.max()) >= size:
        raise ProtocolError(f"row {int(rows.max())} of {size}")
    return rows
