"""What the kernels alone take for the payloads of a source job: nothing is checked or counted.

Each function is the least that an answer needs, as a loop over batches that are read as they come.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def _read(payloads: Sequence[bytes]) -> list[pa.RecordBatch]:
    return [pa.ipc.open_stream(payload).read_next_batch() for payload in payloads]


def merge_rows(payloads: Sequence[bytes]) -> None:
    """Put rows in the order of time, and write them."""
    if not payloads:
        return
    table = pa.Table.from_batches(_read(payloads))
    taken = table.take(pc.sort_indices(table, [("*time", "ascending")])).combine_chunks()
    with pa.ipc.new_stream(pa.BufferOutputStream(), taken.schema) as writer:
        writer.write_table(taken)


def group(payloads: Sequence[bytes]) -> None:
    """Count, add up and compare the latencies of each country."""
    if not payloads:
        return
    table = pa.Table.from_batches(_read(payloads)).combine_chunks()
    codes, size = _codes(table.column("country"))
    latency = table.column("latency_ms").to_numpy()
    most = np.full(size, -np.inf)
    np.bincount(codes, minlength=size)
    np.bincount(codes, latency, minlength=size)
    np.maximum.at(most, codes, latency)


def add_states(payloads: Sequence[bytes]) -> None:
    """Add up all columns of states by the first key."""
    if not payloads:
        return
    table = pa.Table.from_batches(_read(payloads)).combine_chunks()
    codes, size = _codes(table.column("key 0"))
    for name in table.schema.names:
        column = table.column(name)
        if name.startswith("state ") and column.type in (pa.int64(), pa.float64()):
            np.add.at(np.zeros(size), codes, column.to_numpy())


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray, int]:
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy(), len(encoded.dictionary)
