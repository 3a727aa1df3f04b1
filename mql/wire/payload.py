"""Record batches as bytes, and back from bytes that nobody vouches for."""

from __future__ import annotations

from functools import lru_cache
from struct import error as StructError  # noqa: N812 - it is a class
from struct import unpack_from

import numpy as np
import pyarrow as pa

from mql.columnar.layout import VARIANT, Ints
from mql.wire.codec import ProtocolError

_PLAIN = (pa.null(), pa.bool_(), pa.int64(), pa.float64(), pa.string(), pa.large_string(), VARIANT)

_MARK = b"\xff\xff\xff\xff"
"""What each message of a stream begins with, before the length of its head."""

_END = _MARK + bytes(4)

_AS_USUAL = pa.ipc.IpcWriteOptions()
"""Where there are none, two variables of the environment are read for each batch."""

_LONGEST_KEPT = 1 << 16
"""A schema of more bytes is read anew each time."""

_FREE_ROWS = 1 << 20
"""So many rows may be all null, and so take no bytes."""


def write_batch(batch: pa.RecordBatch) -> pa.Buffer:
    """A record batch as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_AS_USUAL) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def read_batch(payload: bytes, row_bytes: int = 0) -> pa.RecordBatch:
    """The one batch of an Arrow IPC stream, checked through. Raises ProtocolError.

    It takes about as much memory as its bytes: what would grow when read (compressed buffers, a
    great number of nulls) is refused before, as are rows of less than `row_bytes` each.
    """
    try:
        start = _end_of_head(payload, 0)
        known = _known_schema if start <= _LONGEST_KEPT else _read_schema
        schema = known(payload[:start])
        message = pa.ipc.read_message(pa.py_buffer(payload).slice(start))
        if message.type != "record batch":
            raise ProtocolError(f"a {message.type}, where a record batch belongs")
        body = _end_of_head(payload, start)
        rows = _rows(payload[start + len(_MARK) + 4 : body])
        most = len(payload) // row_bytes if row_bytes else max(_FREE_ROWS, 8 * len(payload))
        if not 0 <= rows <= most:
            raise ProtocolError(f"{rows:,} rows in {len(payload):,} bytes")
        batch = pa.ipc.read_record_batch(message, schema)
        batch.validate(full=True)
        rest = payload[body + message.body.size :][: len(_END)]
    except (pa.ArrowException, EOFError, OSError, ValueError, TypeError, StructError) as failed:
        raise ProtocolError(f"no record batch: {failed}") from None
    if rest not in (b"", _END):
        raise ProtocolError("more than one record batch")
    return batch


def _end_of_head(payload: bytes, start: int) -> int:
    """Where the head of a message ends and its body begins. Raises ValueError, StructError."""
    mark, size = unpack_from("<4si", payload, start)
    end = start + len(_MARK) + 4 + int(size)
    if mark != _MARK or size <= 0 or end > len(payload):
        raise ValueError("no message of an Arrow IPC stream")
    return end


def _read_schema(head: bytes) -> pa.Schema:
    """The schema in the first message of a stream, of columns that are allowed."""
    message = pa.ipc.read_message(head)
    if message.type != "schema":
        raise ProtocolError(f"a {message.type}, where a schema belongs")
    schema = pa.ipc.read_schema(message)
    names = schema.names  # which may be no text
    if len(set(names)) < len(names):
        raise ProtocolError("two columns of one name")
    for field in schema:
        if not _is_column(field.type):
            raise ProtocolError(f"a column of type {field.type}")
    return schema


_known_schema = lru_cache(maxsize=256)(_read_schema)
"""What one query's batches hold is nearly always the same."""


def _rows(head: bytes) -> int:
    """How many rows a batch has that is not larger than its bytes. Raises ProtocolError.

    Arrow reads the head of a message, a FlatBuffer, only together with its body. Of the table
    `Message` field 2 is the table `RecordBatch`, whose field 0 is the number of rows, and field 3
    says how its buffers are compressed.
    """
    (root,) = unpack_from("<I", head)
    at = _field(head, root, 2)
    if at is None:
        raise ProtocolError("a record batch without a head")
    batch = at + unpack_from("<I", head, at)[0]
    if _field(head, batch, 3) is not None:
        raise ProtocolError("compressed buffers")
    rows_at = _field(head, batch, 0)
    return int(unpack_from("<q", head, rows_at)[0]) if rows_at is not None else 0


def _field(head: bytes, table: int, number: int) -> int | None:
    """Where a table of a FlatBuffer has a field; None if it does not."""
    entries = table - unpack_from("<i", head, table)[0]
    place = 4 + 2 * number
    if place >= unpack_from("<H", head, entries)[0]:
        return None
    offset = unpack_from("<H", head, entries + place)[0]
    return table + offset if offset else None


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
