"""The rows of Arrow tables as columns of events, where each cell is a plain value."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.build import finite
from mql.language.syntax import Property


def column_of_table(table: pa.RecordBatch, path: Property) -> pa.Array | None:
    """The column of a path from a table of plain cells, or None if that needs its rows."""
    key = path.steps[0]
    assert isinstance(key, str)
    index = table.schema.get_field_index(key)
    if index < 0:
        return pa.nulls(table.num_rows) if not path.has_any else None
    cells = table.column(index)
    if len(path.steps) > 1 or pa.types.is_nested(cells.type):
        return None
    if pa.types.is_floating(cells.type):
        return finite(kernels.cast(cells, pa.float64()))
    if pa.types.is_integer(cells.type) and cells.type != pa.uint64():
        return kernels.cast(cells, pa.int64())
    if pa.types.is_boolean(cells.type) or pa.types.is_null(cells.type):
        return cells
    if pa.types.is_large_string(cells.type) or pa.types.is_string(cells.type):
        return kernels.cast(cells, pa.string())
    return None


def events_of_table(table: pa.RecordBatch) -> pa.StructArray | None:
    """The rows as whole events, or None if a cell may be more than a plain value."""
    names = table.schema.names
    columns = [column_of_table(table, Property((name,))) for name in names]
    if not names or len(set(names)) < len(names) or any(column is None for column in columns):
        return None
    return pa.StructArray.from_arrays(columns, names)


def concat_tables(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Record batches of one schema as one; the only one as it is."""
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)
