"""Columns of tables with only what events have: times, dates and the like are text or numbers.

The same holds inside lists, structs and maps. Arrow would make Python values of a time through
pandas, where it is installed.
"""

from __future__ import annotations

from functools import lru_cache
from operator import is_

import pyarrow as pa

from mql import arrays, kernels
from mql.batch import is_null


def plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with times and other types that events do not have made text or numbers."""
    if _are_plain(batch.schema):
        return batch
    columns = [_plain_column(column) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


@lru_cache(maxsize=64)
def _are_plain(schema: pa.Schema) -> bool:
    """Whether all columns hold what events do."""
    return all(column is _plain_column(column) for column in arrays.empty_batch(schema).columns)


def _plain_column(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_timestamp(kind):
        zoned = kernels.cast(column, pa.timestamp(kind.unit, "UTC"))
        return kernels.strftime(zoned, "%Y-%m-%dT%H:%M:%SZ")
    if pa.types.is_dictionary(kind):
        return _plain_column(column.dictionary_decode())
    if pa.types.is_decimal(kind):
        return kernels.cast(column, pa.float64())
    if pa.types.is_duration(kind):
        return kernels.cast(column, pa.int64())
    if pa.types.is_date(kind) or pa.types.is_time(kind):
        return kernels.cast(column, pa.string())
    if isinstance(kind, pa.ExtensionType | pa.BaseExtensionType):
        return _plain_column(column.storage)
    if pa.types.is_struct(kind):
        return _plain_struct(column)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        values = column.values
        made = _plain_column(values)
        return column if made is values else _of_list_type(column, pa.list_(made.type), made)
    if pa.types.is_fixed_size_list(kind):
        lists = kernels.cast(column, pa.list_(kind.value_type))
        made = _plain_column(lists)
        return column if made is lists else made
    return _plain_map(column) if pa.types.is_map(kind) else column


def _plain_struct(column: pa.StructArray) -> pa.Array:
    cells = [column.field(i) for i in range(column.type.num_fields)]
    made = list(map(_plain_column, cells))
    if all(map(is_, cells, made)):
        return column
    names = (field.name for field in column.type)
    return arrays.structs(dict(zip(names, made, strict=True)), len(column), is_null(column))


def _plain_map(column: pa.MapArray) -> pa.Array:
    keys, items = column.keys, column.items
    made = _plain_column(keys), _plain_column(items)
    if made[0] is keys and made[1] is items:
        return column
    fields = [pa.field("key", made[0].type, nullable=False), pa.field("value", made[1].type)]
    entries = pa.StructArray.from_arrays(list(made), fields=fields)
    return _of_list_type(column, pa.map_(made[0].type, made[1].type), entries)


def _of_list_type(column: pa.Array, kind: pa.DataType, elements: pa.Array) -> pa.Array:
    """The lists of a column, with other elements in them."""
    if pa.types.is_large_list(column.type):
        kind = pa.large_list(kind.value_type)
    buffers = column.buffers()[:2]
    size, offset = len(column), column.offset
    return pa.Array.from_buffers(kind, size, buffers, offset=offset, children=[elements])
