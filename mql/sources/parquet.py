"""Parquet, read in batches of bounded size.

Texts that a dictionary keeps once are read as codes into it wherever a batch of them, written out,
would be too large. What is left follows from what a row group says that it holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from mql.errors import InputError
from mql.sources.portions import BYTES, CELL_BYTES, ROW_BYTES_MAX, ROWS, offsets_of


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Row groups that are read as one, by their numbers."""

    groups: tuple[int, ...]
    rows: int


def read_parquet(path: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a file. Raises InputError, OSError and Arrow's errors, the first one at once."""
    metadata = parquet.read_metadata(path)
    return (batch for stretch in _stretches(metadata) for batch in _read(path, metadata, stretch))


def _stretches(metadata: parquet.FileMetaData) -> Iterator[_Stretch]:
    """The row groups in order, small ones together."""
    groups: list[int] = []
    rows = 0
    for number in range(metadata.num_row_groups):
        more = metadata.row_group(number).num_rows
        if groups and rows + more > ROWS:
            yield _Stretch(tuple(groups), rows)
            groups, rows = [], 0
        groups.append(number)
        rows += more
    if groups:
        yield _Stretch(tuple(groups), rows)


def _read(
    path: Path, metadata: parquet.FileMetaData, stretch: _Stretch
) -> Iterator[pa.RecordBatch]:
    rows = _rows_at_once(metadata, stretch)
    lengths = _longest_texts(path, metadata, stretch, BYTES // min(rows, max(stretch.rows, 1)))
    # pyarrow cannot put together nested texts that are codes of several dictionaries.
    nested = [length for column, length in lengths.items() if "." in column]
    coded = [column for column in lengths if "." not in column]
    rows = min([rows, *(max(1, BYTES // length) for length in nested)])
    with parquet.ParquetFile(path, metadata=metadata, read_dictionary=coded) as file:
        yield from file.iter_batches(rows, row_groups=stretch.groups)


def _rows_at_once(metadata: parquet.FileMetaData, stretch: _Stretch) -> int:
    """As many rows as take a portion's bytes, if all are alike. Raises InputError."""
    size = sum(metadata.row_group(number).total_byte_size for number in stretch.groups)
    leaves = [metadata.schema.column(i) for i in range(metadata.num_columns)]
    fixed = sum(leaf.length for leaf in leaves if leaf.physical_type == "FIXED_LEN_BYTE_ARRAY")
    each: int = max(size // max(stretch.rows, 1), CELL_BYTES * len(leaves), fixed)
    if each > ROW_BYTES_MAX:
        raise InputError(f"rows take {each:,} bytes, and at most {ROW_BYTES_MAX:,} are read")
    return max(1, min(ROWS, BYTES // each))


def _longest_texts(
    path: Path, metadata: parquet.FileMetaData, stretch: _Stretch, free: int
) -> dict[str, int]:
    """The bytes of the longest text in the dictionaries of each column, where it is not `free`.

    The first row of such a column, read as a code, comes with all of its row group's dictionary.
    (What is said of a group's columns is not asked: where it is wrong, pyarrow ends the process.)
    """
    leaves = [metadata.schema.column(i) for i in range(metadata.num_columns)]
    texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    found: dict[str, int] = {}
    if sum(metadata.row_group(number).total_byte_size for number in stretch.groups) <= free:
        return found
    with parquet.ParquetFile(path, metadata=metadata, read_dictionary=texts) as file:
        for group in stretch.groups:
            for column in texts:
                first = next(file.iter_batches(1, row_groups=[group], columns=[column]), None)
                length = 0 if first is None else _longest(first.column(0))
                if length > free:
                    found[column] = max(length, found.get(column, 0))
    return found


def _longest(column: pa.Array) -> int:
    """The bytes of the longest text that the dictionaries in a column have."""
    each = (np.diff(offsets_of(texts)).max(initial=0) for texts in _dictionaries(column))
    return int(max(each, default=0))


def _dictionaries(column: pa.Array) -> Iterator[pa.Array]:
    """The dictionaries in a column, however deep."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        yield column.dictionary
    elif pa.types.is_struct(kind):
        for i in range(kind.num_fields):
            yield from _dictionaries(column.field(i))
    elif pa.types.is_map(kind):
        yield from _dictionaries(column.keys)
        yield from _dictionaries(column.items)
    elif pa.types.is_nested(kind):
        yield from _dictionaries(column.values)
