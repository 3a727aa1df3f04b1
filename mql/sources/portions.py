"""Rows in portions of bounded size, whatever their encoding promises.

A dictionary, a run or a view lets a few bytes stand for a great many rows of long values. A portion
is cut by what its rows take once each has its own value. Nothing is expanded to find that out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import distinct, to_numpy
from mql.columnar.kinds import is_null
from mql.columnar.layout import Ints
from mql.errors import InputError

ROWS = 65_536
"""Rows of a portion, at most."""

BYTES = 1 << 25
"""Bytes of a portion, at most, unless it is one row."""

ROW_BYTES_MAX = 1 << 24
"""A row that takes more is refused."""

CELL_BYTES = 16
"""A value takes so much at least: also null, as a row of them may become objects or text."""

_ELEMENTS_MAX = BYTES // CELL_BYTES
"""Lists of more elements are too much for a portion already: what the elements are is not asked."""


def portions(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The rows of a batch in order. Raises InputError for a row that is too large."""
    for start in range(0, batch.num_rows, ROWS):
        whole = start == 0 and batch.num_rows <= ROWS
        yield from _halved(batch if whole else batch.slice(start, ROWS))


def size_of_rows(batch: pa.RecordBatch) -> int:
    """The bytes that the rows of a batch take with each value written out."""
    return sum(map(size_of, batch.columns))


def _halved(part: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    size = size_of_rows(part)
    if part.num_rows == 1 and size > ROW_BYTES_MAX:
        raise InputError(f"a row takes {size:,} bytes, and at most {ROW_BYTES_MAX:,} are read")
    if size <= BYTES or part.num_rows == 1:
        yield part
        return
    half = part.num_rows // 2
    yield from _halved(part.slice(0, half))
    yield from _halved(part.slice(half))


def size_of(column: pa.Array) -> int:
    """The bytes that a column takes with each value written out.

    >>> size_of(pa.array(["a" * 84] * 10).dictionary_encode())
    1000
    """
    kind, rows = column.type, len(column)
    if not rows:
        return 0
    own = rows * CELL_BYTES
    if pa.types.is_dictionary(kind):
        return _size_of_coded(column)
    if pa.types.is_run_end_encoded(kind):
        return _size_of_runs(column)
    if isinstance(kind, pa.BaseExtensionType):
        return size_of(column.storage)
    if _is_text(kind):
        return own + _length_of(column)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        sizes = np.frombuffer(column.buffers()[1], np.int32)[4 * column.offset :: 4]
        return own + int(sizes[:rows].sum(dtype=np.int64))
    if pa.types.is_struct(kind):
        return own + sum(size_of(column.field(i)) for i in range(kind.num_fields))
    if _is_list(kind):
        return own + size_of(elements_of(column))
    if pa.types.is_fixed_size_list(kind):
        size = kind.list_size
        return own + size_of(column.values.slice(column.offset * size, rows * size))
    if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        return own + _size_of_views(column)
    if pa.types.is_union(kind):
        return own + _size_of_union(column)
    width = 0 if pa.types.is_null(kind) else kind.bit_width // 8
    return rows * max(CELL_BYTES, width)


def offsets_of(column: pa.Array) -> Ints:
    """Where the values of texts or lists begin, and where the last one ends."""
    kind = column.type
    wide = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
    wide = wide or pa.types.is_large_list(kind)
    buffer = column.buffers()[1]
    if buffer is None or not buffer.size:
        return np.zeros(len(column) + 1, np.int64)
    offsets: Ints = np.frombuffer(buffer, np.int64 if wide else np.int32)
    return offsets[column.offset :][: len(column) + 1]


def _length_of(texts: pa.Array) -> int:
    offsets = offsets_of(texts)
    return int(offsets[-1]) - int(offsets[0])


def elements_of(lists: pa.Array) -> pa.Array:
    """The elements of lists or maps, those of other rows of the same array left out."""
    offsets = offsets_of(lists)
    start, end = int(offsets[0]), int(offsets[-1])
    if pa.types.is_map(lists.type):
        entries = pa.StructArray.from_arrays([lists.keys, lists.items], ["key", "value"])
        return entries.slice(start, end - start)
    return lists.values.slice(start, end - start)


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind))


def _size_of_coded(column: pa.DictionaryArray) -> int:
    null = is_null(column.indices)
    codes = to_numpy(kernels.fill_null(column.indices, 0)).astype(np.int64)[~null]
    counts = np.ones(len(codes), np.int64)
    if not _is_text(column.dictionary.type):
        ordered, codes = np.sort(codes), distinct(codes)
        counts = np.diff(np.searchsorted(ordered, codes), append=len(ordered))
    return int(null.sum()) * CELL_BYTES + _weighted(column.dictionary, codes, counts)


def _size_of_runs(column: pa.RunEndEncodedArray) -> int:
    first, runs = column.find_physical_offset(), column.find_physical_length()
    ends = to_numpy(column.run_ends)[first : first + runs].astype(np.int64) - column.offset
    lengths = np.diff(np.minimum(ends, len(column)), prepend=0)
    return _weighted(column.values, np.arange(first, first + runs), lengths)


def _weighted(values: pa.Array, rows: Ints, counts: Ints) -> int:
    """What some rows of a column take, each so many times."""
    if _is_text(values.type):
        offsets = offsets_of(values).astype(np.int64)
        sizes = offsets[rows + 1] - offsets[rows] + CELL_BYTES
        return int(sizes @ counts)
    each = zip(rows.tolist(), counts.tolist(), strict=True)
    return sum(count * size_of(values.slice(row, 1)) for row, count in each)


def _size_of_views(column: pa.Array) -> int:
    starts, sizes = to_numpy(column.offsets), to_numpy(column.sizes)
    elements = int(sizes.sum(dtype=np.int64))
    if elements > _ELEMENTS_MAX:
        return elements * CELL_BYTES
    each = zip(starts.tolist(), sizes.tolist(), strict=True)
    return sum(size_of(column.values.slice(start, size)) for start, size in each)


def _size_of_union(column: pa.UnionArray) -> int:
    fields = [column.field(i) for i in range(column.type.num_fields)]
    if column.type.mode == "sparse":
        return sum(map(size_of, fields))
    places = dict(zip(column.type.type_codes, fields, strict=True))
    each = zip(to_numpy(column.type_codes).tolist(), to_numpy(column.offsets).tolist(), strict=True)
    return sum(size_of(places[code].slice(place, 1)) for code, place in each)
